"""Dead letters of a queue or subscription: looking at them, and sending them again."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from patch_assessor_cli.client import Source, body_of, properties_of, receiver, sender
from patch_assessor_cli.errors import CommandError

_DEAD: Final = ServiceBusSubQueue.DEAD_LETTER
_PAGE: Final = 100
_WAIT_SECONDS: Final = 5.0
_REASON_PROPERTIES: Final = frozenset({"DeadLetterReason", "DeadLetterErrorDescription"})


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as data.

    Attributes:
        source: The queue or subscription that it was in.
        sequence_number: Its place there.
        message_id: Its ID.
        reason: Why it is dead, in a word.
        description: Why, in a sentence.
        delivery_count: How often it was tried.
        enqueued_time: When it was sent, in UTC.
        correlation_id: The request's ID, if the sender set it.
        content_type: The body's media type.
        application_properties: What the sender put beside the body.
        body: The bytes.
    """

    source: Source
    sequence_number: int
    message_id: str
    reason: str
    description: str
    delivery_count: int
    enqueued_time: datetime | None
    correlation_id: str | None
    content_type: str | None
    application_properties: dict[str, Any]
    body: bytes = field(repr=False)


async def peek(client: ServiceBusClient, source: Source) -> list[DeadLetter]:
    """Returns the dead letters of `source`, and leaves them where they are."""
    found: list[DeadLetter] = []
    async with receiver(client, source, _DEAD) as dead:
        while page := await dead.peek_messages(
            _PAGE, sequence_number=found[-1].sequence_number + 1 if found else 1
        ):
            found += [_dead_letter(source, message) for message in page]
    return found


async def resubmit(
    client: ServiceBusClient,
    source: Source,
    letters: Collection[DeadLetter],
    new_id: Callable[[], str] | None,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """Sends copies of dead letters, and takes each dead letter away once its copy is sent.

    Args:
        client: Of the namespace.
        source: Where the letters are; the copies go to its queue or topic.
        letters: Which ones.
        new_id: Makes message IDs; None keeps the old ones.
        advance: Called after each one.

    Returns:
        The copies' IDs by the dead letters'.

    Raises:
        CommandError: Somebody else holds some of them, or has taken them.
    """
    wanted = {letter.sequence_number for letter in letters}
    sent: dict[str, str] = {}
    others: list[ServiceBusReceivedMessage] = []
    async with receiver(client, source, _DEAD) as dead, sender(client, source) as alive:
        try:
            while wanted and (received := await _next(dead)):
                for message in received:
                    if message.sequence_number not in wanted:
                        others.append(message)
                        continue
                    copied = copy(message, new_id)
                    await alive.send_messages(copied)
                    await dead.complete_message(message)
                    wanted.discard(message.sequence_number)
                    sent[message.message_id or ""] = copied.message_id or ""
                    advance()
        finally:
            for message in others:
                await dead.abandon_message(message)
    if wanted:
        raise CommandError(
            f"{len(sent)} dead letters were sent again; {len(wanted)} could not be received: "
            "somebody else holds them, or has taken them."
        )
    return sent


def check_window(letters: Collection[DeadLetter], window: timedelta, now: datetime) -> None:
    """Makes sure that duplicate detection lets copies with the same IDs pass.

    Args:
        letters: What is to be sent again.
        window: The entity's duplicate detection window.
        now: The time, in UTC.

    Raises:
        CommandError: It would drop one: a copy would vanish, and the dead letter with it.
    """
    ends = [letter.enqueued_time + window for letter in letters if letter.enqueued_time]
    if ends and max(ends) > now:
        raise CommandError(
            "Service Bus would take a copy with the same message ID for a duplicate and drop it "
            f"until {max(ends):%H:%M:%S} UTC. Wait until then, or give the copies new IDs with "
            "--new-id."
        )


def copy(message: ServiceBusReceivedMessage, new_id: Callable[[], str] | None) -> ServiceBusMessage:
    """Returns a message with the same body and properties, without what made it a dead letter."""
    properties: dict[str | bytes, str | bytes | int | float | bool | UUID] = {}
    properties.update(
        (name, value)
        for name, value in properties_of(message).items()
        if name not in _REASON_PROPERTIES
    )
    return ServiceBusMessage(
        body_of(message),
        message_id=new_id() if new_id is not None else message.message_id,
        application_properties=properties,
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        subject=message.subject,
        to=message.to,
        reply_to=message.reply_to,
        reply_to_session_id=message.reply_to_session_id,
        session_id=message.session_id,
    )


async def _next(dead: ServiceBusReceiver) -> list[ServiceBusReceivedMessage]:
    return list(await dead.receive_messages(_PAGE, _WAIT_SECONDS))


def _dead_letter(source: Source, message: ServiceBusReceivedMessage) -> DeadLetter:
    enqueued = message.enqueued_time_utc
    return DeadLetter(
        source=source,
        sequence_number=message.sequence_number or 0,
        message_id=message.message_id or "",
        reason=message.dead_letter_reason or "",
        description=message.dead_letter_error_description or "",
        delivery_count=message.delivery_count or 0,
        enqueued_time=enqueued.replace(tzinfo=UTC) if enqueued else None,
        correlation_id=message.correlation_id,
        content_type=message.content_type,
        application_properties={
            name: value
            for name, value in properties_of(message).items()
            if name not in _REASON_PROPERTIES
        },
        body=body_of(message),
    )
