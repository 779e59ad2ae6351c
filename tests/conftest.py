"""Settings that hold for every test, and the one seed that all chance in them comes from."""

import os
from random import SystemRandom

import pytest
from hypothesis import settings

# The machine's speed decides no test. `make test` tries some examples of each property, other ones
# with each seed, and `make test-deep` many; on CI the same ones are tried each time.
settings.register_profile("quick", deadline=None, max_examples=20)
settings.register_profile("deep", deadline=None, max_examples=200)
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True, print_blob=True)
settings.register_profile("ci-deep", settings.get_profile("deep"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds what integration tests can be told."""
    parser.getgroup("integration tests").addoption(
        "--service-bus",
        metavar="CONNECTION_STRING",
        help="the bus that tests/integration/test_named_bus.py uses; else the local one",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Has Hypothesis draw from the seed that pytest-randomly prints, in every process of a run.

    So `--randomly-seed=N` repeats a run's examples as well as its order.
    """
    seed = getattr(config, "workerinput", {}).get(
        "randomly_seed", config.getoption("randomly_seed", None)
    )
    if seed == "default":
        seed = config.option.randomly_seed = SystemRandom().getrandbits(32)
    if isinstance(seed, int) and config.getoption("hypothesis_seed") is None:
        config.option.hypothesis_seed = str(seed)
