"""Settings that hold for every test of the local cloud, also where these are run alone."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings

# The machine's speed decides no test. Where the app's tests run too, their profile stands.
settings.register_profile("localcloud", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if settings.get_current_profile_name() == "default":
    settings.load_profile("localcloud")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds what the contract suite of the bus can be told, unless the app's tests add it too."""
    with suppress(ValueError):
        parser.getgroup("integration tests").addoption(
            "--service-bus",
            metavar="CONNECTION_STRING",
            help="the bus that test_servicebus_contract.py runs on; else the local one",
        )
