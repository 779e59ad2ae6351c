"""One assessment's trace as a waterfall."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from plain_text import one_line

ROOT: Final = "assess_patches"
_NANOSECONDS: Final = 1_000_000_000
_DEEPEST: Final = 50
_IN_PROGRESS: Final = "assessments-in-progress"


class Kind(StrEnum):
    """What is done in a span, as the waterfall colours it."""

    WHOLE = "assessment"
    BEGIN = "begin"
    POLL = "poll"
    WAIT = "wait"
    INVOCATION = "invocation"
    HAND_OVER = "hand-over"
    PUBLISH = "publish"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Span:
    """A span as a collector shows it.

    Attributes:
        span_id: 16 hex digits.
        parent_id: likewise; empty for a root.
        name: What it is.
        kind: OpenTelemetry's kind: `CONSUMER`, `PRODUCER`, `CLIENT`, `INTERNAL` or `SERVER`.
        start: In nanoseconds since 1970.
        end: Likewise.
        is_error: Whether its status says so.
        attributes: Its own.
        process: Which process told of it.
    """

    span_id: str
    parent_id: str
    name: str
    kind: str
    start: int
    end: int
    is_error: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    process: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of the waterfall.

    Attributes:
        depth: How many spans it lies within.
        label: What was done.
        note: What came of it.
        kind: What is done in it.
        offset: Where it begins, as a share of the whole.
        width: How long it is, as a share of the whole.
        starts: Seconds since the trace began.
        seconds: How long it took.
        worker: The number of the process, by the order of their first spans; 0 for the whole.
        is_error: Whether it failed.
    """

    depth: int
    label: str
    note: str
    kind: Kind
    offset: float
    width: float
    starts: float
    seconds: float
    worker: int
    is_error: bool


WAIT_PLACE: Final = "patch_assessor.wait.place"
STATUS: Final = "patch_assessor.status"
"""The app's own attributes that are shown."""
_NOTED: Final = (
    ("http.response.status_code", "{}"),
    ("http.response.header.retry-after", "Retry-After {}"),
    (WAIT_PLACE, "in the {}"),
    (STATUS, "{}"),
    ("error.type", "error {}"),
)


def waterfall(spans: Sequence[Span]) -> tuple[Bar, ...]:
    """Returns the lines of a trace, parents before children and both by their start.

    A span whose parent is not among them stands at the top: the parent's process died before it
    could tell. What was done twice after a crash, under the same ID, is shown once.
    """
    known = {span.span_id: span for span in spans}
    if not known:
        return ()
    ordered = sorted(known.values(), key=lambda span: (span.start, -span.end))
    began = ordered[0].start
    whole = max(max(span.start, span.end) for span in ordered) - began
    # The root begins first, and is told by whoever concludes: it makes no process the first.
    numbered = [span for span in ordered if span.name != ROOT]
    workers = {
        process: number
        for number, process in enumerate(dict.fromkeys(each.process for each in numbered), 1)
    }
    return tuple(
        Bar(
            depth=depth,
            label=one_line(span.name),
            note=one_line(_note(span)),
            kind=_kind(span),
            offset=(span.start - began) / whole if whole else 0.0,
            width=max(0, span.end - span.start) / whole if whole else 1.0,
            starts=(span.start - began) / _NANOSECONDS,
            seconds=max(0, span.end - span.start) / _NANOSECONDS,
            worker=0 if span.name == ROOT else workers[span.process],
            is_error=span.is_error,
        )
        for span, depth in _walk(ordered, known)
    )


def _walk(ordered: Sequence[Span], known: Mapping[str, Span]) -> Iterator[tuple[Span, int]]:
    children: dict[str, list[Span]] = {}
    for span in ordered:
        is_top = span.parent_id not in known or span.parent_id == span.span_id
        children.setdefault("" if is_top else span.parent_id, []).append(span)
    waiting = [(span, 0) for span in reversed(children.get("", []))]
    while waiting:
        span, depth = waiting.pop()
        yield span, depth
        below = min(depth + 1, _DEEPEST)
        waiting += [(each, below) for each in reversed(children.get(span.span_id, []))]


def _kind(span: Span) -> Kind:
    name = span.name
    if name == ROOT:
        return Kind.WHOLE
    if WAIT_PLACE in span.attributes:
        return Kind.WAIT
    if span.kind == "PRODUCER" or name.startswith("send "):
        return Kind.HAND_OVER if name.endswith(f" {_IN_PROGRESS}") else Kind.PUBLISH
    if span.kind == "CONSUMER":
        return Kind.INVOCATION
    if "assessPatches" in name:
        return Kind.BEGIN
    return Kind.POLL if "operations" in name else Kind.OTHER


def _note(span: Span) -> str:
    notes = []
    for name, form in _NOTED:
        value = span.attributes.get(name)
        if value is not None and not (name == "error.type" and str(value).isdigit()):
            notes.append(form.format(value[0] if isinstance(value, list) and value else value))
    return ", ".join(notes)
