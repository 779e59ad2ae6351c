"""Which trace the demo shows, how much of it, and when it has none to show."""

import io
from pathlib import Path

import pytest

from demo.traces import goes_elsewhere, print_trace
from localcloud.cloud import CloudOptions
from localcloud.otlp import Collector
from localcloud.otlp_records import Span
from patch_assessor_cli.console import make_console


def spans_of(trace_id: str, invocations: int) -> list[Span]:
    """A finished assessment that was handed over so often."""
    names = ["assess_patches", *(f"process {number}" for number in range(invocations))]
    return [
        Span(
            trace_id=trace_id,
            span_id=f"{trace_id}-{number}",
            parent_id="" if number == 0 else f"{trace_id}-0",
            name=name,
            kind="INTERNAL" if number == 0 else "CONSUMER",
            start=number,
            end=number + 1,
            is_error=False,
        )
        for number, name in enumerate(names)
    ]


def printed(spans: list[Span], *preferred: str) -> str:
    """What is printed where the collector has these spans."""
    console = make_console(is_terminal=False)
    console.file = file = io.StringIO()
    collector = Collector()
    collector.spans = spans
    print_trace(console, collector, preferred)
    return file.getvalue()


def test_a_preferred_trace_is_shown_though_others_are_longer() -> None:
    """Of several the one that was handed over most."""
    spans = [*spans_of("a", 9), *spans_of("b", 1), *spans_of("c", 2)]
    assert "trace a," in printed(spans)
    assert "trace c," in printed(spans, "b", "c")


def test_another_trace_is_shown_where_the_preferred_one_did_not_arrive() -> None:
    """Or nothing of it but an invocation in the middle."""
    assert "trace a," in printed([*spans_of("a", 1), *spans_of("b", 3)[1:]], "b", "none")


def test_of_a_long_trace_the_beginning_and_the_end_are_shown() -> None:
    """And how many lines lie between them."""
    text = printed(spans_of("a", 99))
    assert "assess_patches" in text
    assert "… 61 more …" in text
    assert "process 98" in text
    assert "process 50" not in text
    assert len(printed(spans_of("a", 38)).splitlines()) == 42, "of a short one, every line"


def test_no_whole_trace_is_said_to_be_none() -> None:
    """Nothing arrived, or no root."""
    assert "No assessment's trace is whole." in printed([])
    assert "No assessment's trace is whole." in printed(spans_of("a", 3)[1:])


def test_without_a_collector_nothing_is_printed() -> None:
    """The traces went where somebody else looks at them."""
    console = make_console(is_terminal=False)
    console.file = file = io.StringIO()
    print_trace(console, None)
    assert file.getvalue() == ""


@pytest.mark.parametrize(
    "name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
)
def test_a_collector_of_ones_own_is_left_alone(name: str) -> None:
    """Named by the environment or by a setting; an empty setting takes the environment's away."""
    plain, named, none = (
        CloudOptions(logs=Path("logs"), settings=settings)
        for settings in ({}, {name: "http://collector:4318"}, {name: ""})
    )
    assert not goes_elsewhere(plain, {})
    assert goes_elsewhere(named, {})
    assert goes_elsewhere(plain, {name: "http://collector:4318"})
    assert not goes_elsewhere(none, {name: "http://collector:4318"})
