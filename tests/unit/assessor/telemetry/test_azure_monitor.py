"""What Application Insights shows of the app's telemetry, by the real exporter's conversion."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from azure.monitor.opentelemetry.exporter.export.logs._exporter import _convert_log_to_envelope
from azure.monitor.opentelemetry.exporter.export.trace._exporter import _convert_span_to_envelope

from assessor.arm.operation import Running
from assessor.telemetry import azure_monitor
from assessor.telemetry.attributes import (
    ARM_RETRY_AFTER,
    DELIVERY_COUNT,
    ENTITY,
    ERROR,
    HTTP_METHOD,
    HTTP_RETRY_AFTER,
    HTTP_STATUS,
    MESSAGE_ID,
    SERVER_ADDRESS,
    SERVER_PORT,
    WHY_LATER,
)
from assessor.telemetry.context import Call
from assessor.telemetry.logs import OtlpHandler
from assessor.telemetry.metrics import ALERTS, ARM_CALLS
from assessor.telemetry.unforeseen import note_unforeseen
from tests.support.fakes import FakeClock
from tests.support.telemetry_rig import Rig
from tests.unit.assessor.telemetry.test_telemetry_tree import ACTIVITY, RUNNING, App

CALL = Call(
    "POST virtualMachines/assessPatches",
    1,
    2,
    {
        HTTP_METHOD: "POST",
        HTTP_STATUS: 429,
        HTTP_RETRY_AFTER: ["1200"],
        SERVER_ADDRESS: "management.azure.com",
        SERVER_PORT: 443,
    },
)


def row(rig: Rig, name: str) -> Any:  # noqa: ANN401 - the exporter's own, untyped
    """Returns what the exporter sends of the span of that name."""
    span: Any = _convert_span_to_envelope(azure_monitor.readable(rig.one(name)))
    return span.data.base_data


def test_a_call_has_a_name_that_a_person_reads() -> None:
    """The path of ARM without IDs, ARM's host as the target, its status, and its wait."""
    rig = Rig()
    rig.telemetry.called(CALL)

    call = row(rig, CALL.name)
    assert (call.name, call.target) == (CALL.name, "management.azure.com")
    assert (call.type, call.result_code, call.success) == ("HTTP", "429", True)
    assert call.properties[ARM_RETRY_AFTER] == "1200"


def test_a_call_that_failed_says_why() -> None:
    """Under the app's own prefix, for the exporter drops `error.type`."""
    rig = Rig()
    rig.telemetry.called(replace(CALL, error="ServiceRequestError"))

    call = row(rig, CALL.name)
    assert not call.success
    assert call.properties[ERROR] == "ServiceRequestError"


async def test_sends_and_receives_have_namespace_and_entity() -> None:
    """So that the application map shows the bus."""
    app = App(FakeClock())
    app.arm.reads = [replace(RUNNING, power_state="deallocated")]
    await app.request()

    process, send = row(app.rig, "process requests"), row(app.rig, "send results")
    assert process.source == "test/requests"
    assert send.target == "test/results"
    assert send.type == "Queue Message | servicebus"
    assert ENTITY not in send.properties, "it is in the target"
    assert (process.properties[MESSAGE_ID], process.properties[DELIVERY_COUNT]) == ("m-1", "2")


async def test_waits_and_messages_to_itself_take_no_rows() -> None:
    """The gap and the next invocation show them; why it went on later is told by the last one."""
    app = App(FakeClock())
    app.arm.reads, app.arm.begins = [RUNNING], [ACTIVITY]
    await app.request()
    app.clock.advance(31)
    app.arm.polls = [Running()]
    await app.resume(app)

    shown = [each.name for each in app.rig.spans if not azure_monitor._goes_without_saying(each)]
    assert {"wait", "send in-progress"} & set(shown) == set()
    assert {"follow", "process in-progress"} <= set(shown)
    assert row(app.rig, "process in-progress").properties[WHY_LATER] == "the operation runs"


def test_a_send_to_itself_that_failed_is_shown() -> None:
    """With what it failed by."""
    rig = Rig()
    with (
        pytest.raises(OSError, match="secret"),
        rig.telemetry.sending("in-progress", {"patch_assessor.to_itself": True}),
    ):
        raise OSError("secret")

    (span,) = rig.spans
    assert not azure_monitor._goes_without_saying(span)
    told = row(rig, "send in-progress").properties
    assert (told[ERROR], told[ENTITY]) == ("OSError", "in-progress")


def test_calls_are_not_counted_twice() -> None:
    """Application Insights counts them by their spans; all else goes through."""
    rig = Rig()
    rig.telemetry.metrics.called({HTTP_METHOD: "GET"}, error=None, seconds=1)
    rig.telemetry.metrics.alerted("RebootPending", "Fired", "Appeared")

    data = rig.collected()
    names = _metrics(data)
    assert {ARM_CALLS, ALERTS} <= names
    assert _metrics(azure_monitor.without_calls(data)) == names - {ARM_CALLS}


def test_what_nobody_foresaw_is_an_exception_with_its_stack() -> None:
    """And without what it says, which may repeat what was in a message."""
    rig = Rig()
    handler = OtlpHandler(rig.pipeline.loggers)
    logger = logging.getLogger("assessor")
    logger.addHandler(handler)
    word = "sec" + "ret"
    try:
        int(word)
    except ValueError as error:
        note_unforeseen(error, rig.telemetry.metrics, "request for vm-1")
    finally:
        logger.removeHandler(handler)
    rig.pipeline.loggers.force_flush()
    (log,) = rig.log_exporter.get_finished_logs()

    envelope: Any = _convert_log_to_envelope(log)
    assert envelope.data.base_type == "ExceptionData"
    (told,) = envelope.data.base_data.exceptions
    assert told.type_name == "ValueError"
    assert "test_what_nobody_foresaw" in told.stack
    assert word not in f"{told.message} {told.stack} {envelope.data.base_data.properties}"


def _metrics(data: Any) -> set[str]:  # noqa: ANN401 - the SDK's
    named: Mapping[str, Any] = {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    return set(named)
