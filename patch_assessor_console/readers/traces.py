"""Traces, as the local cloud's collector shows them."""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from yarl import URL

from patch_assessor_cli.errors import CommandError
from patch_assessor_console.model.trace import Span

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


async def read_spans(http: aiohttp.ClientSession, collector: str, trace_id: str) -> list[Span]:
    """Returns the spans of a trace.

    Raises:
        CommandError: The collector does not answer, or answers something else.
    """
    address = URL(collector) / "spans" % {"traceId": trace_id}
    try:
        async with http.get(address, timeout=_TIMEOUT) as response:
            response.raise_for_status()
            return [span_of(each) for each in await response.json()]
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError("The collector does not answer with spans.") from error


def span_of(fields: Mapping[str, Any]) -> Span:
    """Returns the span that the collector shows as these fields."""
    return Span(
        span_id=fields["span_id"],
        parent_id=fields["parent_id"],
        name=fields["name"],
        kind=fields["kind"],
        start=fields["start"],
        end=fields["end"],
        is_error=fields["is_error"],
        attributes=fields["attributes"],
        process=str(fields["resource"].get("service.instance.id", "")),
    )
