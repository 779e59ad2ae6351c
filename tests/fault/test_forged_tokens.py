"""A forged continuation token makes no call: not to its author, and not to ARM either."""

import asyncio
import base64
import json
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from assessor.arm import continuation
from assessor.arm.client import API_VERSION
from assessor.messages.in_progress import in_progress_message
from assessor.messages.progress import AssessmentProgress, Later, OperationRef
from assessor.messages.request import AssessmentRequest
from assessor.resource_id import VirtualMachineId
from tests.support.cloud_harness import (
    IN_PROGRESS,
    SUBSCRIPTIONS,
    Harness,
    to_sdk,
    vm_id,
)
from tests.support.shared_cloud import GENUINE, on_it

pytestmark = pytest.mark.fault

ACTIVITY_ID = "14e074b4-2fd7-4d20-8b3b-5339add89570"
VM = VirtualMachineId.parse(vm_id(GENUINE))


@dataclass
class Thief:
    """Listens where forged tokens lead, and counts who comes."""

    port: int = 0
    visits: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def visited(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes note of a connection, and says nothing."""
        self.visits += 1
        writer.close()


@asynccontextmanager
async def thief() -> AsyncIterator[Thief]:
    """Runs a thief."""
    listening = Thief()
    server = await asyncio.start_server(listening.visited, "127.0.0.1", 0)
    listening.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listening


def genuine(arm: str, vm: VirtualMachineId = VM) -> str:
    """Returns the token that the app itself would write."""
    return continuation.for_operation(arm, vm, "eastus", ACTIVITY_ID, API_VERSION)


def changed(token: str, change: Callable[[dict[str, Any]], None]) -> str:
    """Returns the token with its state changed."""
    document = json.loads(base64.b64decode(token))
    change(document["data"])
    return base64.b64encode(json.dumps(document).encode()).decode()


def with_header(name: str, url: str) -> Callable[[dict[str, Any]], None]:
    """Returns the change of one of the URLs that the SDK polls."""

    def change(state: dict[str, Any]) -> None:
        state["response"]["headers"][name] = url

    return change


def with_content(url: str) -> Callable[[dict[str, Any]], None]:
    """Returns the change of what ARM is said to have answered."""

    def change(state: dict[str, Any]) -> None:
        body = json.dumps({"properties": {"output": url}, "nextLink": url}).encode()
        state["response"]["content"] = base64.b64encode(body).decode()

    return change


def forgeries(arm: str, port: int) -> dict[str, str]:
    """Returns tokens that lead somewhere else, each by another trick.

    Args:
        arm: the configured ARM endpoint.
        port: where the thief listens.
    """
    stolen, real = f"127.0.0.1:{port}", genuine(arm)
    path = f"/subscriptions/{VM.subscription_id}/providers/x/operations/{ACTIVITY_ID}"
    other = VirtualMachineId(SUBSCRIPTIONS[1], VM.resource_group, VM.name)
    userinfo = f"https://{arm.removeprefix('https://')}@{stolen}"
    return {
        "another host": genuine(f"https://{stolen}"),
        "another host, in the clear": genuine(f"http://{stolen}"),
        "ARM in the clear": genuine(arm.replace("https://", "http://")),
        "ARM's name as a user": genuine(userinfo),
        "another subscription": genuine(arm, other),
        "only the polled URL": changed(
            real, with_header("Azure-AsyncOperation", f"https://{stolen}{path}")
        ),
        "only the final URL": changed(real, with_header("Location", f"https://{stolen}{path}")),
        "a header more": changed(
            real, with_header("Operation-Location", f"https://{stolen}{path}")
        ),
        "a way out of the subscription": changed(
            real, with_header("Location", f"{arm}{path}/../../../../../{other.subscription_id}/x")
        ),
        "an answer that names a URL": changed(real, with_content(f"https://{stolen}{path}")),
        "a pickle": base64.b64encode(pickle.dumps({"url": f"https://{stolen}"})).decode(),
        "no token": "%%%",
    }


@on_it
async def test_a_forged_token_never_makes_a_call(shared: Harness) -> None:
    """Each forgery is told as a failed assessment that says so; nobody was called.

    The same message with the app's own token asks ARM: a call would have been seen.
    """
    before = await shared.calls()
    async with thief() as listening:
        tokens = forgeries(str(shared.cloud.arm.ready["armEndpoint"]), listening.port)
        await shared.send(
            IN_PROGRESS,
            [
                to_sdk(in_progress_message(Later(progress(name, token), datetime.now(UTC), "")))
                for name, token in tokens.items()
            ],
        )
        await shared.until_told(len(tokens))

        outcomes = await shared.outcomes()
        assert sorted(each.request_id for each in outcomes) == sorted(tokens)
        for outcome in outcomes:
            assert outcome.type == "AssessmentFailed"
            assert outcome.error_code == "ContinuationTokenRefused", outcome.request_id
        assert listening.visits == 0
        assert (await shared.calls())["total"] == before["total"]

        token = genuine(str(shared.cloud.arm.ready["armEndpoint"]))
        message = in_progress_message(Later(progress("genuine", token), datetime.now(UTC), ""))
        await shared.send(IN_PROGRESS, [to_sdk(message)])
        await shared.until_told(len(tokens) + 1)
        (outcome,) = [each for each in await shared.outcomes() if each.request_id == "genuine"]
        assert outcome.error_code == "OperationLost"  # ARM was asked, and has never heard of it
        polls = before["byOperation"].get("operation", 0)
        assert (await shared.calls())["byOperation"]["operation"] == polls + 1


def progress(request_id: str, token: str) -> AssessmentProgress:
    """Returns what an attacker who can send to the in-progress queue would write."""
    now = datetime.now(UTC)
    return AssessmentProgress(
        request=AssessmentRequest(VM, request_id, enqueued_at=now),
        accepted_at=now,
        reschedules=1,
        operation=OperationRef(ACTIVITY_ID, token, begun_at=now, root_span_id="0123456789abcdef"),
    )
