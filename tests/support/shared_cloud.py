"""Local clouds for all tests that can't disturb each other there: one with one host, one with two.

To start a local cloud costs more than most tests do in it. Those whose app has the same settings,
that kill nothing, and that leave nothing waiting, share one: each has VMs of its own, and of what
came before it sees nothing. A test asks for it by the fixture `shared`, and is marked by `on_it`,
or by `shared_pair` and `on_the_pair`.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from assessor.resource_id import VirtualMachineId
from localcloud.arm.recorded import RECORDED_SUBSCRIPTION
from tests.support.cloud_harness import SUBSCRIPTIONS, Harness, Plan, running, vm

F = TypeVar("F", bound=Callable[..., Any])

SCANNED_SUBSCRIPTION: Final = "77777777-8888-4999-8aaa-bbbbbbbbbbbb"
"""Has the VMs of SCANNED, and no other."""
UNKNOWN_SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000009"
"""The app may assess it, and ARM does not know it."""
KINDS: Final = (
    "patches",
    "clean",
    "reboot-only",
    "counts-only",
    "warnings",
    "unknown",
    "odd",
    "huge",
    "result-failed",
    "operation-failed",
    "deallocated",
    "stopped",
    "no-agent",
    "deleting",
)
"""What the first VMs do, one of each kind."""
STOPPED: Final = range(100, 110)
"""VMs that are deallocated."""
QUICK: Final = range(110, 120)
"""VMs whose assessment takes a second."""
GENUINE: Final = 120
"""A VM that nobody assesses."""


def _vms_of(subscription: str, group: str, number: int) -> tuple[VirtualMachineId, ...]:
    return tuple(
        VirtualMachineId(subscription, f"{group}-{index % 2}", f"vm-{index}")
        for index in range(number)
    )


SCANNED: Final = _vms_of(SCANNED_SUBSCRIPTION, "group", 4)
"""VMs that nothing but a scan of their subscription has assessed."""
TOLD_OF: Final = _vms_of(SUBSCRIPTIONS[0], "events", 9)
"""VMs that events tell of."""


PAIRS_VMS: Final = range(100)
"""The VMs of the cloud with two hosts."""


def on_it(test: F) -> F:
    """Marks a test that uses the shared cloud: it runs in its event loop, and in its process."""
    marked: F = pytest.mark.xdist_group("shared cloud")(_IN_ITS_LOOP(test))
    return marked


def on_the_pair(test: F) -> F:
    """Marks a test that uses the shared cloud with two hosts, likewise."""
    marked: F = pytest.mark.xdist_group("shared pair")(_IN_ITS_LOOP(test))
    return marked


_IN_ITS_LOOP: Final = pytest.mark.asyncio(loop_scope="session")


def _plan() -> Plan:
    vms: list[Mapping[str, object]] = [
        *(vm(index, seconds=1, behaviour=kind) for index, kind in enumerate(KINDS)),
        *(vm(index, behaviour="deallocated") for index in STOPPED),
        *(vm(index, seconds=1) for index in QUICK),
        vm(GENUINE),
        *(
            {"id": str(each), "behaviour": "patches", "durationSeconds": 60}
            for each in (*SCANNED, *TOLD_OF)
        ),
    ]
    subscriptions = (
        *SUBSCRIPTIONS,
        SCANNED_SUBSCRIPTION,
        UNKNOWN_SUBSCRIPTION,
        RECORDED_SUBSCRIPTION,
    )
    return Plan(
        vms,
        recorded=True,
        settings={
            "ALLOWED_SCOPES": ",".join(f"/subscriptions/{each}" for each in subscriptions),
            "EVENT_SETTLE_SECONDS": "4",
        },
    )


@asynccontextmanager
async def running_shared(directory: Path) -> AsyncIterator[Harness]:
    """Runs the shared cloud."""
    async with running(directory, _plan()) as harness:
        yield harness


@asynccontextmanager
async def running_pair(directory: Path) -> AsyncIterator[Harness]:
    """Runs the shared cloud with two hosts, each of which works on few messages at a time."""
    plan = Plan([vm(index) for index in PAIRS_VMS], hosts=2, calls=4)
    async with running(directory, plan) as harness:
        yield harness


@asynccontextmanager
async def one_tests(harness: Harness) -> AsyncIterator[Harness]:
    """Gives the shared cloud to one test, which sees nothing of the ones before.

    What the test broke is mended after it, and what it asked is waited for, so that the next one
    finds a cloud at rest.
    """
    await harness.look_from_now_on()
    try:
        yield harness
    finally:
        await harness.mend_arm()
        await harness.mend_bus()

    async def at_rest() -> bool:
        return await harness.left() == 0

    await harness.until(at_rest, "nothing is left in the queues")
