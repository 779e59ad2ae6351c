"""Every posture that outcomes lead to, as the real alerts' outbox saves them one after another."""

from assessor.alerts.outbox import AlertOutbox
from assessor.alerts.rule import AlertPolicy
from assessor.messages.outcome import Outcome
from assessor.posture.model import Posture
from assessor.posture.store import MemoryPosture
from tests.support.builders import NOW, TRACEPARENT
from tests.support.fakes import FakeBus, FakeClock


class _Recorder(MemoryPosture):
    """Keeps every posture that was ever saved."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[Posture] = []

    async def save(self, posture: Posture, etag: str | None) -> str:
        """Keeps the posture."""
        self.saved.append(posture)
        return await super().save(posture, etag)


async def saved_postures(*outcomes: Outcome) -> list[Posture]:
    """Returns all postures that these outcomes lead to, unpublished alerts among them."""
    store = _Recorder()
    outbox = AlertOutbox(
        store=store,
        bus=FakeBus(),
        alerts_topic="patch-alerts",
        clock=FakeClock(NOW),
        policy=AlertPolicy(),
    )
    for outcome in outcomes:
        await outbox.conclude(outcome, TRACEPARENT)
    return store.saved
