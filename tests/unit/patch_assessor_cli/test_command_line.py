"""The command line: what it takes, what it refuses, and in which words."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from azure.servicebus.exceptions import ServiceBusConnectionError
from typer.testing import CliRunner

from assessor.settings import Settings, read_settings
from patch_assessor_cli.client import (
    Connection,
    Queue,
    Subscription,
    choose_connection,
    parse_source,
)
from patch_assessor_cli.clients import COMMANDS, make_app
from patch_assessor_cli.dead_letter_queue import DeadLetter, check_window
from patch_assessor_cli.dead_letters import describe
from patch_assessor_cli.errors import CommandError, ExitCode
from patch_assessor_cli.running import run
from patch_assessor_cli.send import narrowed, request_body

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SAMPLE = Path(__file__).parents[3] / "local.settings.sample.json"


def dead_letter(sent: datetime) -> DeadLetter:
    """A dead letter of the requests queue."""
    return DeadLetter(
        source=Queue("assessment-requests"),
        sequence_number=4,
        message_id="m-1",
        reason="MaxDeliveryCountExceeded",
        description="It could not\nbe consumed.",
        delivery_count=10,
        enqueued_time=sent,
        correlation_id=None,
        content_type="application/json",
        application_properties={},
        body=b"{}",
    )


@pytest.mark.parametrize(
    "command",
    [
        ["send"],
        ["watch"],
        ["dead-letters", "list"],
        ["dead-letters", "show"],
        ["dead-letters", "resubmit"],
        ["posture"],
        ["patches"],
    ],
)
def test_each_command_explains_itself(command: list[str]) -> None:
    """`--help` says more than the usage line."""
    result = CliRunner().invoke(make_app(), [*command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 10


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_the_same_without_the_others(name: str) -> None:
    """The others are not even imported where one is named, and its help shows no difference."""
    alone, among = (
        CliRunner().invoke(app, [name, "--help"]) for app in (make_app([name]), make_app())
    )
    assert alone.exit_code == 0
    assert alone.output == among.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["send"],
        ["send", "/subscriptions/s", "--file", "-"],
        ["send", "--file", "/nowhere/at-all.json"],
        ["send", "--file", "-", "--reason", "because"],
        ["send", "/subscriptions/s", "--scope", "/subscriptions/s"],
        ["send", "/subscriptions/s", "--running-only"],
        ["send", "--scope", "/subscriptions/s", "--tag", "=prod"],
        ["watch", "--count", "0"],
        ["dead-letters", "resubmit"],
        ["dead-letters", "resubmit", "m-1", "--all"],
        ["dead-letters", "resubmit", "--all", "--entity", "patch-alerts/all"],
        ["dead-letters", "list", "--entity", "a/b/c", "--connection-string", "x"],
        ["dead-letters", "list", "--connection-string", "not one"],
        ["watch", "--connection-string", "x", "--namespace", "y"],
        ["patches", "--json", "--csv"],
        ["posture", "--csv", "--json"],
    ],
)
def test_a_wrong_command_line_ends_with_code_2_before_anything_is_touched(
    arguments: list[str],
) -> None:
    """And says in words what is wrong with it."""
    result = CliRunner().invoke(make_app(), arguments)
    assert result.exit_code == ExitCode.WRONG_USAGE, result.output
    assert "Traceback" not in result.output
    assert result.stderr.strip()


def test_one_vm_is_asked_for_by_its_id_and_several_by_a_list() -> None:
    """Fields that were not given are left out: null is nothing that a requester says."""
    assert json.loads(request_body(["a"], None, None, None)) == {"vmId": "a"}
    assert json.loads(request_body(["a", "b"], "r", "me", "why")) == {
        "vmIds": ["a", "b"],
        "requestId": "r",
        "requestedBy": "me",
        "reason": "why",
    }


def test_a_scope_is_asked_for_with_what_narrows_it_down() -> None:
    """Tags and the filter on running VMs stand in the request only if they were given."""
    narrow = narrowed("/subscriptions/s", ["env=prod", "a=b=c", "owner"], running_only=True)
    assert json.loads(request_body([], "r", None, None, narrow)) == {
        "scope": "/subscriptions/s",
        "tags": {"env": "prod", "a": "b=c", "owner": None},
        "runningOnly": True,
        "requestId": "r",
    }
    assert narrowed("/subscriptions/s", [], running_only=False) == {"scope": "/subscriptions/s"}


def test_a_namespace_and_a_connection_string_are_taken_as_given() -> None:
    """One of the two, without a look at a local cloud."""
    assert choose_connection(None, "n.example") == Connection(namespace="n.example")
    assert choose_connection("Endpoint=…", None) == Connection("Endpoint=…")
    assert "Endpoint" not in repr(choose_connection("Endpoint=…", None))


@pytest.mark.parametrize("name", ["", "/", "a/", "/b", "a/b/c"])
def test_an_entity_is_a_queue_or_a_topic_with_a_subscription(name: str) -> None:
    """Nothing else is."""
    assert parse_source("queue") == Queue("queue")
    assert parse_source("topic/one") == Subscription("topic", "one")
    with pytest.raises(CommandError, match="topic/subscription"):
        parse_source(name)


def test_a_copy_that_duplicate_detection_would_drop_is_not_sent() -> None:
    """The dead letter would be completed, and the copy gone."""
    letters = [dead_letter(NOW - timedelta(minutes=9)), dead_letter(NOW - timedelta(minutes=2))]
    with pytest.raises(CommandError, match="12:03:00 UTC"):
        check_window(letters, timedelta(minutes=5), NOW)
    check_window(letters, timedelta(minutes=2), NOW)
    check_window([], timedelta(minutes=5), NOW)


def test_a_dead_letter_is_one_line_without_its_body() -> None:
    """Bodies are shown by `show` alone."""
    assert describe(dead_letter(NOW)) == (
        "assessment-requests  m-1  sent 2026-01-05T12:00:00Z  deliveries 10  "
        "MaxDeliveryCountExceeded: It could not be consumed."
    )


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
def test_a_signal_lets_a_command_clean_up_and_tells_itself_in_the_exit_code(
    number: signal.Signals, code: ExitCode
) -> None:
    """128 and the signal's number, as shells have it."""
    # Whoever runs the tests in the background may have them ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    cleaned_up = []

    async def main() -> ExitCode:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned_up.append(number)
        return ExitCode.DONE

    try:
        with pytest.raises(typer.Exit) as left:
            run(main())
    finally:
        signal.signal(signal.SIGINT, before)
    assert left.value.exit_code == code
    assert cleaned_up == [number]


@pytest.mark.parametrize(
    "error", [CommandError("It does not work."), ServiceBusConnectionError(message="gone away")]
)
def test_an_error_is_a_sentence_and_not_a_traceback(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, with exit code 1."""

    async def main() -> ExitCode:
        raise error

    with pytest.raises(typer.Exit) as left:
        run(main())
    assert left.value.exit_code == ExitCode.FAILED
    printed = capsys.readouterr()
    assert printed.out == ""
    assert str(error) in printed.err
    assert printed.err.count("\n") == 1


def test_the_sample_settings_name_every_setting_with_its_default() -> None:
    """Whoever copies the sample runs the app with the defaults, against the emulator."""
    values = json.loads(SAMPLE.read_text("utf-8"))["Values"]
    names = {field.alias for field in Settings.model_fields.values()}
    assert names <= values.keys()
    connections = {name: values[name] for name in ("ServiceBus", "AzureWebJobsStorage")}
    assert read_settings(values) == read_settings(connections)
    assert values["FUNCTIONS_WORKER_RUNTIME"] == "python"
    assert all(isinstance(value, str) for value in values.values())
