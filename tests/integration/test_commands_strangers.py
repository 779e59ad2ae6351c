"""What strangers wrote, as the commands show it on a terminal."""

import asyncio
import json
import os
import pty
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from localcloud.servicebus.entities import load_entities
from localcloud.servicebus.server import ServiceBus
from tests.integration.commands_harness import ROOT, Place
from tests.support.waiting import BOUND_SECONDS

pytestmark = pytest.mark.integration

QUEUE = "assessment-requests"
HOSTILE = "id\x1b]0;PWNED\x07\x1b[2J\u202e\u2028\x9b"
OBEYED = ("\x1b", "\x07", "\x9b", "\u202e", "\u2028")


@pytest.fixture
async def bus() -> AsyncIterator[ServiceBus]:
    """A bus with the app's entities."""
    async with ServiceBus.start(load_entities(ROOT / "infra" / "servicebus.json")) as bus:
        yield bus


async def on_a_terminal(place: Place, *arguments: str) -> str:
    """Returns what a command writes on a terminal, byte for byte."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "patch_assessor_cli",
        *arguments,
        cwd=place.directory,
        env={**place.environment, "TERM": "xterm", "PYTHONUTF8": "1"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            shown = await asyncio.to_thread(_read_all, ours)
            assert await process.wait() == 0, shown
    finally:
        if process.returncode is None:
            process.kill()
        os.close(ours)
    return shown


def _read_all(terminal: int) -> str:
    shown = b""
    try:
        while some := os.read(terminal, 65536):
            shown += some
    except OSError:  # how a terminal says that its other side is gone
        pass
    return shown.decode()


async def test_no_message_commands_the_terminal(bus: ServiceBus, tmp_path: Path) -> None:
    """Neither of dead letters nor of outcomes and alerts, for people or as JSON."""
    place = Place(tmp_path)
    to_it = ("--connection-string", bus.connection_string)
    async with ServiceBusClient.from_connection_string(bus.connection_string) as client:
        async with (
            client.get_queue_sender(QUEUE) as sender,
            client.get_queue_receiver(QUEUE) as receiver,
        ):
            await sender.send_messages(
                ServiceBusMessage(
                    HOSTILE,
                    message_id=HOSTILE,
                    correlation_id=HOSTILE,
                    application_properties={HOSTILE: HOSTILE},
                )
            )
            (message,) = await receiver.receive_messages(max_wait_time=30)
            await receiver.dead_letter_message(message, "Bad", HOSTILE)
        async with client.get_topic_sender("assessment-results") as results:
            for body in (
                {"type": "PatchAssessor.AssessmentCompleted", "data": {"vmName": HOSTILE}},
                {"type": HOSTILE, "data": {"operationSeconds": HOSTILE}},
                {"type": "PatchAssessor.RequestRejected", "data": {"reason": HOSTILE}},
            ):
                text = json.dumps(body, ensure_ascii=False)
                for number in range(2):
                    await results.send_messages(
                        ServiceBusMessage(text, message_id=f"{number}{HOSTILE}{len(text)}")
                    )
        for command in (
            ("dead-letters", "list"),
            ("dead-letters", "list", "--json"),
            ("dead-letters", "show", HOSTILE),
            ("dead-letters", "show", HOSTILE, "--json"),
            ("watch", "--count", "3"),
            ("watch", "--count", "3", "--json"),
        ):
            shown = await on_a_terminal(place, *command, *to_it)
            assert not [each for each in OBEYED if each in shown], (command, shown)
            assert r"\u001b]0;PWNED\u0007" in shown, (command, shown)
