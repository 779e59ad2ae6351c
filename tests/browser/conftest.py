"""Spares a run without deep tests what the browser tests import: each process would read it."""

import pytest


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Passes over the folder where its tests, all of them deep, are not asked for."""
    return True if config.option.markexpr == "not deep" else None
