"""Where the requests are that have no outcome yet, as the bus counts them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from localcloud.control import Counts
from patch_assessor_cli.client import IN_PROGRESS_QUEUE, REQUESTS_QUEUE


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where the requests are that have no outcome yet.

    Attributes:
        queued: Messages in the requests queue.
        held: Messages that a function works on.
        in_progress: Assessments that wait for their next poll.
        unread: Messages that arrived on the topics and were not completed yet.
        dead: Messages in dead-letter queues.
    """

    queued: int
    held: int
    in_progress: int
    unread: int
    dead: int

    @property
    def is_over(self) -> bool:
        """Whether nothing is on its way any more."""
        return not (self.queued or self.held or self.in_progress or self.unread)

    @classmethod
    def of(cls, counts: Mapping[str, Counts]) -> Self:
        """Returns it from the counts of every queue and subscription."""
        requests, progress = counts[REQUESTS_QUEUE], counts[IN_PROGRESS_QUEUE]
        topics = [each for name, each in counts.items() if name.endswith("/Subscriptions/all")]
        return cls(
            queued=requests.active,
            held=requests.locked + progress.locked,
            in_progress=progress.active + progress.scheduled,
            unread=sum(each.active + each.locked for each in topics),
            dead=sum(each.dead_letter for each in counts.values()),
        )
