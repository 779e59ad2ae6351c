"""The demo's second act: patches of one VM appear, grow and go, and each change has its alert.

Alerts fire and resolve by what changed since the VM was assessed before ("Alerts" in
docs/alerts.md); here is each change that there is, and an assessment with none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from patch_assessor_cli.arrivals import AlertSummary, OutcomeSummary

ASSESSMENT_SECONDS: Final = 2.5
"""How long the VM's assessments take here, whatever the time scale.

The app takes an assessment that began within two seconds before a request for the request's own:
clocks differ. Real ones take minutes and never come that close together.
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to the VM before it is assessed again.

    Attributes:
        description: What is done, for people.
        security_patches: How many it lacks from then on; None leaves it as it is.
        alert: Condition and change of the alert that follows; None if none does.
    """

    description: str
    security_patches: int | None
    alert: tuple[str, str] | None


CHANGES: Final = (
    Change("a security patch appears", 1, ("Fired", "Appeared")),
    Change("nothing", None, None),
    Change("a second one appears", 2, ("Fired", "Grew")),
    Change("both are installed", 0, ("Resolved", "Gone")),
)

_PATCHES: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = {
    "Linux": (
        {"name": "openssl", "version": "3.0.2-0ubuntu1.18"},
        {"name": "sudo", "version": "1.9.9-1ubuntu2.5"},
    ),
    "Windows": (
        {"name": "2024-10 Cumulative Update for Windows Server (KB5044281)", "kbId": "5044281"},
        {"name": "2024-10 Security Update for .NET (KB5044099)", "kbId": "5044099"},
    ),
}


def fields_of(change: Change, os_type: str, time_scale: float) -> dict[str, Any]:
    """Returns what ARM's control surface is told to change about the VM.

    Args:
        change: The change.
        os_type: The VM's operating system, `Linux` or `Windows`.
        time_scale: How many times faster than real assessments run.
    """
    duration = {"durationSeconds": ASSESSMENT_SECONDS * time_scale}
    if change.security_patches is None:
        return duration
    lacking = _PATCHES[os_type][: change.security_patches]
    patches = [{**patch, "classifications": ["Security"]} for patch in lacking]
    return {**duration, "availablePatches": patches}


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """What an assessment after a change told: its outcome, None if none came, and all alerts."""

    change: Change
    outcome: OutcomeSummary | None
    alerts: tuple[AlertSummary, ...]

    @property
    def is_right(self) -> bool:
        """Whether the alert of this change came, once, and no other."""
        came = [(alert.condition, alert.change) for alert in self.alerts]
        return came == ([self.change.alert] if self.change.alert else [])


@dataclass(frozen=True, slots=True)
class ChangesResult:
    """What all changes of one VM told.

    Attributes:
        vm_id: The VM's resource ID.
        results: One for each change that was made, in their order.
    """

    vm_id: str
    results: tuple[ChangeResult, ...]

    @property
    def vm(self) -> str:
        """The VM's name."""
        return self.vm_id.rpartition("/")[2]

    @property
    def trace_ids(self) -> frozenset[str]:
        """The traces of the assessments that told of an alert."""
        return frozenset(alert.trace_id for each in self.results for alert in each.alerts)

    @property
    def is_right(self) -> bool:
        """Whether each change was made and has its one alert, or none where there is none."""
        return [each.change for each in self.results] == list(CHANGES) and all(
            each.is_right for each in self.results
        )
