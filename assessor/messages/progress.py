"""Progress: how far an assessment or a scan has come, as it travels from invocation to invocation.

    request for a VM ─────► AssessmentProgress, again and again ──────► outcome
    request for a scope ──► ScanExpansion ──► a request for each VM
                                 └──► ScanCompletion, again and again ─► PatchAssessor.ScanCompleted

The names in JSON, where they differ, are a contract with the messages that are on the in-progress
queue while a new version of the app takes over.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from assessor.arm.result import ApiError
from assessor.arm.virtual_machine import VirtualMachine
from assessor.expectation import Expectation
from assessor.messages.request import AssessmentRequest, ScanId, ScanRequest, name_based_id

_Count = Annotated[int, Field(ge=0, le=1_000_000)]
_Reschedules = Annotated[_Count, Field(alias="hop")]


@dataclass(frozen=True, slots=True)
class OperationRef:
    """A long-running operation that ARM has begun, as it travels from worker to worker.

    Attributes:
        activity_id: the assessmentActivityId, and the trace's ID.
        token: the SDK's continuation token.
        begun_at: when the operation began, in UTC.
        root_span_id: the span that all of the assessment's spans lie under; chosen at the begin.
        adopted: whether it was found running, or done, rather than begun for this request.
        known: whether an adopted one was begun by this app for another request, so that it is an
            assessment whatever its end shows.
    """

    activity_id: str
    token: str
    begun_at: AwareDatetime
    root_span_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    adopted: bool = False
    known: bool = False


@dataclass(frozen=True, slots=True)
class AssessmentProgress:
    """How far one request for a VM has come.

    Attributes:
        request: what was asked.
        accepted_at: when the app first took it up; the deadline counts from here.
        reschedules: how many times it was rescheduled. With the request it makes the message's ID.
        attempt: how many waits in a row brought nothing.
        not_before: ARM asked not to be called before then.
        rescheduled_at: when the invocation before this one let go of it.
        vm: the VM as it was read before the begin.
        operation: what runs in ARM, once something does.
        expected: how long that is expected to take; what was so at its begin decides each poll.
        not_adopted: the activity IDs, in lower case, that the VM named and that proved to be no
            assessments, or none that ARM shows.
        came_early: whether it has come before `not_before` and was sent back for that.
        problem: the last error that was waited out; told if the deadline passes.
    """

    request: AssessmentRequest
    accepted_at: AwareDatetime
    reschedules: _Reschedules = 0
    attempt: _Count = 0
    not_before: AwareDatetime | None = None
    rescheduled_at: Annotated[AwareDatetime | None, Field(alias="handed_over_at")] = None
    vm: VirtualMachine | None = None
    operation: OperationRef | None = None
    expected: Expectation | None = None
    not_adopted: tuple[str, ...] = ()
    problem: ApiError | None = None
    came_early: bool = False

    def rescheduled(
        self, now: datetime, *, attempt: int = 0, not_before: datetime | None = None
    ) -> "AssessmentProgress":
        """Returns what the next invocation gets."""
        return replace(
            self,
            reschedules=self.reschedules + 1,
            attempt=attempt,
            not_before=not_before,
            rescheduled_at=now,
        )


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan that was accepted: one request for a whole scope, from its acceptance to its sum.

    Each of its requests carries its ID.
    """

    id: ScanId
    request: ScanRequest
    started_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class ScanExpansion:
    """How far a scan's list of VMs has been turned into requests.

    Attributes:
        scan: which one.
        link: where the next page is; None for the first one.
        found: the VMs that were listed so far, the unreadable ones among them.
        requested: those of them that a request was sent for.
        next_turns: when each region's next request may be released, by the region's name.
        reschedules: how many times the expansion was rescheduled. With the scan it makes the
            message's ID.
        attempt: how many tries in a row brought nothing.
        seen: digests of the links so far, so that none leads back.
        unreadable: how many of the VMs found can't be asked for, by the reason.
    """

    scan: Scan
    link: str | None = None
    found: _Count = 0
    requested: _Count = 0
    next_turns: Mapping[str, AwareDatetime] = field(default_factory=dict)
    reschedules: _Reschedules = 0
    attempt: _Count = 0
    seen: tuple[str, ...] = ()
    unreadable: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScanCompletion:
    """A scan whose requests are all sent, and whose outcomes are awaited.

    Attributes:
        scan: which one.
        found: the VMs that were listed.
        requested: those of them that a request was sent for.
        released_at: when the last request is, or was, released.
        error: why the list is not complete; None if it is.
        reschedules: how many times its records have been checked.
        attempt: how many tries in a row brought nothing.
        unreadable: how many of the VMs can't be asked for, by the reason.
    """

    scan: Scan
    found: _Count
    requested: _Count
    released_at: AwareDatetime
    error: ApiError | None = None
    reschedules: _Reschedules = 0
    attempt: _Count = 0
    unreadable: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OverdueSweep:
    """How far a look at all VMs for those that are overdue has come.

    Attributes:
        id: the look's own: the hour of the timer that asked for it, always the same for that.
        partition: the subscription that it has come to, as the posture table keys it.
        row: the last row of that it has looked at.
        looked: how many VMs it has looked at.
        fired: how many alerts it has published.
        reschedules: how many times it was rescheduled. With its ID it makes the message's ID.
        attempt: how many tries in a row brought nothing.
    """

    id: str
    partition: str = ""
    row: str = ""
    looked: int = 0
    fired: int = 0
    reschedules: int = 0
    attempt: int = 0


ScanProgress = ScanExpansion | ScanCompletion
Underway = AssessmentProgress | ScanExpansion | ScanCompletion | OverdueSweep
"""What can be rescheduled."""
InProgress = Underway | AssessmentRequest
"""Everything that the in-progress queue can hold: also requests that the app itself makes."""


@dataclass(frozen=True, slots=True)
class Later:
    """What is rescheduled: it goes on in another invocation.

    `why` is for the log.
    """

    progress: Underway
    at: datetime
    why: str


def scan_id_of(request: ScanRequest) -> str:
    """Returns the ID that always belongs to this request.

    It is made of what identifies the request and of all that narrows it down: a message that comes
    again is the same scan, and an ID that somebody uses every night names a new one every night.
    """
    return name_based_id(
        "scan",
        request.identity,
        request.scope.key,
        json.dumps(sorted(request.tags.items())),
        str(request.running_only),
    )
