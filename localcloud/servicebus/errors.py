"""What the bus refuses, under the conditions and codes that the service's clients branch on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorCondition:
    """An error as AMQP carries it.

    Attributes:
        name: the symbolic condition, such as `amqp:not-found`.
        description: the text for people.
    """

    name: str
    description: str


class BusError(Exception):
    """A request that the bus refuses.

    Attributes:
        condition: the AMQP error condition the client gets.
        status_code: the code of a `$management` reply, as in HTTP.
    """

    condition = "amqp:internal-error"
    status_code = 500

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description

    def as_condition(self) -> ErrorCondition:
        """The error as AMQP carries it."""
        return ErrorCondition(self.condition, self.description)


class EntityNotFoundError(BusError):
    """The address names no queue, topic or subscription."""

    condition = "amqp:not-found"
    status_code = 404


class EntityExistsError(BusError):
    """There is already something of that name."""

    condition = "com.microsoft:entity-already-exists"
    status_code = 409


class NotAllowedError(BusError):
    """The entity exists and doesn't do that."""

    condition = "amqp:not-allowed"
    status_code = 400


class NotImplementedByBusError(BusError):
    """The real service can do it; this one can't."""

    condition = "amqp:not-implemented"
    status_code = 501


class InvalidRequestError(BusError):
    """The message or the request can't be read, or an argument is out of its range."""

    condition = "com.microsoft:argument-error"
    status_code = 400


class MessageTooLargeError(BusError):
    """The message is larger than the tier allows."""

    condition = "amqp:link:message-size-exceeded"
    status_code = 403


class MessageLockLostError(BusError):
    """The lock expired, was taken away, or the message is settled already."""

    condition = "com.microsoft:message-lock-lost"
    status_code = 410


class MessageNotFoundError(BusError):
    """No scheduled or deferred message has that sequence number."""

    condition = "com.microsoft:message-not-found"
    status_code = 404


class InjectedError(BusError):
    """A fault that a test asked for."""

    def __init__(self, condition: ErrorCondition) -> None:
        super().__init__(condition.description)
        self.condition = condition.name
