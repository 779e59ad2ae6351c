"""How much is broken: more seeds and more requests than the default ones, on demand."""

import pytest

SEEDS = 3
REQUESTS = 40


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options; they are known where tests/fault is named on the command line."""
    group = parser.getgroup("fault tests")
    group.addoption("--seeds", type=int, default=SEEDS, help="how many seeds chaos runs with")
    group.addoption("--requests", type=int, default=REQUESTS, help="requests in each such run")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs what takes a seed once for each of them."""
    config = metafunc.config
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, config.getoption("--seeds", SEEDS) + 1))
    if "requests" in metafunc.fixturenames:
        metafunc.parametrize("requests", [config.getoption("--requests", REQUESTS)])
