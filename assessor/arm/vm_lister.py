"""The lists of VMs through azure-mgmt-compute."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.mgmt.compute.aio import ComputeManagementClient

from assessor.arm.access_token import Origin
from assessor.arm.client import API_VERSION
from assessor.arm.errors import ArmError, Phase
from assessor.arm.listing import Page, PageLinkRefusedError, read_page
from assessor.arm.poller import CALL_SECONDS
from assessor.arm.reading import read_object
from assessor.arm.result import ApiError
from assessor.arm.sdk_errors import arm_errors
from assessor.resource_id import Scope

_VMS: Final = "/providers/Microsoft.Compute/virtualMachines"


@dataclass(frozen=True, slots=True)
class ArmVmLister:
    """Lists VMs by azure-mgmt-compute, one call at a time.

    A link is checked before it is followed, whoever it came from: the SDK would call any URL with
    the app's token.
    """

    clients: Callable[[str], ComputeManagementClient]
    endpoint: str

    async def page(self, scope: Scope, link: str | None) -> Page:
        """Returns a page of the scope's VMs; raises ArmError or PageLinkRefusedError."""
        return await self._page(scope, f"{scope}{_VMS}", {}, link)

    async def power_page(self, scope: Scope, link: str | None) -> Page:
        """Returns a page with power states; raises ArmError or PageLinkRefusedError.

        ARM has this list for whole subscriptions only.
        """
        whole = f"/subscriptions/{scope.subscription_id}{_VMS}"
        page = await self._page(scope, whole, {"statusOnly": "true"}, link)
        return replace(page, unreadable={})  # the other list has them too

    async def _page(
        self, scope: Scope, path: str, parameters: Mapping[str, str], link: str | None
    ) -> Page:
        """Asks by the SDK's pipeline, not by its models, which raise for what they don't know."""
        if link is not None:
            request = HttpRequest("GET", self._checked(scope, link))
        else:
            first = f"{self.endpoint}{quote(path)}"
            request = HttpRequest("GET", first, params={**parameters, "api-version": API_VERSION})
        client = self.clients(scope.subscription_id)
        with arm_errors(Phase.LIST):
            async with asyncio.timeout(CALL_SECONDS):
                answer = await client.send_request(request, stream=True)
                await answer.read()
            if answer.status_code != HTTPStatus.OK:
                raise HttpResponseError(response=answer)
        page = _read(answer.content, answer.headers, scope)
        if page.next_link is not None:
            self._checked(scope, page.next_link)
        return page

    def _checked(self, scope: Scope, link: str) -> str:
        problem = Origin(self.endpoint, scope.subscription_id).problem_with(link)
        if problem is not None:
            raise PageLinkRefusedError(problem)
        return link


def _read(body: bytes, headers: Mapping[str, str], scope: Scope) -> Page:
    """Returns the page; raises ArmError where there is none, which is waited out."""
    plain = {"content-type": headers.get("content-type", "")}  # the transport has decompressed it
    document = read_object(body, plain)
    try:
        return read_page(document, scope)
    except ValueError as error:
        problem = ApiError("UnreadableAnswer", f"ARM's list can't be read: {error}")
        raise ArmError(Phase.LIST, None, problem) from error
