"""ARM through azure-mgmt-compute and its own poller.

The SDK's retries are off: a refusal comes back at once as ArmError, and the bus does the waiting.
One connection pool serves all subscriptions.
"""

import asyncio
import email.utils
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, DecodeError, HttpResponseError
from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.polling import AsyncLROPoller
from azure.core.polling.base_polling import LocationPolling, StatusCheckPolling
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.compute.models import VirtualMachineAssessPatchesResult
from azure.mgmt.core.polling.arm_polling import AzureAsyncOperationPolling, BodyContentPolling
from azure.mgmt.core.polling.async_arm_polling import AsyncARMPolling

from assessor.arm import continuation
from assessor.arm.answers import ArmError, Phase, api_error
from assessor.arm.hold import Hold
from assessor.arm.port import OperationEnd
from assessor.arm.throttle import remaining_calls
from assessor.arm.virtual_machine import VirtualMachine, read_virtual_machine
from assessor.clock import from_text
from assessor.messages.outcome import ApiError
from assessor.resource_id import VirtualMachineId
from assessor.settings import ArmCloud

API_VERSION: Final = "2026-04-01"
"""The version that azure-mgmt-compute 39 speaks; written out, for it stands in adopted URLs."""
CALL_SECONDS: Final = 60.0
"""How long one call may take in all. ARM answers in seconds; a body that drips does not hold us."""
_REMAINING: Final = "x-ms-ratelimit-remaining-resource"
_CLIENTS: Final = 128
"""How many subscriptions' clients are kept; each takes about 280 KiB."""

_Poller = AsyncLROPoller[VirtualMachineAssessPatchesResult]


class ComputeArm:
    """ARM, by azure-mgmt-compute.

    Attributes:
        client: returns the SDK's client of a subscription, the same one each time.
    """

    def __init__(
        self,
        credential: AsyncTokenCredential,
        cloud: ArmCloud,
        transport: AsyncHttpTransport[Any, Any],
        policies: tuple[AsyncHTTPPolicy[Any, Any], ...] = (),
    ) -> None:
        """Keeps what each subscription's client is made from.

        Args:
            credential: gets tokens for ARM.
            cloud: ARM's endpoint and the audience of its tokens.
            transport: the one connection pool; whoever made it closes it.
            policies: see every call and every answer, as azure-core's pipeline policies do.
        """
        self._cloud = cloud

        def make(subscription_id: str) -> ComputeManagementClient:
            return ComputeManagementClient(
                credential,
                subscription_id,
                base_url=cloud.endpoint,
                credential_scopes=[cloud.scope],
                transport=transport,
                per_retry_policies=list(policies),
                retry_total=0,
                permit_redirects=False,  # the bearer token goes nowhere else
                user_agent="patch-assessor",
            )

        self.client = lru_cache(maxsize=_CLIENTS)(make)

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Returns the VM with its instance view; raises ArmError."""
        with arm_errors(Phase.READ):
            async with asyncio.timeout(CALL_SECONDS):
                resource = await self.client(vm_id.subscription_id).virtual_machines.get(
                    vm_id.resource_group, vm_id.name, expand="instanceView", api_version=API_VERSION
                )
        return read_virtual_machine(vm_id, resource.as_dict())

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> "ComputeOperation":
        """Begins an assessment; raises ArmError."""
        with arm_errors(Phase.BEGIN):
            async with asyncio.timeout(CALL_SECONDS):
                return await self._operation(vm_id, request_id=client_request_id)

    async def resume(
        self, vm_id: VirtualMachineId, activity_id: str, token: str
    ) -> "ComputeOperation":
        """Returns the operation that `token` continues; raises TokenRefusedError."""
        origin = continuation.Origin(self._cloud.endpoint, vm_id.subscription_id)
        return await self._operation(
            vm_id, activity_id, continuation_token=continuation.check(token, origin)
        )

    async def adopt(self, vm: VirtualMachine, activity_id: str) -> "ComputeOperation":
        """Returns the operation of that activity ID, begun by whomever."""
        token = continuation.for_operation(
            self._cloud.endpoint, vm.id, vm.location or "", activity_id, API_VERSION
        )
        return await self.resume(vm.id, activity_id, token)

    async def _operation(
        self,
        vm_id: VirtualMachineId,
        activity_id: str | None = None,
        **options: str,
    ) -> "ComputeOperation":
        seen = _Seen()
        polling = _HeldPolling(raw_response_hook=seen.hook)
        poller = await self.client(vm_id.subscription_id).virtual_machines.begin_assess_patches(
            vm_id.resource_group,
            vm_id.name,
            polling=polling,
            api_version=API_VERSION,
            raw_response_hook=seen.hook,
            **options,
        )
        return ComputeOperation(activity_id or seen.begin_request_id or "", poller, polling, seen)


class ComputeOperation:
    """An assessment that the SDK's poller follows."""

    def __init__(
        self, activity_id: str, poller: _Poller, polling: "_HeldPolling", seen: "_Seen"
    ) -> None:
        """Wraps the poller; see ComputeArm for how one is made."""
        self.activity_id = activity_id
        self._poller = poller
        self._polling = polling
        self._seen = seen

    @property
    def token(self) -> str:
        """The SDK's continuation token."""
        return self._poller.continuation_token()

    @property
    def remaining(self) -> Mapping[str, int]:
        """How many calls ARM's policies have left, as the begin's answer said; else empty."""
        return self._seen.remaining

    async def follow(self, hold: Hold, next_look: Callable[[], float]) -> OperationEnd:
        """Looks at the operation until it ends; raises HoldOver or ArmError."""
        self._polling.pace = _Pace(hold, next_look)
        with arm_errors(Phase.POLL):
            if self._seen.begin_request_id is not None and not self._polling.finished():
                # Just begun: the SDK would look at once, and no assessment ends in no time.
                await self._polling.wait()
            await self._poller.wait()
            result = _result(self._polling.last_document())
        return OperationEnd(
            result,
            from_text(self._seen.status.get("startTime")),
            from_text(self._seen.status.get("endTime")),
        )


@dataclass(frozen=True, slots=True)
class _Pace:
    """When to look, and how long one may wait for that."""

    hold: Hold
    next_look: Callable[[], float]


class _InlineResult(AzureAsyncOperationPolling[Any, Any]):
    """Takes the result out of the operation's last status, where ARM puts it.

    The SDK asks Location once more for the same; one call in eight is saved. A result without a
    list of patches is asked for there all the same.
    """

    def get_final_get_url(self, pipeline_response: PipelineResponse[Any, Any]) -> str | None:
        """Returns where the result is to be got; None where it is in `pipeline_response`."""
        output = _output(_json_object(pipeline_response.http_response.text()))
        if output is not None and isinstance(output.get("availablePatches"), list):
            return None
        url: str | None = super().get_final_get_url(pipeline_response)
        return url


class _HeldPolling(AsyncARMPolling):
    """The SDK's polling, which looks when the app says and waits as long as its hold lasts."""

    def __init__(self, **operation_config: Any) -> None:  # noqa: ANN401 - the SDK's own options
        super().__init__(
            timeout=0.0,  # what the SDK waits without a Retry-After; the app says how long that is
            lro_algorithms=[
                _InlineResult(),
                LocationPolling(),
                BodyContentPolling(),
                StatusCheckPolling(),
            ],
            **operation_config,
        )
        self.pace: _Pace | None = None

    def last_document(self) -> Mapping[str, Any]:
        """Returns ARM's last answer as it is, without the SDK's models around it; {} for no body.

        Raises:
            JSONDecodeError: it is no JSON.
        """
        text = self._pipeline_response.http_response.text()
        document = json.loads(text) if text else {}
        return document if isinstance(document, Mapping) else {}

    async def wait(self) -> None:
        """Waits until the next look is due."""
        await self._delay()

    async def _sleep(self, delay: float) -> None:
        if self.pace is None:
            raise RuntimeError("nobody has said when to look at the operation")
        await self.pace.hold.wait(max(delay, self.pace.next_look()))

    async def request_status(self, status_link: str) -> Any:  # noqa: ANN401 - the SDK's own type
        async with asyncio.timeout(CALL_SECONDS):
            return await super().request_status(status_link)


class _Seen:
    """What the poller's answers said beside what the poller keeps."""

    def __init__(self) -> None:
        self.begin_request_id: str | None = None
        self.remaining: Mapping[str, int] = {}
        self.status: Mapping[str, Any] = {}

    def hook(self, response: PipelineResponse[Any, Any]) -> None:
        """Takes note of one answer; azure-core calls this for each."""
        answer = response.http_response
        if response.http_request.method == "POST":
            # It is the operation's name and the assessmentActivityId as well.
            self.begin_request_id = answer.headers.get("x-ms-request-id")
            self.remaining = remaining_calls(answer.headers.getall(_REMAINING, ()))
        elif answer.status_code == HTTPStatus.OK:
            fields = _json_object(answer.text())
            if "endTime" in fields:
                self.status = fields


def _result(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the assessment's result out of what the poller took for it.

    The SDK gives the status document for it where it did not ask Location; the result then stands
    in its `properties.output`.
    """
    output = _output(fields)
    if output is not None:
        return output
    if not fields:
        raise ArmError(
            Phase.POLL,
            HTTPStatus.OK,
            ApiError("ResultMissing", "The operation succeeded, and ARM sent no result of it."),
        )
    return fields


def _output(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the result that stands in an operation's status document, if one does."""
    properties = status.get("properties")
    output = properties.get("output") if isinstance(properties, Mapping) else None
    return output if isinstance(output, Mapping) else None


@contextmanager
def arm_errors(phase: Phase) -> Iterator[None]:
    """Turns what the SDK raises inside the `with` into ArmError."""
    try:
        yield
    except HttpResponseError as error:
        raise _refusal(phase, error) from error
    except (AzureError, TimeoutError, json.JSONDecodeError) as error:
        raise _no_answer(phase, error) from error


def _refusal(phase: Phase, error: HttpResponseError) -> ArmError:
    answer: Any = error.response  # of the transport's own type, which azure-core does not name
    if answer is None or isinstance(error, DecodeError):
        return _no_answer(phase, error)
    body = _json_object(answer.text())
    fields = body.get("error", body)
    return ArmError(
        phase,
        answer.status_code,
        api_error(
            fields if isinstance(fields, Mapping) else {},
            fallback_code=_code_of(body, answer.status_code),
            fallback_message=error.reason or "ARM gave no reason.",
        ),
        retry_after=_retry_after(answer.headers),
        request_id=answer.headers.get("x-ms-request-id"),
    )


def _no_answer(phase: Phase, error: Exception) -> ArmError:
    return ArmError(phase, None, ApiError(type(error).__name__, str(error) or "no answer in time"))


def _code_of(body: Mapping[str, Any], status: int) -> str:
    """Returns a code for an answer that has none of its own."""
    if status == HTTPStatus.OK:
        return f"Operation{body.get('status', 'Failed')}"
    try:
        return HTTPStatus(status).phrase.replace(" ", "")
    except ValueError:
        return f"Http{status}"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds of a Retry-After header, which may be a number or a date (RFC 9110)."""
    text = headers.get("Retry-After")
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _json_object(text: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError:
        return {}
    return fields if isinstance(fields, Mapping) else {}
