"""Posture: what is remembered of a VM to decide on its next alert; and what an alert is.

A posture is stored with the names that its fields had first: where one has another name now, its
alias is the stored one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from assessor.arm.result import Patch
from assessor.posture.durations import Learned
from assessor.posture.finding import Assessment
from assessor.posture.lacking import LackedPatch
from assessor.posture.published_patches import PublishedPatches
from assessor.resource_id import VirtualMachineId


class Change(StrEnum):
    """Why an alert speaks."""

    APPEARED = "Appeared"
    GREW = "Grew"
    REMINDER = "Reminder"
    GONE = "Gone"


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that has fired and is not resolved.

    Attributes:
        rule: the name of its rule.
        alert_id: its own ID, the same from fired to resolved.
        fired_by: the activity ID of the assessment that it fired for; of an alert that time alone
            opened, the moment.
        fired_at: when that was.
        last_published_at: when it last spoke.
    """

    rule: str
    alert_id: str
    fired_by: str
    fired_at: datetime
    last_published_at: Annotated[datetime, Field(alias="last_told_at")]


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last assessment of a VM that came to nothing.

    Attributes:
        outcome_id: its outcome.
        at: when that was known.
        reason: the error's code, or why it was skipped.
        found: whether the VM itself was there.
    """

    outcome_id: str
    at: datetime
    reason: str
    found: bool


@dataclass(frozen=True, slots=True)
class Alert:
    """What is published: an alert fires, speaks again, or is resolved.

    Attributes:
        id: the event's; a repeat of the same change has the same one.
        alert: the alert, as it was when it fired.
        change: why it speaks.
        at: when the change was known.
        vm_id: the VM.
        request_id: the request that led here; for a deletion, the event's ID.
        assessment: what was found; None for a VM that is gone, or that nothing is known of.
        previous: the assessment that it is compared with; None for a VM's first.
        patches: the patches that the rule is about, the most important first; None without a list.
        patches_omitted: how many of them are left out to keep the message within its limit.
        new_patches: those of them that were in no list before.
        new_patches_omitted: how many of those are left out.
        unknown_classifications: what patches say of themselves that no table of ours knows.
        location: the VM's region.
        os_type: `Windows` or `Linux`.
        tags: the VM's tags, as far as they are remembered.
        silent_since: where time alone brought this, since when there was no assessment.
        last_attempt: and what came to nothing since, the latest of it.
        traceparent: the trace context of the assessment.
    """

    id: str
    alert: OpenAlert
    change: Change
    at: datetime
    vm_id: VirtualMachineId
    request_id: str
    assessment: Assessment | None
    previous: Assessment | None
    patches: tuple[Patch, ...] | None = None
    patches_omitted: int = 0
    new_patches: tuple[Patch, ...] = ()
    new_patches_omitted: int = 0
    unknown_classifications: tuple[str, ...] = ()
    location: str | None = None
    os_type: str | None = None
    tags: Mapping[str, str] | None = None
    silent_since: datetime | None = None
    last_attempt: Attempt | None = None
    traceparent: str | None = None

    @property
    def is_resolved(self) -> bool:
        """Whether this closes the alert."""
        return self.change is Change.GONE


@dataclass(frozen=True, slots=True)
class Posture:
    """What is remembered of one VM.

    Attributes:
        vm_id: the VM.
        location: its region.
        os_type: `Windows` or `Linux`.
        assessment: its newest completed assessment; None if there was none.
        open_alerts: the alerts that are not resolved, one for a rule at the most.
        durations: how long its completed assessments took; None if none is known.
        published: what the open alert about patches has published.
        attempt: what came to nothing since `assessment`, the latest of it.
        retired_at: when the VM was found to be gone; it is back with the next assessment.
        lacks: the patches that its newest assessment listed; None if that listed none, or is of an
            earlier version of the app. Kept in columns of its own.
        lacks_omitted: how many more it listed than fit into these.
        known_since: when a VM that was never assessed was first found by a scan or tried; None if
            that is not known.
        tags: the VM's tags as it was last read, as far as they are remembered; None if not known.
        unpublished: the outbox: alerts that are decided, and not known to be published.
    """

    vm_id: VirtualMachineId
    location: str | None = None
    os_type: str | None = None
    assessment: Assessment | None = None
    open_alerts: tuple[OpenAlert, ...] = ()
    durations: Learned | None = None
    published: Annotated[PublishedPatches, Field(alias="told")] = PublishedPatches()  # noqa: RUF009 - frozen, so one default serves all
    attempt: Attempt | None = None
    retired_at: datetime | None = None
    unpublished: Annotated[tuple[Alert, ...], Field(alias="untold")] = ()
    tags: Mapping[str, str] | None = None
    known_since: datetime | None = None
    lacks: tuple[LackedPatch, ...] | None = None
    lacks_omitted: int = 0

    def open_alert(self, rule: str) -> OpenAlert | None:
        """Returns the alert of the rule of that name if it is open."""
        return next((each for each in self.open_alerts if each.rule == rule), None)
