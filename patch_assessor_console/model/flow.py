"""The system at work: entities with counts, assessments on their way, scans, ARM's buckets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from plain_text import one_line


@dataclass(frozen=True, slots=True)
class Entity:
    """A queue or subscription with its counts.

    Attributes:
        name: Of a queue, or `topic/subscription`.
        active: Messages that can be received.
        locked: Messages that somebody works on; None where the namespace does not tell.
        scheduled: Messages that appear later.
        dead: Messages in the dead-letter queue.
    """

    name: str
    active: int
    locked: int | None
    scheduled: int
    dead: int


class Stage(StrEnum):
    """How an assessment on its way is doing."""

    RUNNING = "running"
    WAITING = "waiting"
    RETRYING = "retrying"


@dataclass(frozen=True, slots=True)
class Underway:
    """An assessment on its way, as its message on the in-progress queue tells it.

    Attributes:
        vm_id: The VM's resource ID.
        request_id: The request that it is for.
        activity_id: What ARM calls it; empty before it was begun.
        stage: Running where the operation runs, waiting where it was not begun yet, retrying where
            the last try brought an error.
        reason: That error's code; empty without one.
        next_poll: When its message appears; None where that is now.
        accepted_at: When the app took the request up.
        reschedules: How many times it was handed over.
    """

    vm_id: str
    request_id: str
    activity_id: str
    stage: Stage
    reason: str
    next_poll: datetime | None
    accepted_at: datetime | None
    reschedules: int


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan on its way, or one that is over.

    Attributes:
        scan_id: Its ID.
        request_id: The request that it is for.
        scope: What is scanned.
        found: The VMs that were listed so far.
        requested: Those that a request was sent for.
        assessed: Those with an outcome that says assessed.
        failed: Those with one that says failed.
        skipped: Those with one that says skipped.
        status: `expanding`, `assessing`, or how it ended.
        started_at: When it was accepted.
    """

    scan_id: str
    request_id: str
    scope: str
    found: int
    requested: int
    assessed: int = 0
    failed: int = 0
    skipped: int = 0
    status: str = "expanding"
    started_at: datetime | None = None

    @property
    def share(self) -> float:
        """How much of what was requested has its outcome, from 0 to 1."""
        if self.is_over:
            return 1.0
        told = self.assessed + self.failed + self.skipped
        return min(1.0, told / self.requested) if self.requested else 0.0

    @property
    def is_over(self) -> bool:
        """Whether its sum was published."""
        return self.status not in {"expanding", "assessing"}


@dataclass(frozen=True, slots=True)
class Bucket:
    """One of ARM's buckets.

    Attributes:
        name: The policy.
        subject: What it is kept for.
        capacity: How many requests it holds when it is full.
        level: How many it holds now.
        per_minute: How many it gets back in a minute.
    """

    name: str
    subject: str
    capacity: float
    level: float
    per_minute: float

    @property
    def share(self) -> float:
        """How full it is, from 0 to 1."""
        return max(0.0, min(1.0, self.level / self.capacity)) if self.capacity else 0.0


@dataclass(frozen=True, slots=True)
class InProgress:
    """What is peeked on the in-progress queue, and whether there is more than was looked at."""

    underway: tuple[Underway, ...] = ()
    scans: tuple[Scan, ...] = ()
    is_cut: bool = False


def read_in_progress(
    subject: str, body: object, next_poll: datetime | None
) -> Underway | Scan | None:
    """Returns what a message of the in-progress queue tells; None for one that can't be read.

    The messages are the app's own and no contract: what is not there is not told. The continuation
    token in them is never read.

    Args:
        subject: The message's: the VM's resource ID, or what is scanned.
        body: The message's JSON.
        next_poll: When it appears; None where it has.
    """
    progress = _object(body, "progress")
    if not progress:
        return None
    if _object(progress, "scan"):
        return _scan(subject, _text(body, "kind"), progress)
    return _assessment(subject, progress, next_poll)


def stages(underway: Iterable[Underway]) -> Mapping[Stage, int]:
    """Returns how many assessments are in each stage."""
    counts = dict.fromkeys(Stage, 0)
    for each in underway:
        counts[each.stage] += 1
    return counts


def buckets_of(document: object) -> tuple[Bucket, ...]:
    """Returns what the local ARM's `GET /buckets` tells, the emptiest first."""
    entries: Sequence[object] = document if isinstance(document, list) else []
    buckets = (
        Bucket(
            _text(each, "policy"),
            _text(each, "subject"),
            _number(each, "capacity"),
            _number(each, "level"),
            _number(each, "perMinute"),
        )
        for each in entries
    )
    return tuple(sorted(buckets, key=lambda each: (each.share, each.name, each.subject)))


def _assessment(subject: str, progress: Mapping[str, Any], next_poll: datetime | None) -> Underway:
    request, operation = _object(progress, "request"), _object(progress, "operation")
    problem = _object(progress, "problem")
    is_retrying = bool(problem) and _number(progress, "attempt") > 0
    stage = Stage.RUNNING if operation else Stage.WAITING
    return Underway(
        vm_id=one_line(subject),
        request_id=_text(request, "request_id"),
        activity_id=_text(operation, "activity_id"),
        stage=Stage.RETRYING if is_retrying else stage,
        reason=_text(problem, "code") if is_retrying else "",
        next_poll=next_poll,
        accepted_at=parse_time(progress.get("accepted_at")),
        reschedules=int(_number(progress, "hop")),
    )


def _scan(subject: str, kind: str, progress: Mapping[str, Any]) -> Scan:
    scan = _object(progress, "scan")
    request = _object(scan, "request")
    return Scan(
        scan_id=_text(scan, "id"),
        request_id=_text(request, "request_id"),
        scope=one_line(subject),
        found=int(_number(progress, "found")),
        requested=int(_number(progress, "requested")),
        status="expanding" if kind == "expansion" else "assessing",
        started_at=parse_time(scan.get("started_at")),
    )


def parse_time(value: object) -> datetime | None:
    """Returns the time of an RFC 3339 text, None for anything else."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _object(value: object, name: str) -> Mapping[str, Any]:
    part = value.get(name) if isinstance(value, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _text(value: object, name: str) -> str:
    part = value.get(name) if isinstance(value, Mapping) else None
    return one_line(part) if isinstance(part, str) else ""


def _number(value: object, name: str) -> float:
    part = value.get(name) if isinstance(value, Mapping) else None
    return part if isinstance(part, int | float) and not isinstance(part, bool) else 0
