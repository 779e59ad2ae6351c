"""Long-running operations of assessPatches: begun, running, ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from assessor.arm.result import AssessmentResult


@dataclass(frozen=True, slots=True)
class Running:
    """A polled operation that runs.

    Attributes:
        retry_after: the least seconds until the next poll; 0.0 where ARM did not say.
        reads_left: how many reads ARM's own limit lets through now; None where ARM did not say.
    """

    retry_after: float = 0.0
    reads_left: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A polled operation that ended well, whatever its result says.

    Attributes:
        result: what the assessment found.
        started_at: when the operation began, by ARM's clock; None where ARM did not tell.
        ended_at: when it ended, likewise.
    """

    result: AssessmentResult
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """An operation that was just begun.

    Attributes:
        activity_id: the assessment's activity ID, which is the operation's name too.
        token: the continuation token: what any worker needs to poll the operation.
        retry_after: the least seconds until the first poll; 0.0 where ARM did not say.
        remaining: how many calls ARM's throttling policies have left.
        ended: how it ended, if it had by ARM's first answer.
    """

    activity_id: str
    token: str
    retry_after: float = 0.0
    remaining: Mapping[str, int] = field(default_factory=dict)
    ended: Ended | None = None
