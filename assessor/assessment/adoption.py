"""Adoption: which assessment that the VM knows of answers a request, and what the VM tells of one.

ARM's instance view names the last assessment of a VM, with its counts and without its patches. What
it names may be an installation, a write of the VM or the VM's own periodic assessment, and its
`InProgress` may be left from long ago. So what is found is a candidate until ARM has shown its end,
and that is an assessment's.

An assessment whose end has no list of patches can't prove to be one. The app has begun it itself,
and told its outcome: that is proof as well, for all the other requests for its VM
(`KnownAssessments`).
"""

import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from assessor.arm.errors import ArmError
from assessor.arm.result import ApiError, AssessmentResult
from assessor.arm.throttling import region_name
from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.clock import from_text, seconds_between
from assessor.expectation import Expectation
from assessor.messages.outcome import Finished
from assessor.messages.progress import OperationRef
from assessor.messages.request import AssessmentRequest
from assessor.posture.store import PostureError, Remembered
from assessor.resource_id import VirtualMachineId

_LOG: Final = logging.getLogger(__name__)
_CLOCKS_APART: Final = timedelta(seconds=2)
"""How much older than its request an assessment may seem that was begun for it: some hosts write
whole seconds, and Compute and Service Bus have a clock each. This machine's clock, which may be off
by minutes, has no part in it: when a request was enqueued is Service Bus's word."""
_GUID: Final = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_REGION: Final = re.compile(r"[a-z0-9-]+")
_MOST_REFUSED: Final = 3
"""How many candidates one request tries; each is tried once, so that it never goes in circles."""
_PATIENCE: Final = 3.0
"""How many times its expected duration a candidate is followed: an installation takes hours."""
_LEAST_PATIENCE: Final = timedelta(minutes=30)
_MOST_KNOWN: Final = 4096
"""How many assessments a worker remembers: those of its last hours."""

Load = Callable[[VirtualMachineId], Awaitable[Remembered | None]]
"""Returns what is remembered of a VM, None if nothing is; raises PostureError."""


def adoptable(
    vm: VirtualMachine,
    request: AssessmentRequest,
    now: datetime,
    deadline: timedelta,
    refused: tuple[str, ...] = (),
) -> PatchSummary | None:
    """Returns the assessment that may already answer `request`, if the VM knows of one.

    That is one which runs now, or which began after the request was made: after a crash it is the
    request's own, else another request's of the same time. Either way it is as fresh as a new one
    would be. Whether it is an assessment is known at its end: see `proves_assessment`.

    Nobody is at work any more on an assessment that has run for longer than `deadline`; `refused`
    are the activity IDs that were tried before, in vain.
    """
    summary = vm.last_assessment
    if summary is None or not _GUID.fullmatch(summary.activity_id or ""):
        return None
    if not _REGION.fullmatch(region_name(vm.location)):  # its URL could not be made
        return None
    if len(refused) >= _MOST_REFUSED or (summary.activity_id or "").lower() in refused:
        return None
    started_at = from_text(summary.start_time)
    if started_at is None:
        return None
    is_live = summary.is_in_progress and started_at > now - deadline
    since = min(request.fresh_since or request.enqueued_at, request.enqueued_at) - _CLOCKS_APART
    is_fresh = not summary.is_in_progress and started_at >= since
    return summary if is_live or is_fresh else None


def proves_assessment(result: AssessmentResult, operation: OperationRef) -> bool:
    """Returns whether the end of an adopted operation is an assessment's.

    It carries the operation's own name as `assessmentActivityId`, and the list of patches; one that
    failed by its own word has no list to carry.
    """
    if (result.activity_id or "").lower() != operation.activity_id.lower():
        return False
    return result.patches is not None or result.is_failed


def patience_ends_at(
    operation: OperationRef, expected: Expectation, accepted_at: datetime, deadline: timedelta
) -> datetime:
    """Returns until when an adopted operation that still runs is followed.

    Long enough for any assessment, and early enough before the deadline for one of one's own.
    """
    enough = max(timedelta(seconds=expected.seconds * _PATIENCE), _LEAST_PATIENCE)
    return min(operation.begun_at + enough, accepted_at + deadline / 2)


def summary_of(vm: VirtualMachine, operation: OperationRef) -> PatchSummary | None:
    """Returns what the VM tells of that operation; None if it tells of another one, or of none."""
    summary = vm.last_assessment
    if summary is None or (summary.activity_id or "").lower() != operation.activity_id.lower():
        return None
    return summary


def finished_by_summary(
    request: AssessmentRequest,
    operation: OperationRef,
    summary: PatchSummary,
    error: ArmError,
    now: datetime,
) -> Finished:
    """Returns the end of an operation that can't be polled, from what the VM tells of it."""
    started_at = from_text(summary.start_time)
    ended_at = from_text(summary.last_modified_time)
    if started_at is not None and ended_at is not None:
        seconds = seconds_between(started_at, ended_at)
    else:  # both by one clock: ARM's and this machine's may be minutes apart
        seconds = seconds_between(operation.begun_at, now)
    return Finished(
        summary.as_result(),
        ended_at or now,
        seconds,
        patches_missing=_why_listless(request, error),
    )


def operation_lost(operation: OperationRef, *errors: ApiError) -> ApiError:
    """Returns why an assessment failed that neither ARM nor the VM tells the end of."""
    return ApiError(
        "OperationLost",
        "The operation can't be followed, and the VM's instance view does not tell its end.",
        target=operation.activity_id,
        details=tuple(each.to_json() for each in errors),
    )


def _why_listless(request: AssessmentRequest, error: ArmError) -> str:
    """Returns, in one sentence or two, why there are counts and no patches."""
    said = f"{error.status} {error.error.code}"
    if error.status in {401, 403}:
        return (
            f"ARM refused to show the operation ({said}). Assign the right "
            "Microsoft.Compute/locations/operations/read at the scope "
            f"/subscriptions/{request.vm.subscription_id} to the app's identity; "
            "the counts come from the VM's instance view."
        )
    return f"ARM no longer knew the operation ({said}); the counts come from the instance view."


class KnownAssessments:
    """Remembers what this worker has begun, and finds what others have published."""

    def __init__(self, load: Load) -> None:
        """Starts with none; `load` tells the VM's last assessment that any worker has published."""
        self._load = load
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def note(self, vm_id: VirtualMachineId, activity_id: str) -> None:
        """Takes note of an assessment that this app has begun, or that has proved to be one."""
        key = _key(vm_id, activity_id)
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def has_begun(self, vm_id: VirtualMachineId, activity_id: str) -> bool:
        """Returns whether this worker knows it; asks nobody."""
        return _key(vm_id, activity_id) in self._known

    async def includes(self, vm_id: VirtualMachineId, activity_id: str) -> bool:
        """Returns whether it is known, to this worker or by what is remembered of the VM.

        A store that does not answer knows of none: then one assessment more is begun.
        """
        if self.has_begun(vm_id, activity_id):
            return True
        try:
            remembered = await self._load(vm_id)
        except PostureError as error:
            _LOG.warning("an operation counts as no assessment: %s", error)
            return False
        last = remembered.posture.assessment if remembered else None
        if last is None or last.activity_id.lower() != activity_id.lower():
            return False
        self.note(vm_id, activity_id)
        return True


def _key(vm_id: VirtualMachineId, activity_id: str) -> tuple[str, str]:
    return vm_id.key, activity_id.lower()
