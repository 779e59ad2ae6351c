"""Settings that hold for every test."""

import os

import pytest
from hypothesis import settings

# The machine's speed decides no test; on CI the same examples run each time.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds what integration tests can be told."""
    parser.getgroup("integration tests").addoption(
        "--service-bus",
        metavar="CONNECTION_STRING",
        help="the bus that tests/integration/test_named_bus.py uses; else the local one",
    )
