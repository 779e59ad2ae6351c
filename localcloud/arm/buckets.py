"""ARM's and Compute's request limits as token buckets.

Three tables. RECORDED are Compute's policies in the recorded answers, of 2020: they are counted and
reported, never enforced. DOCUMENTED are today's ("Compute throttling limits"), and they refuse when
enforcement is on; their names in the header are assumed, for Microsoft documents the numbers only.
FRONT_DOOR are ARM's own over them, by subscription and principal ("Azure Resource Manager
throttling"), enforced with the documented ones. Left out: the limits of single requests that cost
more than one, ARM's limits by tenant, the greater ones that it keeps over all principals of a
subscription, and limits that follow load.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from localcloud.arm.clock import TICKS_PER_SECOND, Clock, Ticks
from localcloud.arm.routing import Kind


class Per(Enum):
    """What a bucket is kept for."""

    SUBSCRIPTION = "subscription"
    REGION = "subscription and region"
    VM = "VM"
    PRINCIPAL = "subscription and principal"


@dataclass(frozen=True)
class Policy:
    """A bucket's size and its refill a minute."""

    name: str
    capacity: int
    per_minute: float
    per: Per


@dataclass(frozen=True)
class Subject:
    """What a request is counted against."""

    subscription_id: str
    region: str
    vm_key: str
    principal_id: str = ""

    def key(self, per: Per) -> str:
        """Returns the part of the subject that a policy looks at."""
        match per:
            case Per.SUBSCRIPTION:
                return self.subscription_id.lower()
            case Per.REGION:
                return f"{self.subscription_id}/{self.region}".lower()
            case Per.VM:
                return self.vm_key
            case Per.PRINCIPAL:
                return f"{self.subscription_id}/{self.principal_id}".lower()


@dataclass
class _Bucket:
    level: float
    filled: Ticks


@dataclass(frozen=True)
class Level:
    """How full a bucket is: the one that `policy` keeps for the subject of that key."""

    policy: Policy
    key: str
    level: float


@dataclass(frozen=True)
class Overdraw:
    """A policy that ran out.

    Attributes:
        policy: which one.
        wait_seconds: until it holds a token again, in the clock's seconds.
        since: when its window began.
    """

    policy: Policy
    wait_seconds: float
    since: Ticks


_READS: Final = (
    Policy("GetVM3Min", 12000, 4000, Per.REGION),
    Policy("GetVM30Min", 36000, 1200, Per.REGION),
)
_LISTS: Final = (Policy("ListVMs3Min", 900, 300, Per.SUBSCRIPTION),)
_POLLS: Final = (
    Policy("GetOperation3Min", 15000, 5000, Per.REGION),
    Policy("GetOperation30Min", 30000, 1000, Per.REGION),
)
RECORDED: Final[Mapping[Kind, tuple[Policy, ...]]] = {
    Kind.ASSESS: (
        Policy("UpdateVM3Min", 240, 80, Per.REGION),
        Policy("UpdateVM30Min", 1200, 40, Per.REGION),
    ),
    Kind.OPERATION: _POLLS,
    Kind.LOCATION: _POLLS,
    Kind.GET_VM: _READS,
    Kind.INSTANCE_VIEW: _READS,
    Kind.LIST_GROUP: _LISTS,
    Kind.LIST_SUBSCRIPTION: _LISTS,
}
_DOCUMENTED_POLLS: Final = (
    Policy("GetOperationSubscriptionMaximum", 15000, 5000, Per.REGION),
    Policy("GetOperationResource", 45, 15, Per.VM),
)
_DOCUMENTED_LISTS: Final = (Policy("ListVMsSubscriptionMaximum", 900, 300, Per.SUBSCRIPTION),)
_DOCUMENTED_READS: Final = (Policy("LowCostGetSubscriptionMaximum", 24000, 8000, Per.REGION),)
DOCUMENTED: Final[Mapping[Kind, tuple[Policy, ...]]] = {
    Kind.ASSESS: (
        Policy("GuestPatchOperationsSubscriptionMaximum", 600, 200, Per.REGION),
        Policy("GuestPatchOperationsResource", 6, 2, Per.VM),
    ),
    Kind.OPERATION: _DOCUMENTED_POLLS,
    Kind.LOCATION: _DOCUMENTED_POLLS,
    Kind.GET_VM: _DOCUMENTED_READS,
    Kind.INSTANCE_VIEW: _DOCUMENTED_READS,
    Kind.LIST_GROUP: _DOCUMENTED_LISTS,
    Kind.LIST_SUBSCRIPTION: _DOCUMENTED_LISTS,
}

_ARM_READS: Final = (Policy("read", 250, 25 * 60, Per.PRINCIPAL),)
FRONT_DOOR: Final[Mapping[Kind, tuple[Policy, ...]]] = {
    Kind.ASSESS: (Policy("write", 200, 10 * 60, Per.PRINCIPAL),),
    Kind.OPERATION: _ARM_READS,
    Kind.LOCATION: _ARM_READS,
    Kind.GET_VM: _ARM_READS,
    Kind.INSTANCE_VIEW: _ARM_READS,
    Kind.LIST_GROUP: _ARM_READS,
    Kind.LIST_SUBSCRIPTION: _ARM_READS,
}
"""Deletes have a bucket of their own, and there are none here."""


class Buckets:
    """The buckets of one run, each full when first seen."""

    def __init__(
        self,
        policies: Mapping[Kind, tuple[Policy, ...]],
        clock: Clock,
        *,
        enforce: bool,
        time_scale: float = 1,
    ) -> None:
        self._policies = policies
        self._clock = clock
        self._enforce = enforce
        self._time_scale = time_scale
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def take(self, kind: Kind, subject: Subject) -> Overdraw | None:
        """Takes one token from each bucket that a request counts against.

        Returns:
            The bucket that was empty, if limits are enforced; then nothing was taken.
        """
        policies = self._policies.get(kind, ())
        now = self._clock()
        filled = [(policy, self._fill(policy, subject, now)) for policy in policies]
        if self._enforce:
            for policy, bucket in filled:
                if bucket.level < 1:
                    wait = (1 - bucket.level) * 60 / policy.per_minute / self._time_scale
                    window = policy.capacity / policy.per_minute * 60 / self._time_scale
                    return Overdraw(policy, wait, now - round(window * TICKS_PER_SECOND))
        for _, bucket in filled:
            bucket.level = max(0.0, bucket.level - 1)
        return None

    def remaining(self, kind: Kind, subject: Subject) -> str:
        """Returns the value of ``x-ms-ratelimit-remaining-resource``, empty if nothing applies."""
        now = self._clock()
        return ",".join(
            f"Microsoft.Compute/{policy.name};{int(self._fill(policy, subject, now).level)}"
            for policy in self._policies.get(kind, ())
        )

    def left(self, kind: Kind, subject: Subject) -> int | None:
        """Returns how many such requests would pass now; None if nothing applies."""
        now = self._clock()
        levels = [
            int(self._fill(policy, subject, now).level) for policy in self._policies.get(kind, ())
        ]
        return min(levels, default=None)

    def levels(self) -> list[Level]:
        """Returns the buckets that were used; those of single VMs only while they are not full."""
        now = self._clock()
        known = {policy.name: policy for each in self._policies.values() for policy in each}
        levels = [
            Level(known[name], key, self._refill(known[name], bucket, now).level)
            for (name, key), bucket in self._buckets.items()
        ]
        return [
            each
            for each in levels
            if each.policy.per is not Per.VM or each.level < each.policy.capacity
        ]

    def policies(self, kind: Kind) -> tuple[str, ...]:
        """Returns the names of the policies that a kind of request counts against."""
        return tuple(policy.name for policy in self._policies.get(kind, ()))

    def _fill(self, policy: Policy, subject: Subject, now: Ticks) -> _Bucket:
        key = (policy.name, subject.key(policy.per))
        return self._refill(
            policy, self._buckets.setdefault(key, _Bucket(policy.capacity, now)), now
        )

    def _refill(self, policy: Policy, bucket: _Bucket, now: Ticks) -> _Bucket:
        minutes = (now - bucket.filled) / TICKS_PER_SECOND / 60 * self._time_scale
        bucket.level = min(policy.capacity, bucket.level + minutes * policy.per_minute)
        bucket.filled = now
        return bucket
