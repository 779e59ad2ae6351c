"""The real compute SDK over a transport in memory that answers as a recording does."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.polling import AsyncLROPoller
from azure.core.rest import HttpRequest
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.compute.models import VirtualMachineAssessPatchesResult
from multidict import CIMultiDict

from tests.support.builders import ACTIVITY_ID, SUBSCRIPTION, VM_ID

API_VERSION = "2020-06-01"
"""The recording's."""


class Credential:
    """Gives a token whose way can be followed."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - SDK's
        del scopes, options
        return AccessToken("the-apps-token", 2**33)

    async def close(self) -> None:
        """Holds nothing."""

    async def __aenter__(self) -> Self:
        """Opens nothing."""
        return self

    async def __aexit__(self, *raised: object) -> None:
        """Closes nothing."""
        del raised


class _Closed:
    """The connection under an answer that was never open."""

    async def close(self) -> None:
        """Holds nothing."""


class RecordedArm(AsyncHttpTransport[HttpRequest, AsyncHttpResponseImpl]):
    """Answers with the given exchanges of a recording, in turn, and notes what was called."""

    def __init__(self, entries: list[Mapping[str, Any]]) -> None:
        self._entries = entries
        self.calls: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        """Each call's own, by their names in lower case."""

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponseImpl:  # noqa: ANN401 - SDK's
        """Answers as ARM did."""
        self.calls.append((request.method, request.url))
        self.headers.append({name.lower(): text for name, text in request.headers.items()})
        entry = self._entries.pop(0)
        headers = CIMultiDict(
            {name: ",".join(each) for name, each in entry["ResponseHeaders"].items()}
        )

        async def body(**_: object) -> AsyncIterator[bytes]:
            said = entry["ResponseBody"]
            yield said if isinstance(said, bytes) else said.encode()

        response = AsyncHttpResponseImpl(
            request=request,
            internal_response=_Closed(),
            status_code=entry["StatusCode"],
            headers=headers,
            reason="",
            content_type=headers.get("content-type", ""),
            stream_download_generator=body,
            block_size=4096,
        )
        if not options.get("stream"):
            await response.read()
        return response

    async def open(self) -> None:
        """Holds nothing."""

    async def close(self) -> None:
        """Holds nothing."""

    async def __aexit__(self, *raised: object) -> None:
        """Closes nothing."""
        del raised


_Poller = AsyncLROPoller[VirtualMachineAssessPatchesResult]


async def begin(arm: RecordedArm, token: str | None = None) -> _Poller:
    """Returns the SDK's own poller, for a new operation or the one of a token."""
    client = ComputeManagementClient(Credential(), SUBSCRIPTION, transport=arm)
    options = {} if token is None else {"continuation_token": token}
    return await client.virtual_machines.begin_assess_patches(
        VM_ID.resource_group,
        VM_ID.name,
        api_version=API_VERSION,
        request_id=ACTIVITY_ID,
        **options,
    )
