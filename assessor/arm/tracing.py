"""Calls to ARM as spans and metrics: a policy in the SDK's pipeline sees each call and its answer.

The SDK's own tracing stays off: it would put the begin into the wrong trace, for the activity ID is
known only from its answer; docs/observability.md has the comparison. This policy records the route,
never the URL, and no header but those that it names.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy
from opentelemetry.util.types import AttributeValue

from assessor.arm.reading import json_object
from assessor.arm.result import parse_error
from assessor.arm.sdk_errors import error_fields
from assessor.arm.throttling import remaining_calls
from assessor.telemetry import attributes as names
from assessor.telemetry.context import Call
from assessor.telemetry.telemetry import Telemetry

_PROVIDER: Final = "Microsoft.Compute"
_REMAINING: Final = "x-ms-ratelimit-remaining-resource"
_UNKNOWN_POLICY: Final = "unknown"
_HTTPS_PORT: Final = 443
_HANDLED: Final = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
"""Answers that the app expects and does something about: no failures of the call. Where one ends an
assessment, the assessment's own span is the failure."""


@dataclass(frozen=True, slots=True)
class _Route:
    """A path of ARM's.

    Attributes:
        name: its RBAC operation without the provider's name, for a list with what it is of.
        template: the path with its parameters' names; the subscription's comes first.
    """

    name: str
    template: str

    def subscription_in(self, path: str) -> str | None:
        """Returns the subscription of a path of this route, in lower case; None for any other."""
        asked, known = path.lower().split("/"), self.template.lower().split("/")
        is_mine = len(asked) == len(known) and all(
            part if name.startswith("{") else part == name
            for part, name in zip(asked, known, strict=True)
        )
        return asked[2] if is_mine else None


_SUBSCRIPTION: Final = "/subscriptions/{subscription}"
_GROUP: Final = f"{_SUBSCRIPTION}/resourceGroups/{{group}}"
_VMS: Final = f"/providers/{_PROVIDER}/virtualMachines"
_VM: Final = f"{_GROUP}{_VMS}/{{vm}}"
_OPERATION: Final = (
    f"{_SUBSCRIPTION}/providers/{_PROVIDER}/locations/{{location}}/operations/{{operation}}"
)
_ROUTES: Final = (
    _Route("virtualMachines", _VM),
    _Route("virtualMachines/assessPatches", f"{_VM}/assessPatches"),
    _Route("locations/operations", _OPERATION),
    _Route("subscriptions/virtualMachines", f"{_SUBSCRIPTION}{_VMS}"),
    _Route("resourceGroups/virtualMachines", f"{_GROUP}{_VMS}"),
)
_ELSEWHERE: Final = _Route("elsewhere", "/")


class TracingPolicy(AsyncHTTPPolicy[Any, Any]):
    """Makes a span and metrics of each call; it changes neither the call nor the answer."""

    def __init__(self, telemetry: Telemetry, now: Callable[[], int] = time.time_ns) -> None:
        super().__init__()
        self._telemetry = telemetry
        self._now = now

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Passes the call on, and tells of it when it has come to its end."""
        started = self._now()
        try:
            response: PipelineResponse[Any, Any] = await self.next.send(request)
            if response.http_response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
                # The body names the policy, and the begin's is a stream that nobody has read yet.
                await response.http_response.read()
        except (Exception, asyncio.CancelledError) as error:  # told of, and raised on
            self._tell(request.http_request, None, started, type(error).__name__)
            raise
        answer = response.http_response
        failed = answer.status_code >= HTTPStatus.BAD_REQUEST and answer.status_code not in _HANDLED
        self._tell(
            request.http_request, answer, started, str(answer.status_code) if failed else None
        )
        return response

    def _tell(self, asked: Any, answer: Any, started: int, error: str | None) -> None:  # noqa: ANN401 - the transport's own types
        url = urlsplit(asked.url)
        route, subscription = _find(url.path)
        status: int | None = answer.status_code if answer is not None else None
        attributes: dict[str, AttributeValue] = {
            names.HTTP_METHOD: asked.method,
            names.SERVER_ADDRESS: url.hostname or "",
            names.SERVER_PORT: url.port or _HTTPS_PORT,
            names.URL_TEMPLATE: route.template,
            names.AZURE_PROVIDER: _PROVIDER,
            names.CLOUD_ACCOUNT: subscription,
        }
        if answer is not None:
            attributes |= _answer_attributes(answer)
            self._count(answer, subscription)
        self._telemetry.called(
            Call(
                name=f"{asked.method} {route.name}",
                started=started,
                ended=self._now(),
                attributes=attributes,
                error=error,
                begins=asked.method == "POST" and status == HTTPStatus.ACCEPTED,
            )
        )

    def _count(self, answer: Any, subscription: str) -> None:  # noqa: ANN401 - see _tell
        remaining = remaining_calls(answer.headers.getall(_REMAINING, ()))
        for policy, left in remaining.items():
            self._telemetry.metrics.drew(policy, subscription, left)
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self._telemetry.metrics.throttled(throttling_policy(answer.text(), remaining))


def throttling_policy(body: str, remaining: Mapping[str, int]) -> str:
    """Returns the policy that refused a call.

    ARM names it in the error's details. Where it does not, it is the one that has nothing left.
    """
    for detail in parse_error(error_fields(json_object(body))).details:
        target = detail.get("target")
        if isinstance(target, str) and target:
            return target
    return next((policy for policy, left in remaining.items() if left <= 0), _UNKNOWN_POLICY)


def _find(path: str) -> tuple[_Route, str]:
    for route in _ROUTES:
        subscription = route.subscription_in(path.rstrip("/"))
        if subscription is not None:
            return route, subscription
    return _ELSEWHERE, ""


def _answer_attributes(answer: Any) -> dict[str, AttributeValue]:  # noqa: ANN401 - see _tell
    attributes: dict[str, AttributeValue] = {names.HTTP_STATUS: answer.status_code}
    request_id = answer.headers.get("x-ms-request-id")
    retry_after = answer.headers.get("Retry-After")
    if request_id is not None:
        attributes[names.AZURE_REQUEST_ID] = request_id
    if retry_after is not None:
        attributes[names.HTTP_RETRY_AFTER] = [retry_after]
    return attributes
