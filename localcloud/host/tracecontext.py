"""W3C trace context of an invocation.

The real host opens an activity for each message, parented by the message's own context
(`traceparent`, else the older `Diagnostic-Id`), and hands that activity's ID to the worker; so
does this one. `spans` exports it.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})"
                          r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?")  # fmt: skip
_SAMPLED = "01"


@dataclass(frozen=True, slots=True)
class TraceContext:
    """What the worker gets, and whose span the host's own lies under.

    Attributes:
        parent: The host's span as `traceparent`; empty where it has none.
        state: `tracestate`, unchanged.
        origin: The message's own span ID; empty for a root.
    """

    parent: str
    state: str
    origin: str = ""


NO_TRACE = TraceContext("", "")
"""What the worker gets of a trigger for which the host has no activity."""


def continue_trace(properties: Mapping[str, object], source: random.Random) -> TraceContext:
    """Make the trace context of an invocation.

    Args:
        properties: The message's application properties.
        source: Where new IDs come from.

    Returns:
        The message's trace with a new span ID, or a new sampled trace if it has none that is
        valid (W3C trace context, section 3.2).
    """
    for name in ("traceparent", "Diagnostic-Id"):
        match = _valid(properties.get(name))
        if match is not None:
            state = properties.get("tracestate")
            return TraceContext(
                f"00-{match['trace']}-{_new_id(source, 64)}-{match['flags']}",
                state if isinstance(state, str) else "",
                match["span"],
            )
    return TraceContext(f"00-{_new_id(source, 128)}-{_new_id(source, 64)}-{_SAMPLED}", "")


def _valid(value: object) -> re.Match[str] | None:
    match = _TRACEPARENT.fullmatch(value) if isinstance(value, str) else None
    if match is None or match["version"] == "ff":
        return None
    if match["version"] == "00" and match["more"]:
        return None
    if not int(match["trace"], 16) or not int(match["span"], 16):
        return None
    return match


def _new_id(source: random.Random, bits: int) -> str:
    value = 0
    while not value:  # an ID of zeros is invalid
        value = source.getrandbits(bits)
    return format(value, f"0{bits // 4}x")
