"""A function app for the host's own tests: it does what a message says and reports what it saw.

Reports are lines on stdout, `REPORT` and JSON; the tests read them from the worker's output.
"""

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import azure.functions as func
from opentelemetry import trace

app = func.FunctionApp()

QUEUE = os.environ["WORK_QUEUE"]
if not QUEUE.islower():
    raise ValueError(f"WORK_QUEUE must be lower case\nbut is {QUEUE!r}")

_gauge = {"running": 0, "most": 0}


def report(**what: object) -> None:
    """Say something to the tests."""
    sys.stdout.write("REPORT " + json.dumps({**what, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


@contextmanager
def counted() -> Iterator[None]:
    """Count how many invocations are in the block."""
    _gauge["running"] += 1
    _gauge["most"] = max(_gauge["most"], _gauge["running"])
    try:
        yield
    finally:
        _gauge["running"] -= 1


@app.service_bus_queue_trigger(
    arg_name="message", queue_name="%WORK_QUEUE%", connection="ServiceBus"
)
async def work(message: func.ServiceBusMessage, context: func.Context) -> None:
    """Do what the message orders."""
    order = json.loads(message.get_body())
    if order.get("hook"):
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM, lambda: report(event="sigterm")
        )
    first = message.delivery_count == 1
    report(event="begun", id=message.message_id, delivery=message.delivery_count)
    with counted():
        await asyncio.sleep(order.get("seconds", 0) + first * order.get("seconds_first", 0))
    if order.get("fail"):
        raise RuntimeError("asked to fail")
    report(
        event="done",
        id=message.message_id,
        delivery=message.delivery_count,
        most=_gauge["most"],
        traceparent=context.trace_context.trace_parent,
        current_trace=format(trace.get_current_span().get_span_context().trace_id, "032x"),
        metadata={name: str(value) for name, value in (message.metadata or {}).items()},
        properties=message.application_properties,
    )


@app.service_bus_queue_trigger(arg_name="message", queue_name="sync", connection="ServiceBus")
def work_sync(message: func.ServiceBusMessage) -> None:
    """Report the body, from a thread."""
    report(event="done", id=message.message_id, body=message.get_body().decode())


@app.service_bus_topic_trigger(
    arg_name="message",
    topic_name="news",
    subscription_name="all",
    connection="ServiceBus",
    data_type=func.DataType.BINARY,
)
async def raw(message: func.ServiceBusMessage) -> None:
    """Report the bytes."""
    report(
        event="done",
        id=message.message_id,
        body=base64.b64encode(message.get_body()).decode(),
        subject=message.subject,
    )


@app.timer_trigger(arg_name="timer", schedule="0 0 2 * * *")
async def nightly(timer: func.TimerRequest) -> None:
    """Report the call."""
    report(event="timer", past_due=timer.past_due)
