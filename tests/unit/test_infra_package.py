"""What is deployed: the app, and nothing else of the repository."""

import re
from pathlib import Path

from infra.package import shipped_files

_ROOT = Path(__file__).parents[2]
_APP = re.compile(
    r"function_app\.py|host\.json|requirements\.txt|(assessor|handlers)/([a-z_]+/)*[a-z_0-9]+\.py"
)


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
    assert shipped == modules | {"function_app.py", "host.json", "requirements.txt"}
