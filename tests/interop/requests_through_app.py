"""Requests as Java's SDK, JMS or .NET's SDK send them, through the whole app on the local cloud.

    python requests_through_app.py UP_FILE java PROGRAM…
    python requests_through_app.py UP_FILE dotnet PROGRAM…

Has the client send one request in each form that it knows, and waits for what comes of each: an
outcome where the form can be read, `RequestRejected` where it can't. Prints a line of JSON for each
form, and one for the dead letters, of which there must be none but what the host can't receive.
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from azure.servicebus.aio import ServiceBusClient

from localcloud.control import Addresses, Control
from patch_assessor_cli.local import read_local_cloud

_QUEUE: Final = "assessment-requests"
_SECONDS: Final = 240
_SKIPPED: Final = "PatchAssessor.AssessmentSkipped"
_REJECTED: Final = "PatchAssessor.RequestRejected"
_DOTNET_FORMS: Final = (
    "json",
    "plain",
    "bom",
    "utf16",
    "value-string",
    "value-map",
    "value-bytes",
    "sequence",
    "two-sections",
    "data-contract",
    "cloudevent",
    "string-in-string",
)
_UNREADABLE: Final = {
    "empty": "nothing in it",
    "java-serialized": "Java's own form",
    "jms-bytes-empty": "nothing in it",
    "jms-bytes-writeUTF": "a length before the text",
    "jms-map": "a map",
    "jms-message": "no body",
    "jms-object-map": "Java's own form",
    "jms-object-string": "Java's own form",
    "jms-stream": "a sequence",
    "jms-stream-bytes": "a sequence",
    "jms-text-null": "no body",
    "sequence": "a sequence",
    "utf16": "not UTF-8",
    "value-map": "a map",
}
"""The forms that are rejected, and what they are instead of JSON."""

_DEAD: Final = frozenset({"map-property"})
"""What .NET's client, and so the Functions host, can't receive: an application property that is a
map, which Java's client alone lets one set."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A form, and whether the client could send it."""

    form: str
    ok: bool


def _send(kind: str, program: Sequence[str], connection: str, vm_id: str) -> list[Sent]:
    request = json.dumps({"vmId": vm_id, "requestId": "FORM"})
    if kind == "java":
        command, given = [*program, "send", connection, _QUEUE, "all", request], None
    else:
        command = [*program, "send", connection, _QUEUE]
        given = "".join(f"{form}\t{request.replace('FORM', form)}\n" for form in _DOTNET_FORMS)
    done = subprocess.run(  # noqa: S603 - the table of clients
        command, input=given, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [
        Sent(
            str(each.get("form") or each["scenario"]).removeprefix("send ").strip(),
            each.get("ok", True),
        )
        for each in lines
    ]


async def _told(connection: str, expected: int) -> list[tuple[str, str]]:
    """The type and the request ID of as many outcomes as are expected, or of what came in time."""
    told: list[tuple[str, str]] = []
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + _SECONDS
    async with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_subscription_receiver("assessment-results", "all") as receiver,
    ):
        while len(told) < expected and loop.time() < ends_at:
            for message in await receiver.receive_messages(50, max_wait_time=5):
                event = json.loads(str(message))
                told.append((str(event["type"]), str(event["data"]["request"]["requestId"])))
                await receiver.complete_message(message)
    return told


def _say(scenario: str, *, ok: bool, detail: str = "") -> None:
    sys.stdout.write(json.dumps({"scenario": scenario, "ok": ok, "detail": detail}) + "\n")


async def _try(up: Path, kind: str, program: Sequence[str]) -> None:
    cloud = read_local_cloud(up)
    connection = cloud.connection_string
    async with aiohttp.ClientSession() as http:
        control = Control(http, Addresses(bus=cloud.bus_control_url, arm=cloud.arm_control_url))
        vm_id = next(
            str(vm["id"]) for vm in await control.vms() if vm["expectedOutcome"] == _SKIPPED
        )
        before = (await control.counts())[_QUEUE].dead_letter
        sent = await asyncio.to_thread(_send, kind, program, connection, vm_id)
        taken = [each.form for each in sent if each.ok]
        lost = _DEAD.intersection(taken)
        told = await _told(connection, len(taken) - len(lost))
        dead = (await control.counts())[_QUEUE].dead_letter - before
    answered = {request_id for type_, request_id in told if type_ != _REJECTED}
    rejected = Counter(type_ for type_, _ in told)[_REJECTED]
    readable = [form for form in taken if form not in _UNREADABLE and form not in lost]
    for form in readable:
        _say(f"{form} has its outcome", ok=form in answered)
    unreadable = [form for form in taken if form in _UNREADABLE]
    _say(f"{', '.join(unreadable)} are rejected", ok=rejected == len(unreadable))
    _say(f"no dead letters but {', '.join(lost) or 'none'}", ok=dead == len(lost), detail=str(dead))


if __name__ == "__main__":
    asyncio.run(_try(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
