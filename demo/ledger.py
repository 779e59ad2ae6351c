"""The account of a demo: which outcomes have to come, which came, and what else arrived."""

from collections import Counter
from collections.abc import Iterable

from demo.fleet_requests import Expected
from patch_assessor_cli.arrivals import AlertSummary, Arrival
from patch_assessor_cli.client import ALERTS_TOPIC


class Ledger:
    """Keeps account of what arrives on both topics.

    Attributes:
        expected: The outcomes that have to come.
        outcomes: What came on the results topic, in the order of arrival.
        alerts: What came on the alerts topic, likewise.
    """

    def __init__(self, expected: Iterable[Expected]) -> None:
        self.expected = frozenset(expected)
        self.outcomes: list[Arrival] = []
        self.alerts: list[Arrival] = []
        self._seen: Counter[Expected] = Counter()

    def expect(self, more: Iterable[Expected]) -> None:
        """Enters outcomes that have to come too."""
        self.expected |= frozenset(more)

    def take(self, arrival: Arrival) -> None:
        """Enters a message."""
        if arrival.topic == ALERTS_TOPIC:
            self.alerts.append(arrival)
            return
        self.outcomes.append(arrival)
        self._seen[Expected.of(arrival.correlation_id, arrival.data.get("vmId"))] += 1

    @property
    def missing(self) -> list[Expected]:
        """What has not come, in a stable order."""
        return sorted(
            self.expected - self._seen.keys(), key=lambda each: (each.vm_id or "", each.request_id)
        )

    @property
    def repeated(self) -> list[Expected]:
        """What came more than once."""
        return [each for each, count in self._seen.items() if count > 1]

    @property
    def unasked(self) -> list[Expected]:
        """What came although nobody asked for it."""
        return [each for each in self._seen if each not in self.expected]

    @property
    def is_right(self) -> bool:
        """Whether each request has its one outcome, and there is no other."""
        return not (self.missing or self.repeated or self.unasked)

    def outcomes_by_type(self) -> Counter[str]:
        """Returns how many outcomes of each type came."""
        return Counter(arrival.event_type for arrival in self.outcomes)

    def alerts_by_condition(self) -> Counter[str]:
        """Returns how many alerts fired and resolved."""
        return Counter(AlertSummary.of(arrival).condition for arrival in self.alerts)
