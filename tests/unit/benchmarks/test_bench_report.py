"""What a run is kept as and told as: results in a file, tables in the page, plots beside it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks import plots, report
from benchmarks.__main__ import tables_of, verdicts_of
from benchmarks.readings import MissingReadingError, Reading, Readings, Verdict
from benchmarks.results import ResultsError, load, readings_of, run_of, save

DOCS = Path(__file__).parents[3] / "docs"
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
READINGS = [
    Reading("cpu", "app", 100, "cpu_ms", 30.04),
    Reading("cpu", "app", 1000, "cpu_ms", 1031.0),
    Reading("cpu", "floor", 100, "cpu_ms", 200.0, "a note"),
    Reading("cpu", "floor", 100, "arm_calls", 4.26),
]


def test_results_come_out_of_the_file_as_they_went_in(tmp_path: Path) -> None:
    """Figure by figure, with when and where they were taken."""
    runs = {"cpu": run_of(READINGS, NOW)}
    save(tmp_path / "docs" / "results.json", runs)
    assert load(tmp_path / "docs" / "results.json") == runs
    assert runs["cpu"].at == "2026-01-05T12:00+00:00"


def test_no_file_is_no_results_and_another_file_is_an_error(tmp_path: Path) -> None:
    """The error names the file."""
    assert load(tmp_path / "nothing.json") == {}
    other = tmp_path / "other.json"
    for text in ("not JSON", "[]", '{"cpu": {"at": "x"}}', '{"cpu": {"readings": [{"a": 1}]}}'):
        other.write_text(text)
        with pytest.raises(ResultsError) as wrong:
            load(other)
        assert wrong.value.path == other


def test_a_table_has_a_row_for_each_way_and_size() -> None:
    """Columns that nobody has read are left out, cells that are missing are empty."""
    assert report.table("cpu", Readings.of(READINGS)).splitlines() == [
        "|  | VMs | worker, ms | ARM calls |",
        "| --- | ---: | ---: | ---: |",
        "| app | 100 | 30.0 |  |",
        "| app | 1,000 | 1,031.0 |  |",
        "| floor | 100 | 200.0 | 4.3 |",
    ]


def test_a_target_that_is_missed_stands_out() -> None:
    """So that nobody reads over it."""
    verdicts = [
        Verdict("little", "much", met=False, size=1000),
        Verdict("much", "little", met=True, size=10),
    ]
    assert report.verdicts_table(verdicts).splitlines()[2:] == [
        "| little | 1,000 | much | **no** |",
        "| much | 10 | little | yes |",
    ]


def test_tables_are_written_where_the_page_names_them() -> None:
    """What stood there goes; all else stays. Doing it twice changes nothing."""
    page = "a\n<!-- benchmark: x -->\nold\n<!-- end -->\nb\n<!-- benchmark: y -->\n<!-- end -->\n"
    once = report.write_into(page, {"x": "new"})
    assert once == (
        "a\n<!-- benchmark: x -->\n\nnew\n\n<!-- end -->\nb\n<!-- benchmark: y -->\n<!-- end -->\n"
    )
    assert report.write_into(once, {"x": "new"}) == once
    with pytest.raises(report.PageError):
        report.write_into(page, {"z": "nowhere"})


@pytest.mark.deep  # the plotting library takes seconds to load
def test_a_plot_is_drawn_of_each_figure_that_was_measured(tmp_path: Path) -> None:
    """The same readings give the same file, so that a run without news changes nothing."""
    [first] = plots.draw(Readings.of(READINGS), tmp_path / "one")
    [second] = plots.draw(Readings.of(READINGS), tmp_path / "two")
    assert first.name == "cpu.svg"
    assert first.read_bytes() == second.read_bytes()
    assert ">app<" in first.read_text()
    assert ">floor<" not in first.read_text(), "one size is no growth"


def test_a_reading_that_was_not_taken_is_an_error() -> None:
    """It names what was looked for."""
    with pytest.raises(MissingReadingError) as missing:
        Readings.of(READINGS).value("cpu", "app", 100, "arm_calls")
    assert missing.value.wanted == ("cpu", "app", 100, "arm_calls")


def test_the_page_shows_the_results_beside_it() -> None:
    """Every table of docs/performance.md, the verdicts first, is what the results come to."""
    readings = readings_of(load(DOCS / "performance.json"))
    page = (DOCS / "performance.md").read_text()
    assert {each.figure for each in readings.all} == report.LAYOUTS.keys()
    assert report.write_into(page, tables_of(readings, verdicts_of(readings))) == page


def test_the_page_shows_every_plot_and_no_other() -> None:
    """Each one that it names is there."""
    page = (DOCS / "performance.md").read_text()
    for name in plots.PLOTS:
        assert f"(figures/{name}.svg)" in page
        assert (DOCS / "figures" / f"{name}.svg").exists()
    assert page.count("](figures/") == len(plots.PLOTS)
