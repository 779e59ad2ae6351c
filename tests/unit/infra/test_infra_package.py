"""What is deployed: the app, and nothing else of the repository."""

import re
import shutil
from pathlib import Path

import pytest

from infra.package import shipped_files

_ROOT = Path(__file__).parents[3]
_APP = re.compile(
    r"(dotnet_datacontract|dotnet_text|function_app|ncrontab|plain_text)\.py|host\.json|requirements\.txt|(assessor|handlers)/([a-z_]+/)*[a-z_0-9]+\.py"
)
_FILES = {
    "function_app.py",
    "ncrontab.py",
    "dotnet_datacontract.py",
    "dotnet_text.py",
    "plain_text.py",
    "host.json",
    "requirements.txt",
}
"""What the host and the build read beside the app's own modules."""


def test_the_app_is_shipped_and_nothing_else() -> None:
    """Neither tests nor the local cloud, nor anything that a developer left lying about."""
    shipped = [path.as_posix() for path in shipped_files(_ROOT)]
    assert [path for path in shipped if not _APP.fullmatch(path)] == []


def test_all_of_the_app_is_shipped() -> None:
    """Every module that git would commit, and what the host and the build read."""
    shipped = {path.as_posix() for path in shipped_files(_ROOT)}
    modules = {
        path.relative_to(_ROOT).as_posix()
        for folder in ("assessor", "handlers")
        for path in (_ROOT / folder).rglob("*.py")
    }
    assert shipped == modules | _FILES


@pytest.mark.parametrize(
    "left",
    [
        ".azure/dev/.env",
        ".devcontainer/devcontainer.json",
        ".github/workflows/azure-dev.yml",
        ".venv/lib/python3.13/site-packages/aiohttp/__init__.py",
        "app.zip",
        "assessor/__pycache__/app.cpython-313.pyc",
        "demo/plan.py",
        "env/lib/python3.13/site-packages/aiohttp/__init__.py",
        "infra/hooks/.venv/pyvenv.cfg",
        "infra/main.default.snapshot.json",
        "local.settings.json",
        "node_modules/azurite/package.json",
        "package.json",
        "patch-assessor_env/lib/python3.13/site-packages/aiohttp/__init__.py",
        "patch_assessor_env/bin/python",
        "requirements-dev.txt",
        "venv/pyvenv.cfg",
    ],
)
def test_what_tools_and_developers_leave_is_not_shipped(left: str, tmp_path: Path) -> None:
    """`azd restore` makes NAME_env in the root, others venv, npm node_modules: none is the app."""
    shutil.copy(_ROOT / ".funcignore", tmp_path)
    for name in _FILES | {"assessor/errors.py", left}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shipped = {path.as_posix() for path in shipped_files(tmp_path)}
    assert shipped == _FILES | {"assessor/errors.py"}
