"""One assessment's trace as text: who did what when, and how long it waited."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from localcloud.otlp_records import Span
from plain_text import one_line

ROOT: Final = "assess_patches"

_NANOSECONDS: Final = 1_000_000_000
_NOTED: Final = (
    ("http.response.status_code", "{}"),
    ("http.response.header.retry-after", "Retry-After {}"),
    ("patch_assessor.wait.place", "in the {}"),
    ("patch_assessor.status", "{}"),
    ("error.type", "error {}"),
)


def render_tree(spans: Sequence[Span]) -> str:
    """Returns the spans of one trace as a tree, one line for each, in the order of their starts.

    Each line has the seconds since the trace's first span began, the span's duration, its name with
    what matters of its attributes, and the process that it is from. A span whose parent is not
    among them (the parent's process died before it could tell) stands at the top.

    Args:
        spans: of one trace. Doubles, of what was done again after a crash, are shown once.
    """
    known = {span.span_id: span for span in spans}
    if not known:
        return "(no spans)"
    ordered = sorted(known.values(), key=lambda span: (span.start, -span.end))
    began = ordered[0].start
    # The root comes last in the numbering: it begins first, and is told by whoever concludes.
    numbered = sorted(ordered, key=lambda span: span.name == ROOT)
    processes = list(dict.fromkeys(_process(span) for span in numbered))
    lines = [f"trace {ordered[0].trace_id}, from {_time(began)}"]
    for span, branch in _walk(ordered, known):
        since = (span.start - began) / _NANOSECONDS
        took = (span.end - span.start) / _NANOSECONDS
        worker = f"worker {processes.index(_process(span)) + 1}"
        lines.append(f"{since:8.2f} s  {took:8.2f} s  {worker}  {branch}{_label(span)}")
    return "\n".join(lines)


def most_telling(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Returns the finished assessment's trace that most invocations took part in; empty if none."""
    traces: dict[str, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    finished = (each for each in traces.values() if any(span.name == ROOT for span in each))
    invocations = (
        (sum(span.kind == "CONSUMER" for span in each), len(each), each) for each in finished
    )
    best = max(invocations, key=lambda counted: counted[:2], default=None)
    return tuple(best[2]) if best else ()


def _walk(ordered: Sequence[Span], known: dict[str, Span]) -> Iterator[tuple[Span, str]]:
    """Yields each span with the branch that leads to it, parents first."""
    children: dict[str, list[Span]] = {}
    for span in ordered:
        parent = span.parent_id if span.parent_id in known else ""
        children.setdefault(parent, []).append(span)

    def below(parent: str, indent: str) -> Iterator[tuple[Span, str]]:
        siblings = children.get(parent, [])
        for span in siblings:
            is_last = span is siblings[-1]
            at_top = not parent
            yield span, "" if at_top else indent + ("└─ " if is_last else "├─ ")
            yield from below(span.span_id, "" if at_top else indent + ("   " if is_last else "│  "))

    return below("", "")


def _label(span: Span) -> str:
    notes = []
    for name, form in _NOTED:
        value = span.attributes.get(name)
        if value is not None and not (name == "error.type" and str(value).isdigit()):
            notes.append(form.format(value[0] if isinstance(value, list) else value))
    return one_line(f"{span.name} ({', '.join(notes)})" if notes else span.name)


def _process(span: Span) -> str:
    return str(span.resource.get("service.instance.id", ""))


def _time(nanoseconds: int) -> str:
    moment = datetime.fromtimestamp(nanoseconds / _NANOSECONDS, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
