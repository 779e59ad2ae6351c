"""The bus redelivers, refuses and goes away; each request still has one outcome and one begin."""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from assessor.messages.in_progress import parse_in_progress
from assessor.messages.progress import AssessmentProgress
from tests.support.cloud_harness import (
    IN_PROGRESS,
    OUTCOMES,
    REQUESTS,
    RESULTS,
    Harness,
    Plan,
    Request,
    body_of,
    running,
    vm,
    vm_id,
)

pytestmark = pytest.mark.fault

VMS = 12
HOSTS = 2
BLOWS = 5
HANDED_OVER_TWICE = 5
"""Fewer than MaxDeliveryCount: all of them may hit one message."""


async def lose_locks(harness: Harness) -> bool:
    """Takes every lock away from under its invocation; returns whether there was one."""
    expired: list[int] = [
        (await harness.bus_control("/locks/expire", entity=queue))["expired"]
        for queue in (REQUESTS, IN_PROGRESS)
    ]
    return sum(expired) > 0


async def cut_connections(harness: Harness) -> bool:
    """Cuts all connections; returns whether a message was being worked on."""
    busy = await is_busy(harness)
    await harness.bus_control("/connections/drop")
    return busy


async def restart(harness: Harness) -> bool:
    """Restarts the bus; returns whether a message was being worked on."""
    busy = await is_busy(harness)
    await harness.cloud.restart_bus()
    return busy


@pytest.mark.parametrize(
    "blow", [lose_locks, cut_connections, pytest.param(restart, marks=pytest.mark.deep)]
)
async def test_what_the_bus_takes_away_is_done_again_without_a_trace(
    tmp_path: Path, blow: Callable[[Harness], Awaitable[bool]]
) -> None:
    """Locks, connections and the bus itself go away again and again in the middle of the work."""
    asked = [Request(f"r-{index}", vm_id(index)) for index in range(VMS)]
    async with running(tmp_path, Plan(fleet_of(VMS), hosts=HOSTS)) as harness:
        await harness.ask(asked)
        struck = 0
        for _ in range(BLOWS):
            await harness.until(lambda: is_busy_or_done(harness), "a message is worked on")
            struck += await blow(harness)
        await harness.until_told(VMS)

        assert struck > 0
        await check_all_told_once(harness, asked)


async def test_a_message_delivered_to_two_workers_at_once_counts_once(tmp_path: Path) -> None:
    """Each request, and then some of what is handed over, is delivered twice at the same time."""
    asked = [Request(f"r-{index}", vm_id(index)) for index in range(VMS)]
    async with running(tmp_path, Plan(fleet_of(VMS), hosts=HOSTS)) as harness:
        await harness.bus_control("/duplicate", entity=IN_PROGRESS, count=HANDED_OVER_TWICE)
        for index, request in enumerate(asked, 1):
            await harness.bus_control("/duplicate", entity=REQUESTS, count=1)
            await harness.ask([request])
            await harness.until(
                partial(is_taken, harness, index), f"{request.request_id} is delivered"
            )
        await harness.until_told(VMS)

        tallies = [(await harness.host_status(host))["invocations"] for host in harness.cloud.hosts]
        messages = [(await harness.counts(queue)).total for queue in (REQUESTS, IN_PROGRESS)]
        assert all(tally["succeeded"] > 0 for tally in tallies)
        assert sum(tally["succeeded"] for tally in tallies) > sum(messages)
        await check_all_told_once(harness, asked)


async def test_outcomes_wait_for_a_results_topic_that_is_down(tmp_path: Path) -> None:
    """Until each was refused the topic takes nothing: none is lost, none is doubled."""
    asked = [Request(f"r-{index}", vm_id(index)) for index in range(VMS)]
    async with running(tmp_path, Plan(fleet_of(VMS))) as harness:
        await harness.break_bus(
            entity=RESULTS, operation="send", condition="com.microsoft:server-busy"
        )
        await harness.ask(asked)
        postponed: set[str] = set()

        async def all_postponed() -> bool:
            for message in await harness.waiting():
                progress = parse_in_progress(body_of(message))
                if isinstance(progress, AssessmentProgress) and progress.attempt > 0:
                    postponed.add(progress.request.request_id)
            return len(postponed) == VMS

        await harness.until(all_postponed, "each conclusion is refused and waits on the bus")
        assert (await harness.counts(OUTCOMES)).total == 0
        await harness.mend_bus()
        await harness.until_told(VMS)

        await check_all_told_once(harness, asked)


def fleet_of(vms: int) -> list[dict[str, object]]:
    """Returns VMs that all run and have patches."""
    return [vm(index) for index in range(vms)]


async def is_taken(harness: Harness, requests: int) -> bool:
    """Returns whether so many requests have arrived, and each was given to a worker."""
    counts = await harness.counts(REQUESTS)
    return counts.total == requests and counts.active == 0


async def is_busy(harness: Harness) -> bool:
    """Returns whether a message is being worked on."""
    locked = [(await harness.counts(queue)).locked for queue in (REQUESTS, IN_PROGRESS)]
    return sum(locked) > 0


async def is_busy_or_done(harness: Harness) -> bool:
    """Returns whether there is something to disturb, or will never be again."""
    return await is_busy(harness) or (await harness.counts(OUTCOMES)).total == VMS


async def check_all_told_once(harness: Harness, asked: list[Request]) -> None:
    """Checks that each request has one outcome, one begin, and no dead letter."""
    outcomes, posts = await harness.outcomes(), await harness.posts()
    assert Counter(each.request_id for each in outcomes) == Counter(
        each.request_id for each in asked
    )
    assert {each.type for each in outcomes} == {"AssessmentCompleted"}
    begun = Counter(post.client_request_id for post in posts if post.activity_id is not None)
    assert begun == Counter(each.client_request_id for each in asked)
    for queue in (REQUESTS, IN_PROGRESS):
        assert (await harness.counts(queue)).dead_letter == 0
