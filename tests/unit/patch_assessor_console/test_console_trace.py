"""The console's waterfall and charts."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from assessor.telemetry import attributes
from patch_assessor_console.model.charts import Sample, ages_of, durations, over_time, spreads_of
from patch_assessor_console.model.trace import Kind, Span, waterfall
from patch_assessor_console.model.vm import REBOOT_RULE, Vm

SECOND = 1_000_000_000
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def span(number: int, parent: int, name: str, start: float, end: float, **more: object) -> Span:
    return Span(
        f"{number:016x}",
        f"{parent:016x}" if parent else "",
        name,
        str(more.pop("kind", "INTERNAL")),
        round(start * SECOND),
        round(end * SECOND),
        **more,  # type: ignore[arg-type] # fields of any type
    )


TRACE = (
    span(1, 0, "assess_patches", 0, 10, attributes={attributes.STATUS: "Succeeded"}),
    span(2, 1, "follow", 0, 2, process="a"),
    span(3, 2, "POST virtualMachines/assessPatches", 0, 0.5, process="a", kind="CLIENT"),
    span(4, 2, "send assessments-in-progress", 1, 2, process="a", kind="PRODUCER"),
    span(5, 1, "wait", 2, 7, process="b", attributes={attributes.WAIT_PLACE: "queue"}),
    span(6, 1, "process assessments-in-progress", 7, 10, process="b", kind="CONSUMER"),
    span(7, 6, "GET locations/operations", 7, 8, process="b", kind="CLIENT"),
    span(8, 6, "send assessment-results", 8, 9, process="b", kind="PRODUCER"),
)


def test_each_part_of_an_assessment_has_its_kind_worker_and_place() -> None:
    """Begin, polls, waits, hand-overs and publishing, as shares of the whole."""
    bars = waterfall(TRACE[::-1])
    assert [(bar.kind, bar.worker, bar.depth) for bar in bars] == [
        (Kind.WHOLE, 0, 0),
        (Kind.OTHER, 1, 1),
        (Kind.BEGIN, 1, 2),
        (Kind.HAND_OVER, 1, 2),
        (Kind.WAIT, 2, 1),
        (Kind.INVOCATION, 2, 1),
        (Kind.POLL, 2, 2),
        (Kind.PUBLISH, 2, 2),
    ]
    assert bars[0].note == "Succeeded"
    assert (bars[4].offset, bars[4].width, bars[4].seconds) == (0.2, 0.5, 5.0)


def test_a_span_whose_parent_never_told_stands_at_the_top() -> None:
    """Its process was killed; while an assessment runs there is no root either."""
    assert [bar.depth for bar in waterfall(TRACE[2:4])] == [0, 0]
    assert waterfall(()) == ()


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.integers(0, 6), st.integers(0, 9), st.integers(0, 9)),
        max_size=12,
    )
)
def test_any_spans_make_a_waterfall_within_its_bounds(
    drawn: list[tuple[int, int, int, int]],
) -> None:
    """Cycles, doubles and ends before begins too: no span is shown twice, and it ends."""
    spans = [span(number, parent, "x", start, end) for number, parent, start, end in drawn]
    bars = waterfall(spans)
    assert len(bars) <= len({each.span_id for each in spans})
    assert all(bar.offset >= 0 and 0 <= bar.width <= 1 and bar.seconds >= 0 for bar in bars)


def test_ages_of_reboots_fall_into_every_class() -> None:
    """Each VM into one."""
    vms = [Vm(f"/{days}", alerts={REBOOT_RULE: NOW - timedelta(days=days)}) for days in (0, 2, 90)]
    assert ages_of([*vms, Vm("/none")], NOW) == [
        ("under a day", 1),
        ("1 to 3 days", 1),
        ("3 to 7 days", 0),
        ("1 to 4 weeks", 0),
        ("longer", 1),
    ]


def test_durations_come_from_outcomes_or_else_from_the_fleet() -> None:
    """The slowest system first."""
    (windows, linux) = spreads_of([], [("Linux", 60.0), ("Windows", 700.0), ("Windows", 800.0)])
    assert (windows.system, windows.count, windows.shortest, windows.longest) == (
        "Windows",
        2,
        700.0,
        800.0,
    )
    assert linux.median == 60.0
    assert spreads_of([Vm("/a", seconds=5.0, os_type="Linux")])[0].system == "Linux"


def test_charts_hold_numbers_and_texts_alone() -> None:
    """ECharts' own HTML tooltips are off, and no key is a stranger's: NiceGUI would evaluate it."""
    chart = durations(spreads_of([], [("<b>:x", 1.0)]))
    assert chart["yAxis"]["data"] == ["<b>:x"]
    assert chart["tooltip"]["renderMode"] == "richText"
    line = over_time([Sample(NOW, 3, 2)])
    assert line["series"][0]["data"] == [[1795867200000, 3]]
