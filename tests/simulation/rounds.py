"""Rounds of requests: what became of each, as whoever subscribes to the results sees it."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from assessor.bus.message import OutgoingMessage
from assessor.scans.event import SCAN_COMPLETED
from localcloud.arm.cloud import Cloud
from localcloud.arm.model import Vm
from tests.simulation.bus import Traffic
from tests.simulation.clock import seconds_of
from tests.simulation.endpoint import ArmCalls


class NotOneOutcomeError(Exception):
    """Requests of a round had no outcome, or more than one.

    Attributes:
        vms: the keys of their VMs.
    """

    def __init__(self, vms: tuple[str, ...]) -> None:
        super().__init__(f"{len(vms)} requests had no outcome or several, the first for {vms[0]}")
        self.vms = vms


@dataclass(frozen=True, slots=True)
class PublishedOutcome:
    """An outcome that was published, in seconds since the simulation began.

    Attributes:
        vm_key: the VM.
        type: the CloudEvents type.
        at: when the results topic had it.
        begun_at: when ARM began the operation; None if none was begun.
        ended_at: when ARM ended it.
    """

    vm_key: str
    type: str
    at: float
    begun_at: float | None
    ended_at: float | None

    @property
    def delay(self) -> float | None:
        """The seconds from the operation's end to the outcome; None if none was begun."""
        return self.at - self.ended_at if self.ended_at is not None else None


@dataclass(frozen=True, slots=True)
class Round:
    """What became of the requests of one round.

    Attributes:
        started_at: when the first one was asked.
        published: the outcomes, in the order of their publication.
        calls: the calls of ARM.
        traffic: the app's traffic on the bus.
        handed_over: how many messages the app handed over to itself.
    """

    started_at: float
    published: tuple[PublishedOutcome, ...]
    calls: ArmCalls
    traffic: Traffic
    handed_over: int


class Listener:
    """Takes note of the outcomes on the results topic."""

    def __init__(self, cloud: Cloud, seconds_now: Callable[[], float]) -> None:
        """Starts with none.

        Args:
            cloud: knows when ARM began and ended each operation.
            seconds_now: tells the seconds since the simulation began.
        """
        self._cloud = cloud
        self._seconds_now = seconds_now
        self._published: list[PublishedOutcome] = []

    def take(self, message: OutgoingMessage) -> None:
        """Takes note of a message, if it is about a VM."""
        properties = message.application_properties
        if properties["type"] == SCAN_COMPLETED:
            return
        key = (message.subject or "").lower()
        activity_id = properties.get("assessmentActivityId")
        operation = self._cloud.last_operation(self._cloud.vms[key]) if activity_id else None
        self._published.append(
            PublishedOutcome(
                key,
                str(properties["type"]),
                self._seconds_now(),
                seconds_of(operation.started) if operation else None,
                seconds_of(operation.ends) if operation else None,
            )
        )

    def published_of(self, vms: Iterable[Vm]) -> tuple[PublishedOutcome, ...]:
        """Returns the outcomes since it was asked last, one of each VM as often as it is named.

        Raises:
            NotOneOutcomeError: a VM had fewer, or more.
        """
        published, self._published = tuple(self._published), []
        outcomes = Counter(each.vm_key for each in published)
        asked = Counter(vm.key for vm in vms)
        wrong = tuple(key for key in asked | outcomes if outcomes[key] != asked[key])
        if wrong:
            raise NotOneOutcomeError(wrong)
        return published
