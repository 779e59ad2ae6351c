"""Settings that hold for every test, and the one seed that all chance in them comes from."""

import gc
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from tests.support.dealing import deal

if TYPE_CHECKING:
    from tests.support.cloud_harness import Harness

PROCESSES_A_CORE = 3
MOST_PROCESSES = 12
GARBAGE_THRESHOLD = 20_000
"""New objects before garbage is looked for: ten times Python's own number, in processes that are
short-lived and keep their reports."""
SECONDS_OF_REAL_PARTS = 10.0
"""What a test that starts them takes of a core, if its mark `takes` does not say otherwise."""

# The machine's speed decides no test. `make test` tries some examples of each property, other ones
# with each seed, and `make test-deep` many; on CI the same ones are tried each time.
settings.register_profile(
    "quick", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=7
)
settings.register_profile("deep", settings.get_profile("quick"), max_examples=100)
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True, print_blob=True)
settings.register_profile("ci-deep", settings.get_profile("deep"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds what integration tests can be told, unless the local cloud's tests have added it."""
    with suppress(ValueError):
        parser.getgroup("integration tests").addoption(
            "--service-bus",
            metavar="CONNECTION_STRING",
            help="the bus that test_named_bus.py and test_servicebus_contract.py run on; "
            "else the local one",
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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """More processes than cores, because most tests wait; unit tests never do, so one for each.

    Each process reads all tests before it runs the first one, so that many are no gain.
    """
    cores = os.cpu_count() or 1
    computes = all("unit" in Path(each.partition("::")[0]).parts for each in config.args)
    return min(MOST_PROCESSES, cores if computes else PROCESSES_A_CORE * cores)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Lets no garbage be looked for while all modules are read, nor afterwards among what they are.

    Nothing of it is garbage, and each process reads them all: it takes a third of that time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD)
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Has each process of a run begin with its share of the tests that take long.

    These are the tests that start real parts, and those whose mark `takes` says that they do. Those
    that share a part stay together, so that it is started once: those of one `xdist_group`, those
    that use Azurite, and those of a module that has a fixture for all of its tests.

    Raises:
        pytest.UsageError: `make test-deep` would not find one of its tests.
    """
    for path in {item.path for item in items if _is_deep(item)}:
        if not any(word in path.read_text() for word in ("mark.deep", "hypothesis")):
            raise pytest.UsageError(f"{path} has a deep test and does not say mark.deep")
    result = yield
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = deal(items, processes, _group_of, _seconds_of)
    return result


def _is_deep(item: pytest.Item) -> bool:
    drawn = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    return drawn or item.get_closest_marker("deep") is not None


def _group_of(item: pytest.Item) -> str | None:
    mark = item.get_closest_marker("xdist_group")
    if mark is not None:
        return str(mark.args[0])
    if not isinstance(item, pytest.Function) or not _starts_real_parts(item):
        return None
    if "azurite" in item.fixturenames:
        return "azurite"
    used = (found[-1] for found in item._fixtureinfo.name2fixturedefs.values())
    module = item.nodeid.partition("::")[0]
    return module if any(each.scope == "module" and each.baseid for each in used) else None


def _seconds_of(item: pytest.Item) -> float:
    mark = item.get_closest_marker("takes")
    if mark is not None:
        return float(mark.args[0])
    return SECONDS_OF_REAL_PARTS if _starts_real_parts(item) else 0.0


def _starts_real_parts(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("integration", "fault"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_cloud(tmp_path_factory: pytest.TempPathFactory) -> "AsyncIterator[Harness]":
    """The local cloud of tests.support.shared_cloud, as long as the session."""
    from tests.support.shared_cloud import running_shared  # noqa: PLC0415 - only who needs it

    async with running_shared(tmp_path_factory.mktemp("shared-cloud")) as harness:
        yield harness


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> "AsyncIterator[Harness]":
    """The local cloud with two hosts of tests.support.shared_cloud, as long as the session."""
    from tests.support.shared_cloud import running_pair  # noqa: PLC0415 - only who needs it

    async with running_pair(tmp_path_factory.mktemp("shared-pair")) as harness:
        yield harness


@pytest_asyncio.fixture(loop_scope="session")
async def shared_pair(pair: "Harness") -> "AsyncIterator[Harness]":
    """The shared cloud with two hosts, as one test sees it."""
    from tests.support.shared_cloud import one_tests  # noqa: PLC0415 - only who needs it

    async with one_tests(pair) as harness:
        yield harness


@pytest_asyncio.fixture(loop_scope="session")
async def shared(shared_cloud: "Harness") -> "AsyncIterator[Harness]":
    """The shared cloud, as one test sees it: nothing happened there before."""
    from tests.support.shared_cloud import one_tests  # noqa: PLC0415 - only who needs it

    async with one_tests(shared_cloud) as harness:
        yield harness
