"""The state of the local ARM: its VMs, their operations, and what may be asked of them.

Free of HTTP and of tasks; time and new IDs come from outside.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from dotnet_text import ignoring_case
from localcloud.arm import errors
from localcloud.arm.clock import Clock, seconds
from localcloud.arm.model import Power, Vm
from localcloud.arm.operations import GuestAssessment, Operation, Purpose, State

DEFAULT_EXPIRY_SECONDS: Final = 4 * 3600.0
"""How long after its end an operation can be read; not documented by Azure."""


class Cloud:
    """VMs by resource ID and operations by name.

    Args:
        vms: the VMs to begin with.
        clock: the time.
        new_id: returns a fresh operation name, a UUID.
        time_scale: how many times faster than real an assessment runs.
        expiry_seconds: how long after its end an operation is remembered; not scaled.
    """

    def __init__(
        self,
        vms: Iterable[Vm],
        *,
        clock: Clock,
        new_id: Callable[[], str],
        time_scale: float = 1,
        expiry_seconds: float = DEFAULT_EXPIRY_SECONDS,
    ) -> None:
        self._clock = clock
        self._new_id = new_id
        self._time_scale = time_scale
        self._expiry = seconds(expiry_seconds)
        self._vms = {vm.key: vm for vm in vms}
        self._groups = {
            _group_key(vm.subscription_id, vm.resource_group) for vm in self._vms.values()
        }
        self._subscriptions = {group.split("/")[2] for group in self._groups}
        self._operations: dict[str, Operation] = {}
        self._issued: dict[str, list[str]] = {}
        self._last: dict[str, Operation] = {}
        self._summaries: dict[str, Operation | GuestAssessment] = {}

    @property
    def vms(self) -> Mapping[str, Vm]:
        """The VMs by lower-case resource ID."""
        return self._vms

    def require_subscription(self, subscription_id: str) -> None:
        """Lets a known subscription pass.

        Raises:
            ArmError: 404 SubscriptionNotFound.
        """
        if subscription_id.lower() not in self._subscriptions:
            raise errors.subscription_not_found(subscription_id)

    def vm(self, subscription_id: str, group: str, name: str) -> Vm:
        """Returns a VM.

        Raises:
            ArmError: 404, for the group or for the VM.
        """
        group_key = self._require_group(subscription_id, group)
        key = f"{group_key}/providers/microsoft.compute/virtualmachines/{ignoring_case(name)}"
        vm = self._vms.get(key)
        if vm is None:
            raise errors.vm_not_found(group, name)
        return vm

    def in_scope(self, subscription_id: str, group: str = "") -> list[Vm]:
        """Returns the VMs of a subscription or of one resource group, ordered by ID.

        Raises:
            ArmError: 404 for an unknown group.
        """
        prefix = f"/subscriptions/{subscription_id.lower()}/"
        if group:
            prefix = self._require_group(subscription_id, group) + "/"
        return [vm for key, vm in sorted(self._vms.items()) if key.startswith(prefix)]

    def begin_assessment(self, vm: Vm) -> Operation:
        """Begins assessPatches on a VM.

        Raises:
            ArmError: 409, when the VM can't be assessed now or already is.
        """
        if vm.provisioning_state == "Deleting":
            raise errors.vm_being_deleted(vm.name)
        if vm.power not in {Power.RUNNING, Power.STARTING}:
            raise errors.vm_not_running()
        if not vm.has_agent:
            raise errors.vm_without_agent()
        self._require_idle(vm)
        now = self._clock()
        replay = vm.verbatim if vm.key not in self._issued else None
        ends = now + seconds(vm.duration_seconds / self._time_scale)
        name = replay.activity_id if replay else self._new_id()
        operation = Operation(name, vm, now, ends, ends + self._expiry, replay)
        self._issued.setdefault(vm.key, []).append(name)
        return self._keep(operation)

    def begin_installation(self, vm: Vm, duration_seconds: float) -> Operation:
        """Begins installPatches on a VM, as whoever patches it would; takes so long, unscaled.

        Raises:
            ArmError: 409, when another operation is on its way.
        """
        self._require_idle(vm)
        now = self._clock()
        ends = now + seconds(duration_seconds / self._time_scale)
        return self._keep(
            Operation(
                self._new_id(),
                replace(vm, verbatim=None),
                now,
                ends,
                ends + self._expiry,
                purpose=Purpose.INSTALLATION,
            )
        )

    def tell_from_guest(self, vm: Vm, status: str, seconds_ago: float = 0.0) -> GuestAssessment:
        """Has a VM tell of an assessment of its own, which began so many seconds ago, unscaled."""
        now = self._clock()
        started = now - seconds(seconds_ago / self._time_scale)
        told = GuestAssessment(self._new_id(), status, replace(vm, verbatim=None), started, now)
        self._summaries[vm.key] = told
        return told

    def operation(self, subscription_id: str, location: str, name: str) -> Operation:
        """Returns an operation that is still remembered.

        Raises:
            ArmError: 404.
        """
        operation = self._operations.get(name.lower())
        if (
            operation is None
            or self._clock() >= operation.expires
            or operation.vm.subscription_id.lower() != subscription_id.lower()
            or operation.vm.region.name != location.lower()
        ):
            raise errors.operation_not_found()
        return operation

    def last_operation(self, vm: Vm) -> Operation | None:
        """Returns a VM's latest operation, None if there was none."""
        return self._last.get(vm.key)

    def last_summary(self, vm: Vm) -> Operation | GuestAssessment | None:
        """Returns what a VM's instance view tells of, None if it was never assessed."""
        return self._summaries.get(vm.key)

    def issued(self, vm: Vm) -> list[str]:
        """Returns the activity IDs of a VM's assessments, oldest first."""
        return list(self._issued.get(vm.key, ()))

    def replace(self, vm: Vm) -> None:
        """Puts a VM in the place of the one with its ID; a running assessment is not affected."""
        self._vms[vm.key] = vm

    def delete(self, vm: Vm) -> None:
        """Takes a VM away. Its resource group stays, and so do its operations."""
        del self._vms[vm.key]

    def _require_idle(self, vm: Vm) -> None:
        last = self.last_operation(vm)
        if last is not None and last.state(self._clock()) is State.IN_PROGRESS:
            raise errors.assessment_in_progress(vm.name)

    def _keep(self, operation: Operation) -> Operation:
        self._operations[operation.name] = operation
        self._last[operation.vm.key] = operation
        self._summaries[operation.vm.key] = operation
        return operation

    def _require_group(self, subscription_id: str, group: str) -> str:
        self.require_subscription(subscription_id)
        key = _group_key(subscription_id, group)
        if key not in self._groups:
            raise errors.group_not_found(group)
        return key


def _group_key(subscription_id: str, group: str) -> str:
    return ignoring_case(f"/subscriptions/{subscription_id}/resourcegroups/{group}")
