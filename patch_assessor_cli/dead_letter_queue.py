"""Dead letters of a queue or subscription: looking at them, and sending them again."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.servicebus import ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from patch_assessor_cli.amqp_values import AmqpError
from patch_assessor_cli.client import Queue, Source, receiver, sender
from patch_assessor_cli.errors import CommandError
from patch_assessor_cli.payload import Payload, copy_of
from patch_assessor_cli.raw_messages import octets_of, payload_of, whole

_DEAD: Final = ServiceBusSubQueue.DEAD_LETTER
_PAGE: Final = 100
_WAIT_SECONDS: Final = 5.0
_REASON: Final = "DeadLetterReason"
_DESCRIPTION: Final = "DeadLetterErrorDescription"


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
        body: The bytes; of a body that is no data, its text or its JSON.
        body_kind: What the body is in AMQP: data, value, sequence, none; or unreadable.
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
    body_kind: str = "data"


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
        CommandError: Somebody else holds some of them, or has taken them; or one can't be read, so
            that its copy would be another message. It stays where it is.
    """
    wanted = {letter.sequence_number for letter in letters}
    sent: dict[str, str] = {}
    unreadable = 0
    others: list[ServiceBusReceivedMessage] = []
    async with receiver(client, source, _DEAD) as dead, sender(client, source) as alive:
        try:
            while wanted and (received := await _next(dead)):
                for message in received:
                    if message.sequence_number not in wanted:
                        others.append(message)
                        continue
                    wanted.discard(message.sequence_number)
                    try:
                        copied = copy_of(
                            octets_of(message) or b"",
                            new_id and new_id(),
                            # A new ID asks for a request of its own; topics have no requests.
                            says_when=new_id is None and isinstance(source, Queue),
                        )
                    except AmqpError:
                        others.append(message)
                        unreadable += 1
                        continue
                    await alive.send_messages(whole(copied))
                    await dead.complete_message(message)
                    sent[payload_of(message).message_id] = Payload.of(copied).message_id
                    advance()
        finally:
            for message in others:
                await dead.abandon_message(message)
    if wanted or unreadable:
        problems = [
            f"{len(wanted)} could not be received: somebody else holds them, or has taken them",
            f"{unreadable} can't be read, and stay where they are",
        ]
        told = [each for each in problems if not each.startswith("0 ")]
        raise CommandError(f"{len(sent)} dead letters were sent again; {'; '.join(told)}.")
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


async def _next(dead: ServiceBusReceiver) -> list[ServiceBusReceivedMessage]:
    return list(await dead.receive_messages(_PAGE, _WAIT_SECONDS))


def _dead_letter(source: Source, message: ServiceBusReceivedMessage) -> DeadLetter:
    enqueued = message.enqueued_time_utc
    said = payload_of(message)
    properties = dict(said.application_properties)
    reason, description = properties.pop(_REASON, None), properties.pop(_DESCRIPTION, None)
    return DeadLetter(
        source=source,
        sequence_number=message.sequence_number or 0,
        message_id=said.message_id,
        reason=str(reason or ""),
        description=str(description or ""),
        delivery_count=message.delivery_count or 0,
        enqueued_time=enqueued.replace(tzinfo=UTC) if enqueued else None,
        correlation_id=said.correlation_id,
        content_type=said.content_type,
        application_properties=properties,
        body=said.body,
        body_kind=said.body_kind,
    )
