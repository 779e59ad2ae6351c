"""ARM's lists of VMs at the app's port, in ARM's pages of 50."""

from collections.abc import Callable
from functools import cache
from typing import Final

from assessor.arm.errors import Phase
from assessor.arm.listing import ListedVm, Page
from assessor.resource_id import Scope, VirtualMachineId
from localcloud.arm.buckets import Subject
from localcloud.arm.cloud import Cloud
from localcloud.arm.model import Vm
from localcloud.arm.routing import Kind
from tests.simulation.endpoint import Endpoint

_PAGE_SIZE: Final = 50


class SimulatedFleet:
    """The app's port to the lists, on a cloud whose VMs neither come nor go."""

    def __init__(self, cloud: Cloud, endpoint: Endpoint) -> None:
        """Keeps what it answers from."""
        self._endpoint = endpoint
        # The local cloud sorts all of its VMs for each page; here the order can't change.
        self._in_scope = cache(cloud.in_scope)

    async def page(self, scope: Scope, link: str | None) -> Page:
        """Returns a page without power states; raises ArmError."""
        return await self._page(
            scope,
            link,
            lambda vm: ListedVm(vm_id_of(vm), location=vm.region.name, tags=vm.tags),
        )

    async def power_page(self, scope: Scope, link: str | None) -> Page:
        """Returns a page with power states alone; raises ArmError."""
        return await self._page(
            scope, link, lambda vm: ListedVm(vm_id_of(vm), power_state=vm.power.value)
        )

    async def _page(self, scope: Scope, link: str | None, listed: Callable[[Vm], ListedVm]) -> Page:
        def answer() -> Page:
            vms = self._in_scope(scope.subscription_id, scope.resource_group or "")
            start = int(link or 0)
            end = start + _PAGE_SIZE
            return Page(
                tuple(listed(vm) for vm in vms[start:end]), str(end) if end < len(vms) else None
            )

        kind = Kind.LIST_GROUP if scope.resource_group else Kind.LIST_SUBSCRIPTION
        subject = Subject(scope.subscription_id, "", "")
        return await self._endpoint.call(Phase.LIST, kind, subject, answer)


def vm_id_of(vm: Vm) -> VirtualMachineId:
    """Returns the VM's resource ID as the app has it."""
    return VirtualMachineId(vm.subscription_id, vm.resource_group, vm.name)
