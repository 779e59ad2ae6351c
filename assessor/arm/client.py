"""ARM through azure-mgmt-compute and its own poller.

The SDK does not retry: a refusal comes back at once as ArmError, and the bus does the waiting.
One connection pool serves all subscriptions.
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.policies import (
    AsyncHTTPPolicy,
    ContentDecodePolicy,
    CustomHookPolicy,
    HeadersPolicy,
    RequestIdPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.mgmt import compute
from azure.mgmt.compute.aio import ComputeManagementClient

from assessor.arm import continuation
from assessor.arm.access_token import ArmAuthentication, Origin, OriginPolicy
from assessor.arm.errors import Phase
from assessor.arm.operation import Begun, Ended, Running
from assessor.arm.poller import CALL_SECONDS, Answers, OperationPoller, SinglePoll
from assessor.arm.reading import streamed_object
from assessor.arm.sdk_errors import arm_errors
from assessor.arm.throttling import PlainWaitPolicy, region_name
from assessor.arm.virtual_machine import VirtualMachine, read_virtual_machine
from assessor.resource_id import VirtualMachineId
from assessor.settings import ArmCloud

API_VERSION: Final = "2026-04-01"
"""The version that azure-mgmt-compute 39 speaks; written out, for it stands in adopted URLs."""
_CLIENTS: Final = 128
"""How many subscriptions' clients are kept; each takes about 280 KiB."""


def _pipeline(
    credential: AsyncTokenCredential,
    cloud: ArmCloud,
    policies: Sequence[AsyncHTTPPolicy[Any, Any]],
) -> list[object]:
    """Returns the policies that each call passes, in their order.

    The SDK's own list less what must not happen here: retries (the bus waits), redirects (the token
    goes nowhere else, which OriginPolicy makes sure of), and the registration of resource providers
    (a right that the app lacks). And less what the app does otherwise: logging and tracing.
    """
    return [
        PlainWaitPolicy(),
        RequestIdPolicy(),
        HeadersPolicy(),
        UserAgentPolicy(
            user_agent="patch-assessor", sdk_moniker=f"mgmt-compute/{compute.__version__}"
        ),
        ContentDecodePolicy(),
        *policies,
        OriginPolicy(cloud.endpoint),
        ArmAuthentication(credential, cloud.scope),
        CustomHookPolicy(),  # raw_response_hook
    ]


def _http_response(answer: PipelineResponse[Any, Any], *_: object) -> Any:  # noqa: ANN401 - the transport's own type
    return answer.http_response


class ArmClient:
    """ARM, by azure-mgmt-compute."""

    def __init__(
        self,
        credential: AsyncTokenCredential,
        cloud: ArmCloud,
        transport: AsyncHttpTransport[Any, Any],
        policies: tuple[AsyncHTTPPolicy[Any, Any], ...] = (),
    ) -> None:
        """Makes no client yet; whoever made the transport, the one connection pool, closes it."""
        self._cloud = cloud

        pipeline = _pipeline(credential, cloud, policies)

        def make(subscription_id: str) -> ComputeManagementClient:
            return ComputeManagementClient(
                credential,
                subscription_id,
                base_url=cloud.endpoint,
                transport=transport,
                policies=pipeline,
            )

        self.client = lru_cache(maxsize=_CLIENTS)(make)

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Returns the VM with its instance view; raises ArmError."""
        with arm_errors(Phase.READ):
            async with asyncio.timeout(CALL_SECONDS):
                # As a stream, for the SDK's models of a VM take longer than the call.
                answer: Any = await self.client(vm_id.subscription_id).virtual_machines.get(
                    vm_id.resource_group,
                    vm_id.name,
                    expand="instanceView",
                    api_version=API_VERSION,
                    stream=True,
                    cls=_http_response,
                )
                resource = await streamed_object(answer)
        return read_virtual_machine(vm_id, resource)

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> Begun:
        """Begins an assessment; raises ArmError."""
        with arm_errors(Phase.BEGIN):
            async with asyncio.timeout(CALL_SECONDS):
                poller = await self._poller(vm_id, request_id=client_request_id)
        return await poller.begun()

    def continuation_token(self, vm: VirtualMachine, activity_id: str) -> str:
        """Returns a continuation token of the operation of that name, begun by whomever."""
        return continuation.for_operation(
            self._cloud.endpoint, vm.id, region_name(vm.location), activity_id, API_VERSION
        )

    async def poll(self, vm_id: VirtualMachineId, token: str, activity_id: str) -> Running | Ended:
        """Polls the operation of that name once; raises TokenRefusedError or ArmError.

        The token is checked each time, whoever made it: ARM's own 202 could name any URL too.
        """
        origin = Origin(self._cloud.endpoint, vm_id.subscription_id, activity_id)
        checked = continuation.check(token, origin)
        with arm_errors(Phase.POLL):
            poller = await self._poller(vm_id, continuation_token=checked)
            return await poller.poll()

    async def _poller(self, vm_id: VirtualMachineId, **options: str) -> OperationPoller:
        """Returns the SDK's poller: of a new operation, or with a token of one that runs."""
        answers = Answers()
        method = SinglePoll(raw_response_hook=answers.hook)
        sdk = await self.client(vm_id.subscription_id).virtual_machines.begin_assess_patches(
            vm_id.resource_group,
            vm_id.name,
            polling=method,
            api_version=API_VERSION,
            raw_response_hook=answers.hook,
            **options,
        )
        return OperationPoller(sdk, method, answers)
