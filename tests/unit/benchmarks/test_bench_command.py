"""What `python -m benchmarks` refuses before it measures anything."""

import pytest
import typer
from typer.testing import CliRunner, Result

from benchmarks.__main__ import main


def refused(*arguments: str) -> Result:
    """Returns what the command says; it ends as one does that was called in a wrong way."""
    app = typer.Typer()
    app.command()(main)
    ended = CliRunner().invoke(app, ["--no-keep", *arguments])
    assert ended.exit_code == 2
    return ended


def test_a_figure_that_there_is_not_is_named() -> None:
    """With those that there are."""
    said = refused("--figures=speed").output
    assert "speed" in said
    assert "makespan" in said


@pytest.mark.parametrize("option", ["--sizes", "--simulated"])
@pytest.mark.parametrize("sizes", ["many", "0", ""])
def test_sizes_are_numbers(option: str, sizes: str) -> None:
    """Above zero."""
    assert "number" in refused(f"{option}={sizes}").output
