"""Everything breaks at once, at random, and each request still has its one true outcome.

While requests are in flight, workers and whole hosts are killed, the bus is restarted, and ARM
refuses, fails, breaks connections and dawdles. The moments are drawn by seed as numbers of calls
that ARM has seen, not as seconds: they fall into the work however fast the machine is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto
from pathlib import Path
from random import Random
from typing import Any

import pytest

from localcloud.processes import Part
from tests.support.cloud_harness import (
    IN_PROGRESS,
    REQUESTS,
    Harness,
    Plan,
    Post,
    Published,
    Request,
    fleet,
    running,
    vm_id,
)

pytestmark = [pytest.mark.fault, pytest.mark.deep]

HOSTS = 3
WORKER_KILLS_A_HOST = 2
"""With the third worker that ends, a host gives up, as the real one does."""
CALLS_A_REQUEST = 3
"""Even a request that finds its VM's assessment done makes so many, unless it is skipped."""
UNPROVEN = frozenset({"operation-failed", "unknown", "counts-only"})
"""How assessments end whose end does not prove that they were ones: no list of patches comes."""


class Blow(StrEnum):
    """What is done to the cloud."""

    KILL_HOST = auto()
    KILL_WORKER = auto()
    RESTART_BUS = auto()


BLOWS = (*(Blow.KILL_HOST,) * 3, *(Blow.KILL_WORKER,) * 3, Blow.RESTART_BUS)
ARM_FAULTS: tuple[dict[str, object], ...] = (
    {"answer": {"status": 429, "retryAfter": 1}, "probability": 0.03},
    {"answer": 429, "probability": 0.01},
    {"answer": 500, "probability": 0.02},
    {"answer": 503, "probability": 0.02},
    {"answer": "reset", "probability": 0.02},
    {"answer": "reset-after", "probability": 0.02},
    {"answer": {"slow": 1.0}, "probability": 0.03},
)


@dataclass
class Chaos:
    """Deals the blows of one seed."""

    harness: Harness
    random: Random
    dealt: Counter[Blow] = field(default_factory=Counter)
    _worker_kills: Counter[str] = field(default_factory=Counter)

    async def deal(self, requests: int) -> None:
        """Deals every blow at its moment, for as long as there is work to disturb."""
        last = requests * CALLS_A_REQUEST
        moments = sorted(self.random.randrange(last) for _ in BLOWS)
        blows = self.random.sample(BLOWS, len(BLOWS))
        for moment, blow in zip(moments, blows, strict=True):
            if not await self.harness.until_calls(moment, or_told=requests):
                return
            await self._strike(blow)
            self.dealt[blow] += 1

    async def _strike(self, blow: Blow) -> None:
        cloud = self.harness.cloud
        match blow:
            case Blow.KILL_HOST:
                await self.harness.kill_host(self.random.choice(cloud.hosts))
                await cloud.add_host()
            case Blow.KILL_WORKER:
                await self.harness.kill_worker(self._host_that_bears_it())
            case Blow.RESTART_BUS:
                await cloud.restart_bus()

    def _host_that_bears_it(self) -> Part:
        kills, hosts = self._worker_kills, self.harness.cloud.hosts
        host = self.random.choice([h for h in hosts if kills[h.name] < WORKER_KILLS_A_HOST])
        kills[host.name] += 1
        return host


async def test_each_request_has_one_true_outcome_whatever_breaks(
    tmp_path: Path, seed: int, requests: int
) -> None:
    """One outcome for each request, none invented, no message left, every begin accounted for."""
    random = Random(seed)
    vms = max(1, requests * 5 // 6)  # so that some VMs are asked for twice, by two requests
    asked = [Request(f"r-{index}", vm_id(index % vms)) for index in range(requests)]
    made = fleet(vms, random)

    async with running(tmp_path, Plan(made, hosts=HOSTS, seed=seed)) as harness:
        await harness.break_arm(*ARM_FAULTS)
        chaos = Chaos(harness, random)
        await harness.ask(random.sample(asked, requests))
        await chaos.deal(requests)
        await harness.until_told(requests)

        outcomes, posts = await harness.outcomes(), await harness.posts()
        for queue in (REQUESTS, IN_PROGRESS):
            assert (await harness.counts(queue)).dead_letter == 0
        print(await account(harness, chaos, posts))  # noqa: T201 - shown by pytest -rP

        assert Counter(each.request_id for each in outcomes) == Counter(
            each.request_id for each in asked
        )
        check_truth(outcomes, asked, await harness.vms())
        unproven = {str(each["id"]).lower() for each in made if each["behaviour"] in UNPROVEN}
        check_begins(posts, asked, unproven)
        assert chaos.dealt.total() > 0


async def account(harness: Harness, chaos: Chaos, posts: Sequence[Post]) -> str:
    """Returns what was done, in one line: blows, ARM's faults, POSTs."""
    faults = zip((each["answer"] for each in ARM_FAULTS), await harness.faults_used(), strict=True)
    answers = Counter(post.status for post in posts)
    begun = sum(post.activity_id is not None for post in posts)
    return (
        f"blows {dict(chaos.dealt)}; ARM's faults {[f'{what}: {times}' for what, times in faults]};"
        f" {len(posts)} POSTs began {begun} assessments: {dict(answers)}"
    )


def check_truth(
    outcomes: Sequence[Published],
    asked: Sequence[Request],
    vms: Mapping[str, Mapping[str, Any]],
) -> None:
    """Checks that each outcome is about its request's VM, and says what ARM knows of it."""
    vm_of = {each.request_id: each.vm_id for each in asked}
    for outcome in outcomes:
        assert outcome.vm_id == vm_of[outcome.request_id]
        vm = vms[outcome.vm_id]
        assert f"PatchAssessor.{outcome.type}" == vm["expectedOutcome"], outcome
        if outcome.type == "AssessmentSkipped":
            assert vm["activityIds"] == []
            continue
        assert outcome.data["assessmentActivityId"] in vm["activityIds"]
        if outcome.type == "AssessmentCompleted":
            for name in ("status", "criticalAndSecurityPatchCount", "rebootPending"):
                assert outcome.data[name] == vm[name], outcome


def check_begins(posts: Sequence[Post], asked: Sequence[Request], unproven: set[str]) -> None:
    """Checks that every POST was made for a request, and that no request began two assessments.

    Where a 202 was lost, what it began is found again in the instance view. Where its end does not
    prove that it was an assessment, one more is begun: on the VMs of `unproven` alone, and once.
    """
    known = {each.client_request_id: each for each in asked}
    begun: Counter[str] = Counter()
    for post in posts:
        assert post.client_request_id in known, f"a POST for nobody: {post}"
        assert post.vm_id.lower() == known[post.client_request_id].vm_id.lower()
        assert (post.activity_id is not None) == (post.status == 202) or post.status == 0
        begun[post.client_request_id] += post.activity_id is not None
    twice = [
        known[each].request_id
        for each, times in begun.items()
        if times > (2 if known[each].vm_id.lower() in unproven else 1)
    ]
    assert not twice, f"begun more than once: {twice}: {posts}"
