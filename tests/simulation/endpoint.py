"""What a call of ARM costs, whatever is asked: time on the way, a token of each bucket, a count."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeVar

from assessor.arm.errors import ArmError, Phase
from assessor.arm.result import parse_error
from localcloud.arm import errors
from localcloud.arm.buckets import Buckets, Overdraw, Subject
from localcloud.arm.clock import timestamp
from localcloud.arm.routing import Kind
from tests.simulation.clock import SimulatedClock

T = TypeVar("T")

_LATENCY_SECONDS: Final = (0.05, 0.3)
_POLLS: Final = frozenset({Kind.OPERATION, Kind.LOCATION})
"""What ARM counts as GetOperation."""


@dataclass(slots=True)
class ArmCalls:
    """The calls that reached ARM.

    Attributes:
        made: how many of each kind, refused ones included.
        throttled: how many of each kind were refused with 429.
        throttled_at_the_door: how many of these ARM's own limits refused, before Compute's.
        by_minute: how many polls of each subscription came in each minute.
        fewest_reads_left: what ARM's own bucket of reads held at the least.
    """

    made: Counter[Kind] = field(default_factory=Counter)
    throttled: Counter[Kind] = field(default_factory=Counter)
    throttled_at_the_door: Counter[Kind] = field(default_factory=Counter)
    by_minute: Counter[tuple[str, int]] = field(default_factory=Counter)
    fewest_reads_left: int | None = None

    @property
    def polls(self) -> int:
        """How often an operation was polled, its result asked for included."""
        return sum(self.made[kind] for kind in _POLLS)

    @property
    def throttled_polls(self) -> int:
        """How many of these ARM refused."""
        return sum(self.throttled[kind] for kind in _POLLS)

    @property
    def busiest_minute(self) -> int:
        """The most polls in one subscription and minute."""
        return max(self.by_minute.values(), default=0)


class Endpoint:
    """Where all calls of ARM arrive.

    Attributes:
        calls: the counts, which whoever measures may begin anew.
    """

    def __init__(
        self, buckets: Buckets, door: Buckets, clock: SimulatedClock, random: Random
    ) -> None:
        """Keeps what a call costs.

        Args:
            buckets: Compute's, which refuse what is too much.
            door: ARM's own over them.
            clock: tells the time.
            random: where latencies come from.
        """
        self.calls = ArmCalls()
        self._buckets = buckets
        self._door = door
        self._clock = clock
        self._random = random

    async def call(self, phase: Phase, kind: Kind, subject: Subject, answer: Callable[[], T]) -> T:
        """Returns ARM's answer.

        Args:
            phase: what the app would say that it asked.
            kind: what is asked, as ARM's buckets tell it apart.
            subject: what it is counted against.
            answer: what ARM does; it may raise the local cloud's errors.

        Raises:
            ArmError: ARM refused, as the port that ships would raise it.
        """
        one_way = self._random.uniform(*_LATENCY_SECONDS) / 2
        await asyncio.sleep(one_way)
        try:
            self._admit(kind, subject)
            return answer()
        except errors.ArmError as refusal:
            raise _refused(phase, refusal) from refusal
        finally:
            await asyncio.sleep(one_way)

    def remaining(self, kind: Kind, subject: Subject) -> str:
        """Returns the header that tells what is left of the buckets."""
        return self._buckets.remaining(kind, subject)

    def reads_left(self, subject: Subject) -> int | None:
        """Returns what the header says that is left of ARM's own bucket of reads."""
        return self._door.left(Kind.OPERATION, subject)

    def _admit(self, kind: Kind, subject: Subject) -> None:
        self.calls.made[kind] += 1
        if kind in _POLLS:
            minute = int(self._clock.seconds() // 60)
            self.calls.by_minute[subject.subscription_id, minute] += 1
        knock = self._door.take(kind, subject)
        if kind is not Kind.ASSESS:
            left, fewest = self._door.left(kind, subject), self.calls.fewest_reads_left
            self.calls.fewest_reads_left = (
                left if fewest is None or left is None else min(left, fewest)
            )
        if knock is not None:
            self.calls.throttled[kind] += 1
            self.calls.throttled_at_the_door[kind] += 1
            raise errors.subscription_throttled(
                knock.policy.name,
                subject.subscription_id,
                subject.principal_id,
                max(1, math.ceil(knock.wait_seconds)),
            )
        overdraw = self._buckets.take(kind, subject)
        if overdraw is not None:
            self.calls.throttled[kind] += 1
            raise self._too_many(overdraw)

    def _too_many(self, overdraw: Overdraw) -> errors.ArmError:
        """Returns the refusal that the local cloud's server would send."""
        policy = overdraw.policy
        return errors.too_many_requests(
            errors.Throttle(
                policy.name,
                timestamp(overdraw.since, 0),
                timestamp(self._clock.ticks(), 0),
                policy.capacity,
                policy.capacity + 1,
            ),
            max(1, math.ceil(overdraw.wait_seconds)),
        )


def _refused(phase: Phase, refusal: errors.ArmError) -> ArmError:
    retry_after = refusal.headers.get("Retry-After")
    return ArmError(
        phase,
        refusal.status,
        parse_error(refusal.body()["error"], fallback_code="", fallback_message=""),
        retry_after=float(retry_after) if retry_after is not None else None,
    )
