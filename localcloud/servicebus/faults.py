"""Faults that a test asks for: the next operations on an entity fail, by number or for a while."""

from dataclasses import dataclass
from enum import StrEnum

from localcloud.servicebus.broker import entity_path
from localcloud.servicebus.clock import Clock, Milliseconds
from localcloud.servicebus.errors import ErrorCondition, InjectedError


class Operation(StrEnum):
    """What can be made to fail.

    Sending includes scheduling; a failing receive detaches the receiver's link with the error, and
    a failing settlement leaves the message locked.
    """

    SEND = "send"
    RECEIVE = "receive"
    SETTLE = "settle"


@dataclass(slots=True)
class _Fault:
    path: str
    operation: Operation
    condition: str
    remaining: int | None
    until: Milliseconds | None

    def is_over(self, now: Milliseconds) -> bool:
        spent = self.remaining is not None and self.remaining <= 0
        return spent or (self.until is not None and now >= self.until)


class Faults:
    """The faults in force.

    Args:
        clock: tells the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._faults: list[_Fault] = []

    def add(
        self,
        entity: str,
        operation: Operation,
        condition: str,
        *,
        count: int | None = None,
        duration: Milliseconds | None = None,
    ) -> None:
        """Let an operation fail.

        Args:
            entity: the entity's address.
            operation: what fails.
            condition: the AMQP error condition that clients get.
            count: how many times; None for any number.
            duration: for how long; None for ever.
        """
        until = None if duration is None else self._clock() + duration
        self._faults.append(_Fault(entity_path(entity), operation, condition, count, until))

    def clear(self) -> None:
        """End all of them."""
        self._faults.clear()

    def check(self, entity: str, operation: Operation) -> None:
        """Fail if a fault says so; that counts.

        Raises:
            InjectedError: a fault is in force for this operation.
        """
        if not self._faults:
            return
        now = self._clock()
        self._faults = [fault for fault in self._faults if not fault.is_over(now)]
        path = entity_path(entity)
        for fault in self._faults:
            if fault.path == path and fault.operation is operation:
                if fault.remaining is not None:
                    fault.remaining -= 1
                raise InjectedError(
                    ErrorCondition(fault.condition, "A fault was injected by a test.")
                )
