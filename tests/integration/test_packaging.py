"""The command `patch-assessor`, installed with pip from the repository, apart from the app."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CLIENTS = ("send", "watch", "posture", "patches", "console", "dead-letters")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment of its own that has the command.

    The distribution is made and installed as `pip install .` does. Its libraries are lent from this
    environment: that pip can fetch them is pip's business, and that they are all named is tested
    apart.
    """
    directory = tmp_path_factory.mktemp("install")
    source = directory / "source"
    for package in ("patch_assessor_cli", "patch_assessor_console"):
        shutil.copytree(
            ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "dotnet_text.py", "plain_text.py"):
        shutil.copy(ROOT / name, source)
    _pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "-w", directory, source)

    venv.create(directory / "venv")
    python = directory / "venv" / "bin" / "python"
    (wheel,) = directory.glob("*.whl")
    _pip(sys.executable, "--python", python, "install", "--no-deps", "--no-index", wheel)
    (site_packages,) = (directory / "venv" / "lib").glob("python*/site-packages")
    (site_packages / "lent.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python.parent


def test_the_command_explains_itself_anywhere(installed: Path, tmp_path: Path) -> None:
    """Without the repository, the app or the local cloud, it has the clients and nothing else."""
    shown = _run(installed / "patch-assessor", "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    listed = shown.stdout.partition("Commands:")[2]
    assert re.findall(r"^  (\S+)", listed, re.MULTILINE) == list(CLIENTS)
    each_ones_help = (
        "from typer.testing import CliRunner; from patch_assessor_cli.clients import make_app; "
        "app = make_app(); "
        f"print(*(CliRunner().invoke(app, [name, '--help']).exit_code for name in {CLIENTS}))"
    )
    explained = _run(installed / "python", "-c", each_ones_help, cwd=tmp_path)
    assert explained.stdout.split() == ["0"] * len(CLIENTS), explained.stderr
    absent = ("assessor", "localcloud", "demo", "function_app")
    looked_for = f"import importlib.util as u; print(*map(u.find_spec, {absent}))"
    found = _run(installed / "python", "-c", looked_for, cwd=tmp_path)
    assert found.stdout.split() == ["None"] * len(absent), found.stderr


def test_the_command_says_in_a_sentence_that_it_was_not_told_where_to_go(
    installed: Path, tmp_path: Path
) -> None:
    """There is no local cloud where there is no repository."""
    ended = _run(installed / "patch-assessor", "watch", "--for", "1", cwd=tmp_path)
    assert ended.returncode == 1
    assert "--namespace" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_every_library_that_the_command_imports_is_one_of_its_dependencies(
    installed: Path, tmp_path: Path
) -> None:
    """Named in pyproject.toml, or brought by one that is."""
    listing = (
        "import sys, patch_assessor_cli.clients; patch_assessor_cli.clients.make_app(); "
        "print(*{each.partition('.')[0] for each in sys.modules})"
    )
    ended = _run(installed / "python", "-c", listing, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    distributions = packages_distributions()
    imported = {
        canonicalize_name(distribution)
        for module in ended.stdout.split()
        if module != "azure"  # a namespace of dozens of distributions
        for distribution in distributions.get(module, ())
    } - {canonicalize_name(PROJECT["name"])}
    assert imported - _closure(PROJECT["dependencies"]) <= {"setuptools", "pip"}
    assert {"typer", "rich"} <= imported, "what is imported was seen"


def test_the_console_is_an_extra_with_its_files(installed: Path, tmp_path: Path) -> None:
    """Its command explains itself without its libraries; its style and scripts are in the wheel."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extra = pyproject["project"]["optional-dependencies"]["console"]
    assert extra == pyproject["dependency-groups"]["console"]
    listing = (
        "import patch_assessor_console as c, pathlib; "
        "page = pathlib.Path(c.__file__).parent / 'page'; "
        "print(*sorted(p.name for p in page.glob('*.[cj]s*')))"
    )
    ended = _run(installed / "python", "-c", listing, cwd=tmp_path)
    assert ended.stdout.split() == ["console.css", "data_table.js", "waterfall.js"], ended.stderr


def _closure(named: list[str]) -> set[str]:
    """Returns the names of these distributions and of all that they bring."""
    found: set[str] = set()
    waiting = [Requirement(each) for each in named]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if name in found or not applies:
            continue
        found.add(name)
        try:
            waiting += [Requirement(each) for each in requires(name) or ()]
        except PackageNotFoundError:
            continue
    return found


def _pip(python: Path | str, *arguments: str | Path) -> None:
    ended = _run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)
    assert ended.returncode == 0, ended.stderr


def _run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - what the test itself names
        command, cwd=cwd, env={"COLUMNS": "100"}, capture_output=True, text=True, check=False
    )
