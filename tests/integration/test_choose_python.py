"""Which Python the environment is made with, on machines that have this and that."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

_SCRIPT = Path(__file__).parents[2] / "scripts" / "choose-python"
_COREUTILS = "/usr/bin:/bin"
_REFUSES = "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n"


class Machine:
    """A machine that has nothing but what a test gives it."""

    def __init__(self, home: Path) -> None:
        """Starts with an empty home and an empty directory on the PATH."""
        self.home = home
        self.path = home / "bin"
        self.path.mkdir()
        for tool in ("head", "tail", "sh"):
            real = next(
                Path(each, tool) for each in _COREUTILS.split(":") if Path(each, tool).exists()
            )
            (self.path / tool).symlink_to(real)

    def has(self, place: str, text: str) -> str:
        """Puts a program somewhere below the home directory; returns its path."""
        file = self.home / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
        return str(file)

    def has_python(self, place: str, version: tuple[int, int], **changes: str) -> str:
        """Puts a Python there that says that it is of a version.

        It is the one that runs the tests, told to take itself for another; `changes` replaces what
        the programs that it is given call.
        """
        told = f"import sys; sys.version_info = ({version[0]}, {version[1]}, 0, 'final', 0)"
        lines = [told, *(f"{name} = {value}" for name, value in changes.items())]
        before = "\n".join(lines).replace("'", "'\\''")
        return self.has(place, f'#!/bin/sh\nexec {sys.executable} "$1" \'{before}\'"\n$2"\n')

    def choose(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs the script."""
        return subprocess.run(  # noqa: S603 - the repository's own script
            ["/bin/sh", str(_SCRIPT), *arguments],
            env={"HOME": str(self.home), "PATH": str(self.path), "CC": "true", **environment},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without any Python."""
    made = Machine(tmp_path)
    made.has("bin/true", "#!/bin/sh\n")  # stands for a C compiler
    return made


def _without(module: str) -> Mapping[str, str]:
    """Has the import of a module fail."""
    return {f"sys.modules['{module}']": "None"}


def test_the_newest_that_starts_is_taken(machine: Machine) -> None:
    """Whichever of them comes first on the PATH."""
    machine.has_python("bin/python3.11", (3, 11))
    newest = machine.has_python("bin/python3.13", (3, 13))
    machine.has_python("bin/python3.12", (3, 12))
    assert machine.choose().stdout.strip() == newest


def test_the_oldest_is_taken_when_asked_for(machine: Machine) -> None:
    """CI runs the unit tests on it too."""
    oldest = machine.has_python("bin/python3.11", (3, 11))
    machine.has_python("bin/python3.13", (3, 13))
    assert machine.choose("--oldest").stdout.strip() == oldest


def test_a_shim_that_refuses_is_passed_over_for_the_version_behind_it(machine: Machine) -> None:
    """There is a shim for each version that is installed; it starts those that are chosen."""
    shim = machine.has("bin/python3.13", _REFUSES)
    real = machine.has_python(".pyenv/versions/3.13.0/bin/python3.13", (3, 13))
    chosen = machine.choose()
    assert chosen.stdout.strip() == real
    assert f"{shim} does not start: pyenv: command not found" in chosen.stderr


def test_pyenv_is_found_where_it_says_that_it_is(machine: Machine) -> None:
    """PYENV_ROOT."""
    real = machine.has_python("opt/versions/3.12.4/bin/python3.12", (3, 12))
    assert machine.choose(PYENV_ROOT=str(machine.home / "opt")).stdout.strip() == real


@pytest.mark.parametrize("module", ["ensurepip", "venv"])
def test_a_python_without_venv_is_passed_over(machine: Machine, module: str) -> None:
    """As Debian's are until another package is installed, which is named."""
    bare = machine.has_python("bin/python3.12", (3, 12), **_without(module))
    whole = machine.has_python("bin/python3.11", (3, 11))
    chosen = machine.choose()
    assert chosen.stdout.strip() == whole
    assert f"{bare} has no venv module (on Debian: apt-get install python3.12-venv)" in (
        chosen.stderr
    )


def test_without_a_compiler_an_older_one_is_taken(machine: Machine) -> None:
    """The client of AMQP has wheels up to 3.12."""
    machine.has_python("bin/python3.13", (3, 13))
    older = machine.has_python("bin/python3.12", (3, 12))
    chosen = machine.choose(CC="no-such-compiler")
    assert chosen.stdout.strip() == older
    assert "needs a C compiler, no-such-compiler" in chosen.stderr


def test_without_pythons_headers_what_to_install_is_said(machine: Machine) -> None:
    """And where nothing else is there, it is an error."""
    headers = "lambda *_, **__: {**paths, 'include': '/nowhere'}"
    patched = {"import sysconfig; paths = sysconfig.get_paths(); sysconfig.get_paths": headers}
    machine.has_python("bin/python3.13", (3, 13), **patched)
    chosen = machine.choose()
    assert chosen.returncode == 1
    assert "needs Python.h" in chosen.stderr
    assert "apt-get install python3.13-dev" in chosen.stderr


def test_one_that_is_named_is_taken_wherever_it_is(machine: Machine) -> None:
    """By its path or by its name, though a newer one is there."""
    machine.has_python("bin/python3.13", (3, 13))
    named = machine.has_python("elsewhere/mine", (3, 12))
    assert machine.choose(named).stdout.strip() == named


@pytest.mark.parametrize("version", [(2, 7), (3, 10), (3, 14)])
def test_one_that_is_named_and_does_not_fit_is_an_error(
    machine: Machine, version: tuple[int, int]
) -> None:
    """It says which ones do; no other is taken in its place."""
    machine.has_python("bin/python3.13", (3, 13))
    named = machine.has_python("elsewhere/mine", version)
    chosen = machine.choose(named)
    assert (chosen.returncode, chosen.stdout) == (1, "")
    assert f"is Python {version[0]}.{version[1]}; 3.11, 3.12 or 3.13 is needed" in chosen.stderr


def test_one_that_is_named_and_is_not_there_is_an_error(machine: Machine) -> None:
    """By its name."""
    chosen = machine.choose("python3.13")
    assert (chosen.returncode, chosen.stderr) == (1, "python3.13 is not on the PATH\n")


def test_without_any_it_is_said_which_to_install(machine: Machine) -> None:
    """Nothing on the PATH and no pyenv."""
    chosen = machine.choose()
    assert (chosen.returncode, chosen.stdout) == (1, "")
    assert "install 3.11, 3.12 or 3.13" in chosen.stderr


def test_the_environment_that_runs_the_tests_would_be_chosen() -> None:
    """The script's conditions hold for a real Python, as for the made ones above."""
    real = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    chosen = subprocess.run(  # noqa: S603 - the repository's own script
        [str(_SCRIPT), str(real)], env=os.environ, capture_output=True, text=True, check=False
    )
    assert (chosen.returncode, chosen.stdout.strip()) == (0, str(real)), chosen.stderr
