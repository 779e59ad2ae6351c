"""The demo's command line: what it takes, and what it refuses."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from demo.__main__ import app
from demo.cloud_options import make_options
from patch_assessor_cli.errors import ExitCode


@pytest.mark.parametrize("command", ["run", "up"])
def test_each_command_explains_itself(command: str) -> None:
    """`--help` says more than the usage line."""
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 10


@pytest.mark.parametrize("arguments", [["run", "--setting", "NO_VALUE"], ["run", "--vms", "-1"]])
def test_a_wrong_command_line_ends_with_code_2_before_anything_starts(
    arguments: list[str],
) -> None:
    """And says in words what is wrong with it."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == ExitCode.WRONG_USAGE, result.output
    assert "Traceback" not in result.output
    assert result.stderr.strip()


def test_app_settings_may_have_equals_signs_in_them() -> None:
    """Only the first one ends the name."""
    options = make_options(
        vms=1, seed=1, time_scale=60, workers=1, logs=Path("x"), settings=["A=b=c", "D="]
    )
    assert options.settings.items() >= {"A": "b=c", "D": ""}.items()


@pytest.mark.parametrize(
    ("time_scale", "settings", "expected"),
    [
        (1, [], ""),
        (20, [], "0.24"),
        (20, ["ASSESS_EXPECTED_MINUTES=3"], "3"),
    ],
)
def test_the_app_expects_what_fits_the_time_scale(
    time_scale: float, settings: list[str], expected: str
) -> None:
    """In real time what it knows of operating systems; else their middle, or what is set."""
    options = make_options(
        vms=1, seed=1, time_scale=time_scale, workers=1, logs=Path("x"), settings=settings
    )
    assert options.settings["ASSESS_EXPECTED_MINUTES"] == expected
