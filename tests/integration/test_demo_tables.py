"""Tables in a local cloud, on machines that can have Azurite and on those that can't."""

from pathlib import Path

import pytest

from demo.tables import with_tables
from localcloud.azurite import CACHE, is_installed, run_azurite
from localcloud.cloud import CloudOptions

pytestmark = pytest.mark.integration


async def test_an_installed_azurite_gives_tables_without_a_word(tmp_path: Path) -> None:
    """From the second start on there is nothing to tell."""
    async with run_azurite():
        assert is_installed(CACHE)
    told: list[str] = []
    options = await with_tables(CloudOptions(logs=tmp_path), told.append)
    assert options.tables
    assert told == []


async def test_without_npm_one_sentence_says_so_and_the_demo_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app remembers in memory then; nothing half is left behind."""
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    told: list[str] = []
    options = CloudOptions(logs=tmp_path)
    cache = tmp_path / "cache"
    assert await with_tables(options, told.append, cache) == options
    installing, problem = told
    assert installing.startswith("Installing Azurite ")
    assert "npm says: " in problem
    assert "ECONNREFUSED" in problem
    assert "\n" not in problem
    assert list(cache.iterdir()) == []


async def test_storage_that_the_settings_name_is_left_to_them(tmp_path: Path) -> None:
    """Nothing is installed for it."""
    told: list[str] = []
    named = {"PostureStorage__tableServiceUri": "https://example.table.core.windows.net"}
    options = CloudOptions(logs=tmp_path, settings=named)
    assert await with_tables(options, told.append, tmp_path / "cache") == options
    assert told == []
    assert not (tmp_path / "cache").exists()
