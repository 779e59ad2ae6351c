"""ARM at the app's port, on the local cloud's own: the same VMs, operations and refusals, no HTTP.

Where the port that ships asks once or twice, so does this: a call is counted wherever the SDK
would make one. ARM sends no Retry-After with an operation's status, as it did not when recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from assessor.arm.errors import ArmError, Phase
from assessor.arm.operation import Begun, Ended, Running
from assessor.arm.result import Json, parse_error, parse_result
from assessor.arm.throttling import remaining_calls
from assessor.arm.virtual_machine import VirtualMachine, read_virtual_machine
from assessor.resource_id import VirtualMachineId
from localcloud.arm import bodies
from localcloud.arm.buckets import Subject
from localcloud.arm.cloud import Cloud
from localcloud.arm.model import Vm
from localcloud.arm.operations import Operation, State
from localcloud.arm.routing import Kind
from tests.simulation.clock import SimulatedClock, moment_of
from tests.simulation.endpoint import Endpoint

T = TypeVar("T")


class Durations(Protocol):
    """Says how long assessments take."""

    def of(self, vm: Vm, number: int) -> float:
        """Returns the seconds that the VM's assessment of that number takes, from 0 on."""
        ...


@dataclass(frozen=True, slots=True)
class _Status:
    """What one poll of an operation shows."""

    operation: Operation
    state: State


class SimulatedArm:
    """ARM, as the app asks it."""

    def __init__(
        self, cloud: Cloud, endpoint: Endpoint, durations: Durations, clock: SimulatedClock
    ) -> None:
        """Keeps what it answers from.

        Args:
            cloud: the VMs and their operations.
            endpoint: where calls arrive.
            durations: how long each assessment takes.
            clock: tells the time.
        """
        self._cloud = cloud
        self._endpoint = endpoint
        self._durations = durations
        self._clock = clock

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Returns the VM with its instance view; raises ArmError."""

        def answer() -> VirtualMachine:
            vm = self._vm(vm_id)
            last = self._cloud.last_operation(vm)
            resource = bodies.vm_body(vm, last, self._clock.ticks(), instance_view=True)
            return read_virtual_machine(vm_id, resource)

        return await self._call(Phase.READ, Kind.GET_VM, vm_id, answer)

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> Begun:
        """Begins an assessment; raises ArmError."""
        del client_request_id

        def answer() -> Begun:
            vm = self._vm(vm_id)
            seconds = self._durations.of(vm, len(self._cloud.issued(vm)))
            begun = self._cloud.begin_assessment(replace(vm, duration_seconds=seconds))
            left = self._endpoint.remaining(Kind.ASSESS, self._subject(vm_id))
            return Begun(begun.name, token=begun.name, remaining=remaining_calls([left]))

        return await self._call(Phase.BEGIN, Kind.ASSESS, vm_id, answer)

    def continuation_token(self, vm: VirtualMachine, activity_id: str) -> str:
        """Returns what an operation is found by: here the name is enough."""
        del vm
        return activity_id

    async def poll(self, vm_id: VirtualMachineId, token: str, activity_id: str) -> Running | Ended:
        """Polls the operation once; raises ArmError."""
        del activity_id  # it is the token
        status = await self._status(vm_id, token)
        if status.state is State.IN_PROGRESS:
            return Running(reads_left=self._endpoint.reads_left(self._subject(vm_id)))
        operation = status.operation
        if status.state is not State.SUCCEEDED:
            raise _failed(operation)
        return Ended(
            parse_result(await self._result(vm_id, operation)),
            moment_of(operation.started),
            moment_of(operation.ends),
        )

    async def _status(self, vm_id: VirtualMachineId, activity_id: str) -> _Status:
        def answer() -> _Status:
            region = self._subject(vm_id).region
            operation = self._cloud.operation(vm_id.subscription_id, region, activity_id)
            return _Status(operation, operation.state(self._clock.ticks()))

        return await self._call(Phase.POLL, Kind.OPERATION, vm_id, answer)

    async def _result(self, vm_id: VirtualMachineId, operation: Operation) -> Json:
        """Returns the result of an operation that succeeded.

        It stood in the status already; only one without a list of patches is asked for again.
        """
        result = bodies.result_body(operation)
        if isinstance(result["availablePatches"], list):
            return result
        return await self._call(Phase.POLL, Kind.LOCATION, vm_id, lambda: result)

    async def _call(
        self, phase: Phase, kind: Kind, vm_id: VirtualMachineId, answer: Callable[[], T]
    ) -> T:
        return await self._endpoint.call(phase, kind, self._subject(vm_id), answer)

    def _vm(self, vm_id: VirtualMachineId) -> Vm:
        return self._cloud.vm(vm_id.subscription_id, vm_id.resource_group, vm_id.name)

    def _subject(self, vm_id: VirtualMachineId) -> Subject:
        vm = self._cloud.vms.get(vm_id.key)
        return Subject(vm_id.subscription_id, vm.region.name if vm else "", vm_id.key)


def _failed(operation: Operation) -> ArmError:
    """Returns what the SDK's poller makes of an operation that failed: an error under a 200."""
    error = parse_error(operation.error().as_json(), fallback_code="", fallback_message="")
    return ArmError(Phase.POLL, 200, error)
