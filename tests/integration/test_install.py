"""What installs the environment's packages: uv, and pip where uv can't."""

import subprocess
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "install"

pytestmark = pytest.mark.integration


def _environment(folder: Path, *, uv: int, pip: int) -> Path:
    """Makes an environment whose uv and pip note what they are asked, and end with these codes."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    asked = folder / "asked"
    for name, code in (("uv", uv), ("python", pip)):
        program = programs / name
        program.write_text(
            f'#!/bin/sh\necho "{name} $*" >>{asked}\n'
            f'case "$*" in *uv==*) exit 0;; *) exit {code};; esac\n'
        )
        program.chmod(0o755)
    return folder


def _install(environment: Path) -> tuple[int, list[str]]:
    """Returns the script's code, and what was asked for after uv itself, without options."""
    done = subprocess.run(  # noqa: S603 - our own script
        [_SCRIPT, environment, "--requirement", "some.txt"], check=False
    )
    first, *rest = (environment / "asked").read_text().splitlines()
    assert first.startswith("python -m pip install")
    assert "uv==" in first
    assert all(each.endswith("--requirement some.txt") for each in rest)
    return done.returncode, [each.partition(" ")[0] for each in rest]


def test_uv_installs_what_it_can(tmp_path: Path) -> None:
    """Then pip is asked for uv alone."""
    assert _install(_environment(tmp_path / "env", uv=0, pip=1)) == (0, ["uv"])


def test_what_uv_does_not_find_pip_installs(tmp_path: Path) -> None:
    """An index that only pip's configuration names, for one."""
    assert _install(_environment(tmp_path / "env", uv=2, pip=0)) == (0, ["uv", "python"])


def test_what_neither_can_install_is_an_error(tmp_path: Path) -> None:
    """So that make does not take the environment for ready."""
    code, asked = _install(_environment(tmp_path / "env", uv=2, pip=1))
    assert (code != 0, asked) == (True, ["uv", "python"])
