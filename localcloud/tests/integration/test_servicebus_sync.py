"""The local bus, in a process of its own, under the unmodified synchronous SDK."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceiver,
    ServiceBusSender,
)

from tests.support.waiting import BOUND_SECONDS

pytestmark = pytest.mark.integration

_ROOT = Path(__file__).parents[3]
_QUEUE = "assessment-requests"


@dataclass(frozen=True)
class _Process:
    """A bus in another process."""

    process: subprocess.Popen[str]
    connection_string: str
    port: int

    def client(self) -> ServiceBusClient:
        return ServiceBusClient.from_connection_string(self.connection_string)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(BOUND_SECONDS)


@contextmanager
def _bus(*arguments: str) -> Iterator[_Process]:
    command = [sys.executable, "-m", "localcloud.servicebus", "--config", "infra/servicebus.json"]
    with subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
        [*command, "--exit-with-parent", *arguments],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            assert ready["controlUrl"].startswith("http://127.0.0.1:")
            yield _Process(process, ready["connectionString"], ready["amqpPort"])
        finally:
            process.stdin.close()
            process.wait(BOUND_SECONDS)


def test_the_synchronous_sdk_and_a_restart(tmp_path: Path) -> None:
    """Everything the asynchronous client does; then the bus stops, starts again, and has it all.

    Open links reconnect to the new process on the old port: messages, locks, schedules, dead
    letters and the history of duplicates are there.
    """
    state = str(tmp_path / "state.json")
    with ExitStack() as stack:
        first = stack.enter_context(_bus("--state", state))
        client = stack.enter_context(first.client())
        sender = stack.enter_context(client.get_queue_sender(_QUEUE))
        receiver = stack.enter_context(
            client.get_queue_receiver(_QUEUE, max_wait_time=BOUND_SECONDS)
        )
        _settle_in_every_way(sender, receiver)
        due = _schedule_two_and_cancel_one(sender)
        for each in ("held", "waiting"):
            sender.send_messages(ServiceBusMessage(each, message_id=each))
        held = next(receiver)
        assert first.stop() == 0

        stack.enter_context(_bus("--state", state, "--port", str(first.port)))
        sender.send_messages(ServiceBusMessage("duplicate", message_id="waiting"))
        receiver.complete_message(held)
        assert _take(receiver) == "waiting"
        assert _take(receiver) == "scheduled"
        assert datetime.now(UTC) >= due
        assert not receiver.peek_messages(10, sequence_number=1)
        dead_letters = stack.enter_context(
            client.get_queue_receiver(_QUEUE, sub_queue="deadletter", max_wait_time=BOUND_SECONDS)
        )
        dead = next(dead_letters)
        assert (str(dead), dead.dead_letter_reason) == ("dead", "Bad")
        dead_letters.complete_message(dead)


def _settle_in_every_way(sender: ServiceBusSender, receiver: ServiceBusReceiver) -> None:
    sender.send_messages(ServiceBusMessage("abandoned", message_id="s-1"))
    batch = [ServiceBusMessage(each, message_id=f"s-{each}") for each in ("dead", "deferred")]
    sender.send_messages(batch)
    first = next(receiver)
    assert (str(first), first.delivery_count) == ("abandoned", 0)
    receiver.renew_message_lock(first)
    receiver.abandon_message(first)
    again = next(receiver)
    assert (str(again), again.delivery_count) == ("abandoned", 1)
    receiver.complete_message(again)
    receiver.dead_letter_message(next(receiver), reason="Bad", error_description="Really")
    deferred = next(receiver)
    receiver.defer_message(deferred)
    assert deferred.sequence_number is not None
    (later,) = receiver.receive_deferred_messages(deferred.sequence_number)
    receiver.complete_message(later)


def _schedule_two_and_cancel_one(sender: ServiceBusSender) -> datetime:
    due = datetime.now(UTC) + timedelta(seconds=2)
    messages = [ServiceBusMessage(each, message_id=each) for each in ("cancelled", "scheduled")]
    numbers = sender.schedule_messages(messages, due)
    sender.cancel_scheduled_messages(numbers[0])
    return due


def _take(receiver: ServiceBusReceiver) -> str:
    message = next(receiver)
    receiver.complete_message(message)
    return str(message)


def test_the_bus_ends_with_its_parent() -> None:
    """When the pipe to its stdin closes, it stops gracefully."""
    with _bus() as running:
        assert running.process.stdin is not None
        running.process.stdin.close()
        assert running.process.wait(BOUND_SECONDS) == 0


def test_a_bad_config_is_one_line_on_stderr(tmp_path: Path) -> None:
    """The line names the place; the exit code is not zero."""
    config = tmp_path / "config.json"
    queue = {"Name": "q", "Properties": {"RequiresSession": True}}
    namespace = {"Name": "sbemulatorns", "Queues": [queue], "Topics": []}
    config.write_text(json.dumps({"UserConfig": {"Namespaces": [namespace]}}))
    result = subprocess.run(  # noqa: S603 - our own module, by our own interpreter
        [sys.executable, "-m", "localcloud.servicebus", "--config", str(config)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )
    assert result.returncode == 2
    assert "Queues[0].Properties.RequiresSession" in result.stderr
    assert len(result.stderr.splitlines()) == 1
