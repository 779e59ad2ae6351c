"""The real SDK against a local ARM in the test's own process, on a clock that the test moves."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from unittest import mock

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import ManagedIdentityCredential
from azure.mgmt.compute.aio import ComputeManagementClient

from localcloud.arm.clock import seconds, system_clock
from localcloud.arm.model import Vm
from localcloud.arm.running import LocalArm
from localcloud.arm.scenario import parse_vm
from localcloud.identity import SYSTEM_ASSIGNED

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
VM_ID = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-Test/providers/Microsoft.Compute"
    "/virtualMachines/vm-1"
)
SOON = 0.01
"""A polling interval that costs no time; how long an operation takes is the clock's business."""


class ManualClock:
    """The system's time plus what the test adds."""

    def __init__(self) -> None:
        self._system = system_clock()
        self._ahead = 0

    def __call__(self) -> int:
        return self._system() + self._ahead

    def advance(self, by_seconds: float) -> None:
        self._ahead += seconds(by_seconds)


def vm(**fields: object) -> Vm:
    """Returns the test's VM, with the fields of a scenario."""
    return parse_vm({"id": VM_ID, **fields})


@asynccontextmanager
async def compute_client(
    arm: LocalArm,
    subscription: str = SUBSCRIPTION,
) -> AsyncIterator[ComputeManagementClient]:
    """Gives a client as an app has it.

    The authority is trusted through the session: aiohttp reads SSL_CERT_FILE only at its import.
    """
    async with AsyncExitStack() as stack:
        credential = await stack.enter_async_context(managed_identity(arm))
        session = await stack.enter_async_context(session_for(arm))
        transport = AioHttpTransport(session=session, session_owner=False)
        client = ComputeManagementClient(
            credential, subscription, base_url=arm.endpoint, transport=transport
        )
        yield await stack.enter_async_context(client)


def managed_identity(arm: LocalArm, client_id: str | None = None) -> ManagedIdentityCredential:
    """Returns the credential as an app has it, which reads its environment when it is made."""
    environment = {k: v for k, v in arm.settings().items() if k.startswith("IDENTITY")}
    with mock.patch.dict("os.environ", environment):
        return ManagedIdentityCredential(client_id=client_id)


def session_for(arm: LocalArm) -> aiohttp.ClientSession:
    """Returns a plain HTTP session that trusts the local authority."""
    connector = aiohttp.TCPConnector(ssl=arm.authority.client_context())
    return aiohttp.ClientSession(connector=connector)


def bearer(arm: LocalArm, resource: str = "https://management.azure.com") -> dict[str, str]:
    """Returns a header with a token for ``resource``."""
    now = system_clock()() // 10_000_000
    token = arm.signer.issue(SYSTEM_ASSIGNED, resource, now=now, lifetime=3600)
    return {"Authorization": f"Bearer {token}"}
