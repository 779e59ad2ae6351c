"""An assessment as azure-mgmt-compute's own poller follows it, one look at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from azure.core.pipeline import PipelineResponse
from azure.core.polling import AsyncLROPoller
from azure.core.polling.base_polling import LocationPolling, StatusCheckPolling
from azure.mgmt.compute.models import VirtualMachineAssessPatchesResult
from azure.mgmt.core.polling.arm_polling import AzureAsyncOperationPolling, BodyContentPolling
from azure.mgmt.core.polling.async_arm_polling import AsyncARMPolling

from assessor.arm.errors import ArmError, Phase
from assessor.arm.hold import Hold
from assessor.arm.port import OperationEnd
from assessor.arm.rate_limiter import remaining_calls
from assessor.arm.result import ApiError, parse_result
from assessor.arm.retry_after import retry_after
from assessor.arm.sdk_errors import arm_errors, document, json_object
from assessor.clock import from_text

CALL_SECONDS: Final = 60.0
"""How long one call may take in all. ARM answers in seconds; a body that drips does not hold us."""
_REMAINING: Final = "x-ms-ratelimit-remaining-resource"


@dataclass(frozen=True, slots=True)
class Begun:
    """What the answer to a begin said.

    Attributes:
        remaining: how many calls ARM's policies have left.
        retry_after: the least seconds until the first look; 0.0 where ARM did not say.
        at_its_end: the poll of an operation that had ended by then.
    """

    remaining: Mapping[str, int]
    retry_after: float
    at_its_end: "Poll | None" = None


class ComputeOperation:
    """An assessment that the SDK's poller follows.

    Between two looks nothing is kept but the continuation token: the poller would keep ARM's last
    answer, which is most of what an assessment in a hold takes.
    """

    def __init__(
        self,
        activity_id: str,
        token: str,
        poll: Callable[..., Awaitable["Poll"]],
        begun: Begun | None = None,
    ) -> None:
        """Keeps how to look; see ArmClient for how one is made.

        Args:
            activity_id: the assessment's.
            token: the SDK's continuation token.
            poll: makes the SDK's poller of a `continuation_token`.
            begun: what the begin's answer said, if it was this one that began it.
        """
        self.activity_id = activity_id
        self.token = token
        self._poll = poll
        self._begun = begun

    @property
    def remaining(self) -> Mapping[str, int]:
        """How many calls ARM's policies have left, as the begin's answer said; else empty."""
        return self._begun.remaining if self._begun else {}

    async def follow(self, hold: Hold, next_poll: Callable[[], float]) -> OperationEnd:
        """Looks at the operation until it ends; raises HoldOver or ArmError."""
        begun = self._begun
        if begun is not None and begun.at_its_end is not None:
            return await self._look(begun.at_its_end)
        if begun is not None:
            # The SDK would look at once, and no assessment ends in no time.
            await hold.wait(max(begun.retry_after, next_poll()))
        while True:
            with arm_errors(Phase.POLL):
                poll = await self._poll(continuation_token=self.token)
            try:
                return await self._look(poll)
            except _NotYet as not_yet:
                del poll
                retry_after = not_yet.retry_after
            await hold.wait(max(retry_after, next_poll()))

    async def _look(self, poll: "Poll") -> OperationEnd:
        with arm_errors(Phase.POLL):
            await poll.poller.wait()
            result = parse_result(_result(poll.polling.last_document()))
        return OperationEnd(
            result,
            from_text(poll.seen.status.get("startTime")),
            from_text(poll.seen.status.get("endTime")),
        )


@dataclass(frozen=True, slots=True)
class Poll:
    """The SDK's poller with what it was made of."""

    poller: AsyncLROPoller[VirtualMachineAssessPatchesResult]
    polling: "SingleLook"
    seen: "Seen"


class _NotYet(Exception):  # noqa: N818 - a signal to look again, not an error
    """The operation runs.

    Attributes:
        retry_after: the least seconds until the next look; 0.0 where ARM did not say.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__("the operation runs")
        self.retry_after = retry_after


class _InlineResult(AzureAsyncOperationPolling[Any, Any]):
    """Takes the result out of the operation's last status, where ARM puts it.

    The SDK asks Location once more for the same; one call in eight is saved. A result without a
    list of patches is asked for there all the same.
    """

    def get_final_get_url(self, pipeline_response: PipelineResponse[Any, Any]) -> str | None:
        """Returns where the result is to be got; None where it is in `pipeline_response`."""
        output = _output(json_object(pipeline_response.http_response.text()))
        if output is not None and isinstance(output.get("availablePatches"), list):
            return None
        url: str | None = super().get_final_get_url(pipeline_response)
        return url


class SingleLook(AsyncARMPolling):
    """The SDK's polling, which raises _NotYet where it would wait."""

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

    def retry_after(self) -> float:
        """Returns the seconds that ARM's last answer asks to wait; 0.0 if it does not."""
        return self._extract_delay()

    def last_document(self) -> Mapping[str, Any]:
        """Returns ARM's last answer as it is, without the SDK's models around it; {} for no body.

        Raises:
            JSONDecodeError: it is no JSON.
        """
        return document(self._pipeline_response.http_response.text())

    def _extract_delay(self) -> float:
        """Returns what Retry-After asks for; the SDK's own reader raises for what it can't read."""
        headers = self._pipeline_response.http_response.headers
        return retry_after(headers.get("Retry-After"), datetime.now(UTC)) or 0.0

    async def _sleep(self, delay: float) -> None:
        raise _NotYet(delay)

    async def request_status(self, status_link: str) -> Any:  # noqa: ANN401 - the SDK's own type
        """Returns ARM's answer; raises TimeoutError."""
        async with asyncio.timeout(CALL_SECONDS):
            return await super().request_status(status_link)


class Seen:
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
    properties = status.get("properties")
    output = properties.get("output") if isinstance(properties, Mapping) else None
    return output if isinstance(output, Mapping) else None
