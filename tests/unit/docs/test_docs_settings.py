"""docs/settings.md has a row for each of the app's settings."""

from pathlib import Path

from assessor.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_every_setting_has_its_row() -> None:
    """But for the host's own storage, whose several names share one."""
    rows = "\n".join(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|"))
    names = {field.alias for field in Settings.model_fields.values() if field.alias}
    assert "`AzureWebJobsStorage…`" in rows
    missing = {
        name
        for name in names
        if not name.startswith("AzureWebJobsStorage") and f"`{name}`" not in rows
    }
    assert missing == set()
