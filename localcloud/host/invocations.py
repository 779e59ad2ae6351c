"""Running a function for a message: IDs, trace context, timing, counts and log lines.

Log lines read as the real host's (`Executing 'Functions.x' (Reason=…, Id=…)`), the routine ones at
debug level. Neither bodies nor properties are logged.
"""

import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from localcloud.host.bindings import Function, ServiceBusTrigger
from localcloud.host.datum import Datum
from localcloud.host.errors import BindingError, HostError
from localcloud.host.messages import BusMessage
from localcloud.host.spans import Activity, Ended, NoSpans, Spans
from localcloud.host.tracecontext import NO_TRACE, TraceContext, continue_trace
from localcloud.host.triggerdata import input_datum, trigger_metadata
from localcloud.host.wire import Invoke, Invoked

_LOG = logging.getLogger(__name__)


class RunInvocation(Protocol):
    """Has the worker run an invocation; `Supervisor.invoke` is one."""

    def __call__(self, function: str, request: Invoke, limit: float | None) -> Awaitable[Invoked]:
        """Run it."""
        ...


@dataclass(slots=True)
class Tally:
    """What happened so far; the host's status shows it."""

    in_flight: int = 0
    succeeded: int = 0
    failed: int = 0
    longest_seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An invocation that can be run.

    Attributes:
        invoke: What the worker gets.
        trace: The trace context that it has.
        activity: What the host has under way meanwhile; None where it has nothing.
    """

    invoke: Invoke
    trace: TraceContext
    activity: Activity | None = None


class Invocations:
    """Runs functions, keeps the tally, and tells the host's spans."""

    def __init__(
        self,
        run: RunInvocation,
        timeout: float | None,
        clock: Callable[[], float],
        source: random.Random,
        spans: Spans | None = None,
    ) -> None:
        self._spans: Spans = spans or NoSpans()
        self._run = run
        self._timeout = timeout
        self._clock = clock
        self._source = source
        self.tally = Tally()

    async def on_message(
        self, function: Function, trigger: ServiceBusTrigger, message: BusMessage
    ) -> bool:
        """Run a function for a Service Bus message.

        Args:
            function: The function.
            trigger: Its trigger.
            message: The message.

        Returns:
            Whether it succeeded; not when the message can't be bound to the parameter.
        """
        try:
            body = input_datum(message, trigger.form)
        except BindingError as error:
            self.tally.failed += 1
            _LOG.error(
                "Executed 'Functions.%s' (Failed, message on '%s') %s",
                function.name,
                trigger.entity.path,
                error,
            )
            return False
        request = self.request(
            function,
            {trigger.parameter: body},
            trigger_metadata(message, body),
            message.application_properties,
            _process_message(trigger),
        )
        return await self.run(function, request, f"message on '{trigger.entity.path}'")

    def request(
        self,
        function: Function,
        inputs: Mapping[str, Datum],
        metadata: Mapping[str, Datum],
        trace_properties: Mapping[str, object],
        activity: Activity | None = None,
    ) -> Prepared:
        """Prepare an invocation.

        Args:
            function: What to run.
            inputs: The trigger parameter's value, by its name.
            metadata: The trigger metadata.
            trace_properties: What may hold a `traceparent` to continue; empty begins a trace.
            activity: What the host has under way for it; without one, the worker gets no trace.

        Returns:
            The request, with a new invocation ID and the host's span.
        """
        trace = continue_trace(trace_properties, self._source) if activity else NO_TRACE
        invoke = Invoke(
            invocation_id=str(uuid.UUID(int=self._source.getrandbits(128), version=4)),
            function_id=function.function_id,
            inputs=inputs,
            trigger_metadata=metadata,
            trace_parent=trace.parent,
            trace_state=trace.state,
        )
        return Prepared(invoke, trace, activity)

    async def run(self, function: Function, prepared: Prepared, reason: str) -> bool:
        """Run a prepared invocation; what any listener calls in the end.

        Args:
            function: The function.
            prepared: The invocation.
            reason: What triggered it, for the log.

        Returns:
            Whether it succeeded.
        """
        began = time.time_ns()
        succeeded = await self._run_logged(function, prepared.invoke, reason)
        if prepared.activity is not None:
            tags = {
                "faas.name": function.name,
                "faas.trigger": _trigger_type(function),
                "faas.invocation_id": prepared.invoke.invocation_id,
            }
            activity = replace(
                prepared.activity, attributes={**prepared.activity.attributes, **tags}
            )
            ended = Ended(activity, prepared.trace, began, time.time_ns(), not succeeded)
            self._spans.add(ended)
        return succeeded

    async def _run_logged(self, function: Function, request: Invoke, reason: str) -> bool:
        name, invocation_id = function.name, request.invocation_id
        _LOG.debug("Executing 'Functions.%s' (Reason='%s', Id=%s)", name, reason, invocation_id)
        started = self._clock()
        self.tally.in_flight += 1
        try:
            error = (await self._run(name, request, self._timeout)).error
        except HostError as failure:
            error = str(failure)
        finally:
            self.tally.in_flight -= 1
        seconds = self._clock() - started
        longest = self.tally.longest_seconds
        longest[name] = max(seconds, longest.get(name, 0.0))
        if error is not None:
            self.tally.failed += 1
            _LOG.error(
                "Executed 'Functions.%s' (Failed, Id=%s, Duration=%dms) %s",
                name,
                invocation_id,
                seconds * 1000,
                " ".join(error.split()),
            )
            return False
        self.tally.succeeded += 1
        _LOG.debug(
            "Executed 'Functions.%s' (Succeeded, Id=%s, Duration=%dms)",
            name,
            invocation_id,
            seconds * 1000,
        )
        return True


def _trigger_type(function: Function) -> str:
    trigger = function.trigger
    return "serviceBusTrigger" if isinstance(trigger, ServiceBusTrigger) else trigger.kind


def _process_message(trigger: ServiceBusTrigger) -> Activity:
    """What Azure.Messaging.ServiceBus has under way while a message is worked on."""
    attributes = {
        "az.namespace": "Microsoft.ServiceBus",
        "messaging.system": "servicebus",
        "messaging.operation": "process",
        "messaging.destination.name": trigger.entity.path,
        "server.address": trigger.connection.host,
    }
    return Activity(
        "Azure.Messaging.ServiceBus.ServiceBusProcessor",
        "ServiceBusProcessor.ProcessMessage",
        "CONSUMER",
        attributes,
    )
