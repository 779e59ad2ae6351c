"""The lists of VMs through azure-mgmt-compute."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from azure.core.async_paging import AsyncItemPaged
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.compute.models import VirtualMachine

from assessor.arm.client import API_VERSION
from assessor.arm.continuation import Origin
from assessor.arm.errors import Phase
from assessor.arm.poller import CALL_SECONDS
from assessor.arm.sdk_errors import arm_errors
from assessor.resource_id import ResourceIdError, Scope, VirtualMachineId
from assessor.scans.listing import ListedVm, Page, PageLinkRefusedError

_LOG: Final = logging.getLogger(__name__)
_POWER_STATE: Final = "powerstate/"


class ComputeFleet:
    """Lists VMs by azure-mgmt-compute, one call at a time.

    A link is checked before it is followed, whoever it came from: the SDK would call any URL with
    the app's token.
    """

    def __init__(self, clients: Callable[[str], ComputeManagementClient], endpoint: str) -> None:
        """Keeps where clients come from.

        Args:
            clients: returns the client of a subscription.
            endpoint: ARM's origin.
        """
        self._clients = clients
        self._endpoint = endpoint

    async def page(self, scope: Scope, link: str | None) -> Page:
        """Returns a page of the scope's VMs; raises ArmError or PageLinkRefusedError."""
        vms = self._clients(scope.subscription_id).virtual_machines
        if scope.resource_group is None:
            listing = vms.list_all(api_version=API_VERSION)
        else:
            listing = vms.list(scope.resource_group, api_version=API_VERSION)
        return await self._page(scope, listing, link)

    async def power_page(self, scope: Scope, link: str | None) -> Page:
        """Returns a page with power states; raises ArmError or PageLinkRefusedError.

        ARM has this list for whole subscriptions only.
        """
        vms = self._clients(scope.subscription_id).virtual_machines
        listing = vms.list_all(status_only="true", api_version=API_VERSION)
        return await self._page(scope, listing, link)

    async def _page(
        self, scope: Scope, listing: AsyncItemPaged[VirtualMachine], link: str | None
    ) -> Page:
        pages = listing.by_page(self._checked(scope, link) if link is not None else None)
        with arm_errors(Phase.LIST):
            async with asyncio.timeout(CALL_SECONDS):
                # The SDK's page iterator has the link of the next page, and its type does not say.
                vms = [vm async for vm in await anext(pages)]
        following: str | None = getattr(pages, "continuation_token", None)
        return Page(
            tuple(_listed(vms, scope)),
            self._checked(scope, following) if following is not None else None,
        )

    def _checked(self, scope: Scope, link: str) -> str:
        problem = Origin(self._endpoint, scope.subscription_id).problem_with(link)
        if problem is not None:
            raise PageLinkRefusedError(problem)
        return link


def _listed(vms: list[VirtualMachine], scope: Scope) -> Iterator[ListedVm]:
    for vm in vms:
        vm_id = _id(vm.get("id"))
        if vm_id is not None and scope.contains(vm_id):
            properties = vm.get("properties") or {}
            yield ListedVm(
                vm_id,
                location=vm.get("location"),
                tags=dict(vm.get("tags") or {}),
                power_state=_power_state(properties.get("instanceView") or {}),
            )


def _id(text: object) -> VirtualMachineId | None:
    try:
        return VirtualMachineId.parse(str(text))
    except ResourceIdError:
        _LOG.warning("ARM listed %r, which is no VM's resource ID by ARM's own rules", text)
        return None


def _power_state(view: Mapping[str, Any]) -> str | None:
    for status in view.get("statuses") or ():
        code = str(status.get("code", ""))
        if code.lower().startswith(_POWER_STATE):
            return code[len(_POWER_STATE) :]
    return None
