"""The sending side of a queue or topic: duplicate detection, and messages with a later time.

A scheduled message has a sequence number of its own that is good for cancelling it; when its time
comes it is enqueued like one that was sent at that moment, under a new number. Duplicates are
found when a message is sent or scheduled, and answered as if they had been accepted.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from uuid import uuid4

from localcloud.servicebus.clock import Clock, Milliseconds
from localcloud.servicebus.duplicates import DuplicateWindow
from localcloud.servicebus.entry import Delivery, MessageState
from localcloud.servicebus.errors import MessageNotFoundError
from localcloud.servicebus.message import Message, parse
from localcloud.servicebus.sequence import SequenceNumbers
from localcloud.servicebus.state import IngressState, ScheduledMessage


def _identified(message: Message) -> Message:
    """The message with an ID, which the service makes for one that comes without."""
    return message if message.message_id is not None else message.with_message_id(uuid4().hex)


@dataclass(frozen=True, slots=True)
class _Scheduled:
    message: Message
    due: Milliseconds


class Ingress:
    """What a sender sends to.

    Args:
        clock: tells the time.
        sequence_numbers: the entity's.
        duplicates: the IDs it remembers; None without duplicate detection.
        enqueue: takes each message when its time has come.
    """

    def __init__(
        self,
        clock: Clock,
        sequence_numbers: SequenceNumbers,
        duplicates: DuplicateWindow | None,
        enqueue: Callable[[Message], None],
    ) -> None:
        self._clock = clock
        self._sequence_numbers = sequence_numbers
        self._duplicates = duplicates
        self._enqueue = enqueue
        self._scheduled: dict[int, _Scheduled] = {}
        self._agenda: list[tuple[Milliseconds, int]] = []

    def send(self, message: Message) -> None:
        """Accept a message: now, or for the time in its annotations."""
        self.advance()
        message = _identified(message)
        if not self._admits(message):
            return
        if message.scheduled_for is not None and message.scheduled_for > self._clock():
            self._schedule(self._sequence_numbers.take(), message, message.scheduled_for)
        else:
            self._enqueue(message)

    def schedule(self, message: Message) -> int:
        """Accept a message for the time in its annotations, at once if that has passed.

        Returns:
            The number to cancel it by. A duplicate gets one that cancels nothing.
        """
        self.advance()
        number = self._sequence_numbers.take()
        message = _identified(message)
        if self._admits(message):
            self._schedule(number, message, message.scheduled_for or self._clock())
            self.advance()
        return number

    def cancel(self, sequence_numbers: Iterable[int]) -> None:
        """Drop scheduled messages, all or none.

        Raises:
            MessageNotFoundError: one of the numbers is not, or no longer, a scheduled message's.
        """
        self.advance()
        numbers = list(sequence_numbers)
        for number in numbers:
            if number not in self._scheduled:
                raise MessageNotFoundError(f"No scheduled message has sequence number {number}.")
        for number in numbers:
            self._scheduled.pop(number, None)

    def _admits(self, message: Message) -> bool:
        return self._duplicates is None or self._duplicates.admits(message.message_id)

    def _schedule(self, number: int, message: Message, due: Milliseconds) -> None:
        self._scheduled[number] = _Scheduled(message, due)
        heapq.heappush(self._agenda, (due, number))

    def advance(self) -> None:
        """Enqueue the messages whose time has come, in the order of their times."""
        if not self._agenda:
            return
        now = self._clock()
        while self._agenda and self._agenda[0][0] <= now:
            scheduled = self._scheduled.pop(heapq.heappop(self._agenda)[1], None)
            if scheduled is not None:
                self._enqueue(scheduled.message)

    def next_due(self) -> Milliseconds | None:
        """When `advance` may have something to do next; None for never."""
        return self._agenda[0][0] if self._agenda else None

    def scheduled_count(self) -> int:
        """How many messages wait for their time."""
        return len(self._scheduled)

    def peek(self, from_sequence_number: int) -> Iterator[Delivery]:
        """The waiting messages in the order of their numbers."""
        for number in sorted(self._scheduled):
            if number >= from_sequence_number:
                scheduled = self._scheduled[number]
                yield Delivery(
                    sequence_number=number,
                    message=scheduled.message,
                    enqueued_at=scheduled.due,
                    delivery_count=0,
                    state=MessageState.SCHEDULED,
                    lock=None,
                )

    def snapshot(self) -> IngressState:
        """Everything in it, to be saved."""
        return IngressState(
            next_sequence_number=self._sequence_numbers.next,
            scheduled=tuple(
                ScheduledMessage(number, each.due, each.message.encode())
                for number, each in self._scheduled.items()
            ),
            accepted_ids=() if self._duplicates is None else tuple(self._duplicates.history()),
        )

    def restore(self, state: IngressState) -> None:
        """Take over what was saved."""
        self._sequence_numbers.skip_to(state.next_sequence_number)
        for each in state.scheduled:
            self._schedule(each.sequence_number, parse(each.payload), each.due)
        if self._duplicates is not None:
            self._duplicates.restore(state.accepted_ids)
