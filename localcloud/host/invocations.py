"""Running a function for a message: IDs, trace context, timing, counts and log lines.

Log lines read as the real host's (`Executing 'Functions.x' (Reason=…, Id=…)`), the routine ones at
debug level. Neither bodies nor properties are logged.
"""

import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from localcloud.host.bindings import Function, ServiceBusTrigger
from localcloud.host.datum import Datum
from localcloud.host.errors import BindingError, HostError
from localcloud.host.messages import BusMessage
from localcloud.host.tracecontext import continue_trace
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


class Invocations:
    """Runs functions and keeps the tally."""

    def __init__(
        self,
        run: RunInvocation,
        timeout: float | None,
        clock: Callable[[], float],
        source: random.Random,
    ) -> None:
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
        )
        return await self.run(function, request, f"message on '{trigger.entity.path}'")

    def request(
        self,
        function: Function,
        inputs: Mapping[str, Datum],
        metadata: Mapping[str, Datum],
        trace_properties: Mapping[str, object],
    ) -> Invoke:
        """Prepare an invocation.

        Args:
            function: What to run.
            inputs: The trigger parameter's value, by its name.
            metadata: The trigger metadata.
            trace_properties: What may hold a `traceparent` to continue; empty begins a trace.

        Returns:
            The request, with a new invocation ID and the host's span.
        """
        trace = continue_trace(trace_properties, self._source)
        return Invoke(
            invocation_id=str(uuid.UUID(int=self._source.getrandbits(128), version=4)),
            function_id=function.function_id,
            inputs=inputs,
            trigger_metadata=metadata,
            trace_parent=trace.parent,
            trace_state=trace.state,
        )

    async def run(self, function: Function, request: Invoke, reason: str) -> bool:
        """Run a prepared invocation; what any listener calls in the end.

        Args:
            function: The function.
            request: The invocation.
            reason: What triggered it, for the log.

        Returns:
            Whether it succeeded.
        """
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
