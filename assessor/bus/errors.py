"""What goes wrong with Service Bus."""

from assessor.errors import UnavailableError


class PublishError(UnavailableError):
    """Service Bus did not take a message.

    Attributes:
        entity: the queue or topic.
        reason: what Service Bus, or the way to it, said.
    """

    def __init__(self, entity: str, reason: str) -> None:
        super().__init__(f"{entity} did not take a message: {reason}")
        self.entity = entity
        self.reason = reason
