"""The demo's collector: takes the app's telemetry, so that a trace can be shown."""

import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from rich.console import Console

from demo.tree import most_telling, render_tree
from localcloud.cloud import CloudOptions
from localcloud.otlp import Collector, collector

_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_ENDPOINTS: Final = (_ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_FIRST_LINES: Final = 30
_MOST_SPANS: Final = 200_000
"""A few hundred bytes each; `up` may run for days."""
_LAST_LINES: Final = 10


def goes_elsewhere(options: CloudOptions, environment: Mapping[str, str]) -> bool:
    """Returns whether the app sends its traces somewhere already.

    Args:
        options: Of the local cloud; their settings win.
        environment: What the local cloud passes on to the app.
    """
    given = {**environment, **options.settings}
    return any(given.get(name) for name in _ENDPOINTS)


@asynccontextmanager
async def collected(options: CloudOptions) -> AsyncIterator[tuple[CloudOptions, Collector | None]]:
    """Runs a collector in this process; it has to outlive the local cloud: hosts tell as they end.

    Yields:
        The options with the collector named in the app's settings, and the collector, which keeps
        the latest spans; the options as they are and None where traces go somewhere else.
    """
    if goes_elsewhere(options, os.environ):
        yield options, None
        return
    async with collector(most=_MOST_SPANS) as (taking, endpoint):
        yield replace(options, settings={**options.settings, _ENDPOINT: endpoint}), taking


def collector_url(options: CloudOptions, collector: Collector | None) -> str | None:
    """Returns where the collector of `collected` is; None where traces go somewhere else."""
    return None if collector is None else options.settings[_ENDPOINT]


def print_trace(
    console: Console, collector: Collector | None, preferred: Collection[str] = ()
) -> None:
    """Prints the trace of the assessment that went through the most invocations.

    Args:
        console: Where to print.
        collector: What has the spans; None prints nothing.
        preferred: Traces to choose from, if one of them is whole.
    """
    if collector is None:
        return
    wanted = [span for span in collector.spans if span.trace_id in preferred]
    spans = most_telling(wanted) or most_telling(collector.spans)
    console.print()
    if not spans:
        console.print("No assessment's trace is whole.")
        return
    console.print("One of the assessments, as its trace tells it")
    lines = render_tree(spans).splitlines()
    left_out = len(lines) - _FIRST_LINES - _LAST_LINES
    if left_out > 0:
        lines[_FIRST_LINES:-_LAST_LINES] = [f"… {left_out} more …"]
    console.print("\n".join(lines), soft_wrap=True)
