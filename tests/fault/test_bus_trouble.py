"""The bus redelivers, refuses and goes away; each request still has one outcome and one begin."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import pytest

from assessor.messages.in_progress import parse_in_progress
from assessor.messages.progress import AssessmentProgress
from tests.support.cloud_harness import (
    IN_PROGRESS,
    REQUESTS,
    RESULTS,
    Harness,
    Request,
    body_of,
    vm_id,
)
from tests.support.shared_cloud import on_the_pair

pytestmark = pytest.mark.fault

VMS = 12
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


FIRST_VM: Final[Mapping[Callable[[Harness], Awaitable[bool]], int]] = {
    lose_locks: 0,
    cut_connections: VMS,
    restart: 2 * VMS,
}


@on_the_pair
@pytest.mark.parametrize(
    "blow", [lose_locks, cut_connections, pytest.param(restart, marks=pytest.mark.deep)]
)
async def test_what_the_bus_takes_away_is_done_again_without_a_trace(
    shared_pair: Harness, blow: Callable[[Harness], Awaitable[bool]]
) -> None:
    """Locks, connections and the bus itself go away again and again in the middle of the work."""
    asked = requests_for(FIRST_VM[blow])
    await shared_pair.ask(asked)
    struck = 0
    for _ in range(BLOWS):
        await shared_pair.until(lambda: is_busy_or_done(shared_pair), "a message is worked on")
        struck += await blow(shared_pair)
    await shared_pair.until_told(VMS)

    assert struck > 0
    await check_all_told_once(shared_pair, asked)


@on_the_pair
async def test_a_message_delivered_to_two_workers_at_once_counts_once(shared_pair: Harness) -> None:
    """Each request, and then some of what is handed over, is delivered twice at the same time."""
    asked = requests_for(3 * VMS)
    succeeded_before = await succeeded(shared_pair)
    messages_before = await messages(shared_pair)
    requests_before = (await shared_pair.counts(REQUESTS)).total
    await shared_pair.bus_control("/duplicate", entity=IN_PROGRESS, count=HANDED_OVER_TWICE)
    for index, request in enumerate(asked, 1):
        await shared_pair.bus_control("/duplicate", entity=REQUESTS, count=1)
        await shared_pair.ask([request])
        await shared_pair.until(
            partial(is_taken, shared_pair, requests_before + index),
            f"{request.request_id} is delivered",
        )
    await shared_pair.until_told(VMS)

    invocations = [
        after - before
        for after, before in zip(await succeeded(shared_pair), succeeded_before, strict=True)
    ]
    assert all(each > 0 for each in invocations)
    assert sum(invocations) > await messages(shared_pair) - messages_before
    await check_all_told_once(shared_pair, asked)


@on_the_pair
async def test_outcomes_wait_for_a_results_topic_that_is_down(shared_pair: Harness) -> None:
    """Until each was refused the topic takes nothing: none is lost, none is doubled."""
    asked = requests_for(4 * VMS)
    await shared_pair.break_bus(
        entity=RESULTS, operation="send", condition="com.microsoft:server-busy"
    )
    await shared_pair.ask(asked)
    postponed: set[str] = set()

    async def all_postponed() -> bool:
        for message in await shared_pair.waiting():
            progress = parse_in_progress(body_of(message))
            if isinstance(progress, AssessmentProgress) and progress.attempt > 0:
                postponed.add(progress.request.request_id)
        return len(postponed) == VMS

    await shared_pair.until(all_postponed, "each conclusion is refused and waits on the bus")
    assert await shared_pair.arrived() == 0
    await shared_pair.mend_bus()
    await shared_pair.until_told(VMS)

    await check_all_told_once(shared_pair, asked)


def requests_for(first: int) -> list[Request]:
    """Returns requests for VMs of the test's own, which all run and have patches."""
    return [Request(f"r-{index}", vm_id(index)) for index in range(first, first + VMS)]


async def succeeded(harness: Harness) -> list[int]:
    """Returns how many invocations of each host have succeeded."""
    statuses = [await harness.host_status(host) for host in harness.cloud.hosts]
    return [status["invocations"]["succeeded"] for status in statuses]


async def messages(harness: Harness) -> int:
    """Returns how many messages have arrived for the app."""
    return sum([(await harness.counts(queue)).total for queue in (REQUESTS, IN_PROGRESS)])


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
    return await is_busy(harness) or await harness.arrived() == VMS


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
