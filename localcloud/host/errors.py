"""What can go wrong in the host: one root, fields rather than prose."""


class HostError(Exception):
    """Root of everything the host raises on purpose."""


class ConfigurationError(HostError):
    """A setting, host.json or a binding can't be used.

    Attributes:
        source: Where the value stands: a file's key, a setting's or a function's name.
        expected: What it must be.
        actual: What it is; absent values are said as such.
    """

    def __init__(self, source: str, *, expected: str, actual: str) -> None:
        super().__init__(f"{source}: expected {expected}, got {actual}")
        self.source = source
        self.expected = expected
        self.actual = actual


class AppIndexingError(HostError):
    """The function app raised while it was imported or indexed.

    Attributes:
        reason: The exception's type and message, on one line.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The function app could not be indexed: {reason}")
        self.reason = reason


class WorkerLostError(HostError):
    """The language worker ended, or was ended, while something was asked of it.

    Attributes:
        reason: Why, for the log.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The language worker is gone: {reason}")
        self.reason = reason


class WorkerFailureLimitError(HostError):
    """The language worker failed too often; the host gives up, as the real one does.

    Attributes:
        failures: How many failures were counted.
    """

    def __init__(self, failures: int) -> None:
        super().__init__(f"Exceeded language worker restart retry count: {failures} failures")
        self.failures = failures


class InvocationTimeoutError(HostError):
    """An invocation ran longer than host.json's functionTimeout.

    Attributes:
        function: The function's name.
        seconds: The limit it exceeded.
    """

    def __init__(self, function: str, seconds: float) -> None:
        super().__init__(f"Timeout value of {seconds:g} s was exceeded by function: {function}")
        self.function = function
        self.seconds = seconds


class FrameError(HostError):
    """A frame between host and worker is not what the protocol allows.

    Attributes:
        detail: What is wrong with it.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(f"Bad frame between host and worker: {detail}")
        self.detail = detail


class BusUnavailableError(HostError):
    """The Service Bus did not answer, or refused; trying again later may help.

    Attributes:
        entity: The queue or subscription.
        reason: The client's own words, on one line.
    """

    def __init__(self, entity: str, reason: str) -> None:
        super().__init__(f"{entity}: {reason}")
        self.entity = entity
        self.reason = reason


class BindingError(HostError):
    """A message can't be bound to the function's parameter, as in the real extension.

    Attributes:
        reason: Why, in the extension's words where it has any.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"Exception binding parameter: {reason}")
        self.reason = reason
