"""ARM refuses, forgets and breaks off; nobody waits in a worker, and nothing begins twice."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.cloud_harness import (
    IN_PROGRESS,
    REQUESTS,
    SUBSCRIPTIONS,
    Harness,
    Plan,
    Post,
    Request,
    running,
    vm,
    vm_id,
)
from tests.support.shared_cloud import PAIRS_VMS, QUICK, on_it, on_the_pair

pytestmark = pytest.mark.fault

RETRY_AFTER = 1200
POST: dict[str, object] = {"operation": "assess"}
POLL: dict[str, object] = {"operation": "operation"}
COUNTS = ("status", "criticalAndSecurityPatchCount", "otherPatchCount", "rebootPending")


async def test_a_throttled_begin_holds_no_lock_and_holds_back_its_region(tmp_path: Path) -> None:
    """A 429 is one POST and a scheduled message; its neighbours wait without one of their own."""
    throttled, neighbour, elsewhere, other_subscription = 0, 4, 2, 1
    free = (elsewhere, other_subscription)
    vms = [vm(index, seconds=1) for index in (throttled, neighbour, *free)]
    asked_at = datetime.now(UTC)

    async with running(tmp_path, Plan(vms)) as harness:
        answer = {"status": 429, "retryAfter": RETRY_AFTER}
        await harness.break_arm({"match": {**POST, "vm": vm_id(throttled)}, "answer": answer})
        await harness.ask([Request("throttled", vm_id(throttled))])
        await until_waiting(harness, 1)
        await harness.ask([Request("neighbour", vm_id(neighbour))])
        await until_waiting(harness, 2)
        await harness.ask([Request(f"free-{index}", vm_id(index)) for index in free])
        await harness.until_outcomes(len(free))

        posts = await harness.posts()
        assert sorted((post.vm_id, post.status) for post in posts) == sorted(
            [(vm_id(throttled), 429), *((vm_id(index), 202) for index in free)]
        )
        for message in await harness.waiting():
            due = message.scheduled_enqueue_time_utc
            assert due is not None
            assert due >= asked_at + timedelta(seconds=RETRY_AFTER)
        for queue in (REQUESTS, IN_PROGRESS):
            counts = await harness.counts(queue)
            assert (counts.active, counts.locked) == (0, 0)


@on_it
async def test_a_post_without_an_answer_begins_once(shared: Harness) -> None:
    """Whether the lost POST began something is asked of ARM, and what it began is followed."""
    answers = ("reset-after", "reset", 500, 503, 408)
    asked = [Request(f"lost-{answer}", vm_id(QUICK[n])) for n, answer in enumerate(answers)]
    for request, answer in zip(asked, answers, strict=True):
        await shared.break_arm(
            {"match": {**POST, "vm": request.vm_id}, "answer": answer, "count": 1}
        )
    await shared.ask(asked)
    await shared.until_told(len(asked))

    outcomes, posts = await shared.outcomes(), await shared.posts()
    assert {each.type for each in outcomes} == {"AssessmentCompleted"}
    assert begun_by_request(posts, asked) == {
        each.request_id: [each.data["assessmentActivityId"]] for each in outcomes
    }
    tries = Counter(post.vm_id for post in posts)
    assert [tries[request.vm_id] for request in asked] == [1, 2, 2, 2, 2]


@on_it
async def test_a_lost_operation_is_concluded_with_its_counts(shared: Harness) -> None:
    """The instance view gives the counts; the outcome says why the list is missing."""
    forbidden, forgotten = vm_id(QUICK[6]), vm_id(QUICK[7])
    asked = [Request("forbidden", forbidden), Request("forgotten", forgotten)]
    told = {
        "forbidden": (
            "403 AuthorizationFailed",
            "Microsoft.Compute/locations/operations/read",
            f"/subscriptions/{SUBSCRIPTIONS[0]}",
        ),
        "forgotten": ("404 NotFound", "no longer knew the operation"),
    }
    await shared.break_arm(
        {
            "match": {**POLL, "vm": forbidden},
            "answer": {"status": 403, "code": "AuthorizationFailed"},
        },
        {"match": {**POLL, "vm": forgotten}, "answer": {"status": 404, "code": "NotFound"}},
    )
    await shared.ask(asked)
    await shared.until_told(len(asked))

    vms = await shared.vms()
    for outcome in await shared.outcomes():
        known = vms[outcome.vm_id]
        assert outcome.type == "AssessmentCompleted"
        assert [outcome.data["assessmentActivityId"]] == known["activityIds"]
        for name in COUNTS:
            assert outcome.data[name] == known[name]
        assert outcome.data["availablePatches"] is None
        for words in told[outcome.request_id]:
            assert words in outcome.data["availablePatchesMissing"]


@on_the_pair
async def test_requests_for_one_vm_at_the_same_time_share_its_assessment(
    shared_pair: Harness,
) -> None:
    """Six requests, one assessment, six outcomes that all tell of it."""
    asked = [Request(f"shared-{index}", vm_id(PAIRS_VMS[-1])) for index in range(6)]
    await shared_pair.ask(asked)
    await shared_pair.until_told(len(asked))

    outcomes = await shared_pair.outcomes()
    begun = [post for post in await shared_pair.posts() if post.activity_id is not None]
    assert sorted(each.request_id for each in outcomes) == [each.request_id for each in asked]
    assert len(begun) == 1
    assert {each.data["assessmentActivityId"] for each in outcomes} == {begun[0].activity_id}


def begun_by_request(posts: Sequence[Post], asked: Sequence[Request]) -> dict[str, list[str]]:
    """Returns the assessments that were begun for each request."""
    request_of = {each.client_request_id: each.request_id for each in asked}
    begun: dict[str, list[str]] = {}
    for post in posts:
        if post.activity_id is not None:
            begun.setdefault(request_of[post.client_request_id or ""], []).append(post.activity_id)
    return begun


async def until_waiting(harness: Harness, messages: int) -> None:
    """Waits until so many messages are scheduled, and nothing else is under way."""

    async def waiting() -> bool:
        progress, requests = await harness.counts(IN_PROGRESS), await harness.counts(REQUESTS)
        return (progress.scheduled, progress.locked, requests.left) == (messages, 0, 0)

    await harness.until(waiting, f"{messages} scheduled messages and nothing else")
