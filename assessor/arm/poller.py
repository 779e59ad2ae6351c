"""The poller: azure-mgmt-compute's own long-running-operation poller, asked for one poll at a time.

Left out of it is what the SDK does by itself: waiting between polls, which is the assessment's to
decide, and one call in eight, for a result that ARM's last status holds already.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from azure.core.pipeline import PipelineResponse
from azure.core.polling import AsyncLROPoller
from azure.core.polling.base_polling import BadResponse, LocationPolling, StatusCheckPolling
from azure.mgmt.compute.models import VirtualMachineAssessPatchesResult
from azure.mgmt.core.polling.arm_polling import AzureAsyncOperationPolling, BodyContentPolling
from azure.mgmt.core.polling.async_arm_polling import AsyncARMPolling

from assessor.arm.continuation import name_in
from assessor.arm.errors import ArmError, Phase
from assessor.arm.operation import Begun, Ended, Running
from assessor.arm.reading import document, json_object, object_of
from assessor.arm.result import ApiError, parse_result
from assessor.arm.sdk_errors import CANCELLED, arm_errors
from assessor.arm.throttling import asked_to_wait, remaining_calls
from assessor.clock import from_text

_COUNT: Final = re.compile(r"[0-9]{1,9}")
CALL_SECONDS: Final = 60.0
"""How long one call may take in all. ARM answers in seconds; a body that drips does not hold us."""
_REMAINING: Final = "x-ms-ratelimit-remaining-resource"
_READS_LEFT: Final = "x-ms-ratelimit-remaining-subscription-reads"


@dataclass(frozen=True, slots=True)
class OperationPoller:
    """The SDK's poller of one operation, with what it was made of.

    It keeps ARM's last answer, which is most of what a waiting assessment takes: so it lives for
    one poll, and between polls there is the continuation token alone.
    """

    sdk: AsyncLROPoller[VirtualMachineAssessPatchesResult]
    method: "SinglePoll"
    answers: "Answers"

    async def begun(self) -> Begun:
        """Returns the operation that making this poller has begun; raises ArmError.

        It is called what its URL calls it, as it will be when it is polled; else, and in every
        recording alike, what the POST's `x-ms-request-id` said.
        """
        token = self.sdk.continuation_token()
        said = self.answers.begin_request_id or ""
        name = name_in(token)
        return Begun(
            activity_id=said if name is None or name == said.lower() else name,
            token=token,
            retry_after=self.method.retry_after(),
            remaining=self.answers.remaining,
            ended=await self._ended_at_once(),
        )

    async def poll(self) -> Running | Ended:
        """Polls once; raises what the SDK raises, and ArmError."""
        try:
            return await self._end()
        except _StillRunning as running:
            return Running(running.retry_after, self.method.reads_left())

    async def _ended_at_once(self) -> Ended | None:
        if not self.method.finished():
            return None
        with arm_errors(Phase.POLL):
            if not self.method.last_document():
                # It names no operation to poll either. What has begun shows at the VM.
                raise ArmError(
                    Phase.BEGIN, None, ApiError("NoOperation", "ARM named no operation.")
                )
            return await self._end()

    async def _end(self) -> Ended:
        await self.sdk.wait()
        if self.method.is_unready():
            raise _StillRunning(self.method.retry_after())
        result = parse_result(_result(self.method.last_document()))
        status = self.answers.status
        return Ended(result, from_text(status.get("startTime")), from_text(status.get("endTime")))


class _StillRunning(Exception):  # noqa: N818 - the way out of the SDK's loop, not an error
    """The operation runs.

    Attributes:
        retry_after: the least seconds until the next poll; 0.0 where ARM did not say.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__()
        self.retry_after = retry_after


class _InlineResult(AzureAsyncOperationPolling[Any, Any]):
    """Takes the result out of the operation's last status, where ARM puts it.

    The SDK asks Location once more for the same; one call in eight is saved. A result without a
    list of patches is asked for there all the same.
    """

    def get_status(self, pipeline_response: PipelineResponse[Any, Any]) -> str:
        """Returns the operation's status; raises BadResponse where ARM told none."""
        status: object = super().get_status(pipeline_response)
        if not isinstance(status, str):  # the SDK takes whatever it is not for "it runs"
            raise BadResponse("the status is no text")
        return "Canceled" if status.lower() == CANCELLED else status

    def get_final_get_url(self, pipeline_response: PipelineResponse[Any, Any]) -> str | None:
        """Returns where the result is to be got; None where it is in `pipeline_response`."""
        output = _output(json_object(pipeline_response.http_response.text()))
        if output is not None and isinstance(output.get("availablePatches"), list):
            return None
        url: str | None = super().get_final_get_url(pipeline_response)
        return url


class SinglePoll(AsyncARMPolling):
    """The SDK's polling method, which raises _StillRunning where it would wait."""

    def __init__(self, **operation_config: Any) -> None:  # noqa: ANN401 - the SDK's own options
        super().__init__(
            lro_algorithms=[
                _InlineResult(),
                LocationPolling(),
                BodyContentPolling(),
                StatusCheckPolling(),
            ],
            **operation_config,
        )

    def retry_after(self) -> float:
        """Returns the seconds that ARM's last answer asks to wait; 0.0 if it does not."""
        return self._extract_delay()

    def is_unready(self) -> bool:
        """Returns whether ARM's last answer, of an operation that has ended, is none yet."""
        status: int = self._pipeline_response.http_response.status_code
        return status == HTTPStatus.ACCEPTED

    def reads_left(self) -> int | None:
        """Returns what ARM's last answer says is left of its own limit; None if it does not."""
        said = self._pipeline_response.http_response.headers.get(_READS_LEFT, "").strip()
        return int(said) if _COUNT.fullmatch(said) else None

    def last_document(self) -> Mapping[str, Any]:
        """Returns ARM's last answer as it is, without the SDK's models around it; {} for no body.

        Raises:
            JSONDecodeError: it is no JSON.
        """
        return document(self._pipeline_response.http_response.text())

    def _extract_delay(self) -> float:
        """Returns what Retry-After asks for; the SDK's own reader raises for what it can't read."""
        return asked_to_wait(self._pipeline_response.http_response.headers) or 0.0

    async def _sleep(self, delay: float) -> None:
        raise _StillRunning(delay)

    async def request_status(self, status_link: str) -> Any:  # noqa: ANN401 - the SDK's own type
        """Returns ARM's answer; raises TimeoutError."""
        async with asyncio.timeout(CALL_SECONDS):
            return await super().request_status(status_link)


class Answers:
    """What ARM's answers said beside what the SDK's poller keeps."""

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
            fields = json_object(answer.text())
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
    output = object_of(status.get("properties")).get("output")
    return output if isinstance(output, Mapping) else None
