"""Workers are told to go, or meet messages that they can't take."""

from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage

from tests.support.cloud_harness import (
    IN_PROGRESS,
    OUTCOMES,
    REQUESTS,
    Harness,
    Plan,
    Request,
    body_of,
    running,
    vm,
    vm_id,
)
from tests.support.shared_cloud import QUICK, on_it

pytestmark = pytest.mark.fault

VMS = 6
DELIVERIES = 10
"""The in-progress queue's MaxDeliveryCount in infra/servicebus.json."""
HOLD_SECONDS = 120
"""Longer than any assessment here: a worker would see each to its end if it could stay."""


async def test_a_worker_that_is_told_to_go_hands_over_what_it_holds(tmp_path: Path) -> None:
    """It is gone while its operations run on; the next worker follows them, begins none again."""
    asked = [Request(f"r-{index}", vm_id(index)) for index in range(VMS)]
    plan = Plan(
        [vm(index, seconds=15) for index in range(VMS)],
        settings={"ASSESS_HOLD_SECONDS": str(HOLD_SECONDS)},
        lock="PT5M",  # what it left locked would be seen as a message that does not come back
    )
    async with running(tmp_path, plan) as harness:
        (first,) = harness.cloud.hosts
        await harness.ask(asked)
        await harness.until(lambda: holds(harness, VMS), "the worker holds all operations")
        await harness.cloud.stop_host(first)

        assert (await harness.counts(OUTCOMES)).total == 0  # all of them still ran
        waiting = await harness.waiting()
        assert len(waiting) == VMS
        assert all(not message.delivery_count for message in waiting)
        assert (await harness.counts(REQUESTS)).left == 0
        assert (await harness.counts(IN_PROGRESS)).locked == 0

        await harness.cloud.add_host()
        await harness.until_told(VMS)
        outcomes, posts = await harness.outcomes(), await harness.posts()
        assert sorted(each.request_id for each in outcomes) == [each.request_id for each in asked]
        assert [post.status for post in posts] == [202] * VMS


async def holds(harness: Harness, operations: int) -> bool:
    """Returns whether so many operations run and each is held by an invocation."""
    posts = await harness.posts()
    locked = (await harness.counts(REQUESTS)).locked
    return len(posts) == operations == locked


@on_it
async def test_a_message_that_no_worker_can_take_ends_as_a_dead_letter(shared: Harness) -> None:
    """After its last delivery it lies there with its reason; what came with it is not held up."""
    poison = ServiceBusMessage(b'{"progress": "of somebody else"}', message_id="poison")
    (host,) = shared.cloud.hosts
    failed_before = (await shared.host_status(host))["invocations"]["failed"]
    await shared.send(IN_PROGRESS, [poison])
    await shared.ask([Request("r", vm_id(QUICK[8]))])
    await shared.until_told(1)

    letter = await shared.take_dead_letter(IN_PROGRESS)
    assert letter.message_id == "poison"
    assert letter.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert body_of(letter) == b'{"progress": "of somebody else"}'
    failed = (await shared.host_status(host))["invocations"]["failed"] - failed_before
    assert failed == DELIVERIES
    assert [each.request_id for each in await shared.outcomes()] == ["r"]
