"""A trace as text."""

from demo.tree import most_telling, render_tree
from localcloud.otlp_records import Span

SECOND = 1_000_000_000
BEGAN = 1_767_614_400 * SECOND  # 2026-01-05T12:00:00Z


def span(
    span_id: str,
    parent_id: str,
    name: str,
    start: float,
    end: float,
    worker: str = "one",
    kind: str = "INTERNAL",
    trace_id: str = "t",
    **attributes: object,
) -> Span:
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        name=name,
        kind=kind,
        start=BEGAN + int(start * SECOND),
        end=BEGAN + int(end * SECOND),
        is_error=False,
        attributes={name.replace("__", "."): value for name, value in attributes.items()},
        resource={"service.instance.id": worker},
    )


ROOT = span("r", "", "assess_patches", 0, 62, "two", patch_assessor__status="Succeeded")
FOLLOW = span("f", "r", "follow", 0, 1)
WAIT = span("w", "r", "wait", 1, 61, "two", patch_assessor__wait__place="queue")
PROCESS = span("p", "r", "process q", 61, 62, "two", kind="CONSUMER")
POLL = span("g", "p", "GET operations", 61.5, 61.75, "two")


def test_a_tree_is_one_line_for_each_span_in_the_order_of_time() -> None:
    """With the seconds since the begin, how long it took, and who did it."""
    text = render_tree([POLL, PROCESS, WAIT, FOLLOW, ROOT])

    assert text == (
        "trace t, from 2026-01-05T12:00:00.000Z\n"
        "    0.00 s     62.00 s  worker 2  assess_patches (Succeeded)\n"
        "    0.00 s      1.00 s  worker 1  ├─ follow\n"
        "    1.00 s     60.00 s  worker 2  ├─ wait (in the queue)\n"
        "   61.00 s      1.00 s  worker 2  └─ process q\n"
        "   61.50 s      0.25 s  worker 2     └─ GET operations"
    )


def test_a_span_whose_parent_is_missing_stands_at_the_top() -> None:
    """A worker that died could not tell of what it had in hand."""
    text = render_tree([ROOT, POLL])

    assert text.splitlines()[-1].endswith("worker 1  GET operations")


def test_a_span_that_came_twice_is_shown_once() -> None:
    """A conclusion that is repeated after a crash emits the root again."""
    assert len(render_tree([ROOT, FOLLOW, ROOT]).splitlines()) == 3


def test_what_matters_of_a_call_is_beside_its_name() -> None:
    """The status says it all: the error's type of a refusal is the same number."""
    refused = span(
        "x",
        "",
        "POST assessPatches",
        0,
        1,
        http__response__status_code=429,
        error__type="429",
    )
    lost = span("x", "", "GET operations", 0, 1, error__type="TimeoutError")

    assert render_tree([refused]).endswith("POST assessPatches (429)")
    assert render_tree([lost]).endswith("GET operations (error TimeoutError)")


def test_no_spans_are_no_tree() -> None:
    assert render_tree([]) == "(no spans)"
    assert most_telling([]) == ()


def test_the_most_telling_trace_is_the_one_that_was_handed_over_most() -> None:
    """One that is not finished has no root yet, and tells less."""
    single = span("s", "", "assess_patches", 0, 1, trace_id="u")
    unfinished = [
        span(str(number), "", "process q", 0, 1, kind="CONSUMER", trace_id="v")
        for number in range(9)
    ]

    chosen = most_telling([single, ROOT, PROCESS, *unfinished])

    assert {each.trace_id for each in chosen} == {"t"}
