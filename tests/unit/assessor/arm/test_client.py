"""What the app asks of ARM, letter for letter, and how long it waits for an answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy
from azure.mgmt import compute

from assessor.arm.client import API_VERSION, ArmClient
from assessor.arm.continuation import TokenRefusedError, for_operation
from assessor.arm.errors import ArmError, Phase
from assessor.arm.operation import Running
from assessor.arm.result import ApiError
from assessor.arm.virtual_machine import VirtualMachine
from assessor.resource_id import VirtualMachineId
from assessor.settings import ArmCloud
from tests.support.builders import ACTIVITY_ID, OTHER_SUBSCRIPTION, SUBSCRIPTION, VM_ID
from tests.support.recorded_arm import Credential, RecordedArm

ENDPOINT = "https://management.chinacloudapi.cn"
CLOUD = ArmCloud(ENDPOINT, "https://management.core.chinacloudapi.cn/.default")
OPERATION = (
    f"{ENDPOINT}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/eastus"
    f"/operations/{ACTIVITY_ID}?api-version={API_VERSION}"
)
TOKEN = for_operation(ENDPOINT, VM_ID, "eastus", ACTIVITY_ID, API_VERSION)


def answer(status: int, body: object = "", **headers: str) -> Mapping[str, Any]:
    """Returns what ARM answers."""
    named = {name.replace("_", "-"): [text] for name, text in headers.items()}
    return {
        "StatusCode": status,
        "ResponseHeaders": {"Content-Type": ["application/json"]} | named,
        "ResponseBody": body if isinstance(body, str) else json.dumps(body),
    }


class Scopes(Credential):
    """Gives a token, and notes what for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - SDK's
        """Gives a token."""
        self.asked.append(scopes)
        return await super().get_token(*scopes, **options)


async def test_a_vm_is_read_with_its_instance_view() -> None:
    """In one call, in the version that the app speaks, with a token for the cloud's own scope."""
    transport, credential = RecordedArm([answer(200, {"location": "x"})]), Scopes()
    assert await ArmClient(credential, CLOUD, transport).read(VM_ID) == VirtualMachine(
        VM_ID, location="x"
    )
    assert transport.calls == [
        ("GET", f"{ENDPOINT}{VM_ID}?api-version={API_VERSION}&$expand=instanceView")
    ]
    assert credential.asked == [(CLOUD.scope,)]
    (headers,) = transport.headers
    assert headers["authorization"] == "Bearer the-apps-token"
    assert headers["x-ms-client-request-id"]
    assert headers["user-agent"].startswith(
        f"patch-assessor azsdk-python-mgmt-compute/{compute.__version__} Python/"
    )


async def test_every_call_is_in_the_version_that_the_app_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the SDK's own is."""
    monkeypatch.setattr("assessor.arm.client.API_VERSION", "2020-06-01")
    transport = RecordedArm([answer(404), answer(404)])
    arm = ArmClient(Credential(), CLOUD, transport)
    for call in (arm.read(VM_ID), arm.begin(VM_ID, "x")):
        with pytest.raises(ArmError):
            await call
    assert [url.count("api-version=2020-06-01") for _, url in transport.calls] == [1, 1]
    made = arm.continuation_token(VirtualMachine(VM_ID, location="eastus"), ACTIVITY_ID)
    assert made == for_operation(ENDPOINT, VM_ID, "eastus", ACTIVITY_ID, "2020-06-01")


async def test_an_assessment_is_begun_under_the_requests_id_and_polled_under_the_same() -> None:
    """So ARM's own logs show what belongs together."""
    begun = answer(202, Azure_AsyncOperation=OPERATION, Location=OPERATION)
    polled = answer(200, {"status": "InProgress"})
    transport = RecordedArm([begun, polled])
    arm = ArmClient(Credential(), CLOUD, transport)
    token = (await arm.begin(VM_ID, "request-1")).token
    assert await arm.poll(VM_ID, token, ACTIVITY_ID) == Running()
    assert transport.calls == [
        ("POST", f"{ENDPOINT}{VM_ID}/assessPatches?api-version={API_VERSION}"),
        ("GET", OPERATION),
    ]
    sent = [headers["x-ms-client-request-id"] for headers in transport.headers]
    assert sent == ["request-1", "request-1"]


@pytest.mark.parametrize(
    ("location", "region"), [("East US", "eastus"), ("westeurope", "westeurope")]
)
def test_a_token_for_an_operation_begun_by_whomever_lies_under_the_vms_region(
    location: str, region: str
) -> None:
    """In whatever spelling ARM told it."""
    arm = ArmClient(Credential(), CLOUD, RecordedArm([]))
    assert arm.continuation_token(VirtualMachine(VM_ID, location=location), "a-1") == (
        for_operation(ENDPOINT, VM_ID, region, "a-1", API_VERSION)
    )


@pytest.mark.parametrize(
    ("vm_id", "activity_id"),
    [(VM_ID, "other"), (VirtualMachineId(OTHER_SUBSCRIPTION, "g", "v"), ACTIVITY_ID)],
)
async def test_a_token_of_another_operation_or_subscription_is_not_polled(
    vm_id: VirtualMachineId, activity_id: str
) -> None:
    """No call goes out."""
    transport = RecordedArm([])
    with pytest.raises(TokenRefusedError):
        await ArmClient(Credential(), CLOUD, transport).poll(vm_id, TOKEN, activity_id)
    assert transport.calls == []


class Noting(AsyncHTTPPolicy[Any, Any]):
    """Notes what passes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, bool, int]] = []

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Passes the call on."""
        has_token = "Authorization" in request.http_request.headers
        response: PipelineResponse[Any, Any] = await self.next.send(request)
        status = response.http_response.status_code
        self.seen.append((request.http_request.method, has_token, status))
        return response


async def test_policies_of_the_app_see_each_call_without_its_token() -> None:
    """And its answer."""
    noting = Noting()
    transport = RecordedArm([answer(404), answer(200, {"status": "InProgress"})])
    arm = ArmClient(Credential(), CLOUD, transport, (noting,))
    with pytest.raises(ArmError):
        await arm.begin(VM_ID, "x")
    await arm.poll(VM_ID, TOKEN, ACTIVITY_ID)
    assert noting.seen == [("POST", False, 404), ("GET", False, 200)]


class Silent(RecordedArm):
    """Never answers."""

    async def send(self, request: Any, **options: Any) -> Any:  # noqa: ANN401 - SDK's
        """Waits."""
        del request, options
        await asyncio.Event().wait()


@pytest.mark.parametrize("phase", [Phase.READ, Phase.BEGIN, Phase.POLL])
async def test_no_answer_is_waited_for_for_ever(
    phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call has its time, and what takes longer is no answer."""
    for module in ("client", "poller"):
        monkeypatch.setattr(f"assessor.arm.{module}.CALL_SECONDS", 0.001)
    arm = ArmClient(Credential(), CLOUD, Silent([]))
    calls: Mapping[Phase, Callable[[], Awaitable[object]]] = {
        Phase.READ: lambda: arm.read(VM_ID),
        Phase.BEGIN: lambda: arm.begin(VM_ID, "x"),
        Phase.POLL: lambda: arm.poll(VM_ID, TOKEN, ACTIVITY_ID),
    }
    async with asyncio.timeout(5):
        with pytest.raises(ArmError) as unanswered:
            await calls[phase]()
    error = unanswered.value
    assert (error.phase, error.status) == (phase, None)
    assert error.error == ApiError("TimeoutError", "no answer in time")


def test_subscriptions_have_clients_of_their_own_and_not_too_many_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each takes memory: what was not used for longest is made anew."""
    monkeypatch.setattr("assessor.arm.client._CLIENTS", 1)
    arm = ArmClient(Credential(), CLOUD, RecordedArm([]))
    first = arm.client(SUBSCRIPTION)
    assert arm.client(SUBSCRIPTION) is first
    assert arm.client(OTHER_SUBSCRIPTION) is not first
    assert arm.client(SUBSCRIPTION) is not first
