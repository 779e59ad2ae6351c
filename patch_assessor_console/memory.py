"""What was read of the fleet and the system, kept together for every page that looks."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from dotnet_text import ignoring_case
from patch_assessor_cli.arrivals import AlertSummary, Arrival, RejectionSummary, is_rejection
from patch_assessor_console.model.charts import Sample
from patch_assessor_console.model.fleet import Row, rows_of
from patch_assessor_console.model.flow import Bucket, Entity, InProgress, Scan
from patch_assessor_console.model.learning import Seen, after_alert, after_outcome, merged, scan_of
from patch_assessor_console.model.listing import Listing
from patch_assessor_console.model.patch import Patch
from patch_assessor_console.model.vm import Vm

_SAMPLES: Final = 2000
_DURATIONS: Final = 5000
_HAPPENED: Final = 200
_ATTEMPTS_OF_VM: Final = 20
_SCANS: Final = 20
_STATE_SECONDS: Final = timedelta(seconds=30)
"""How old states may be: a VM becomes stale by time alone."""


class Source(StrEnum):
    """Where something is read from."""

    TOPICS = "topics"
    TABLE = "posture table"
    COUNTS = "counts"
    IN_PROGRESS = "in-progress queue"
    ARM = "local ARM"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A source that can't be read.

    Attributes:
        since: Since when.
        why: Why, in a sentence.
    """

    since: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that arrived, for the log that people follow."""

    at: datetime
    what: str
    vm_id: str
    text: str


class Memory:
    """The console's knowledge; what changes it counts `version` up.

    Attributes:
        version: Differs whenever there is something new to show.
        fleet_version: Differs whenever a VM has changed.
        entities: The entities with their counts.
        in_progress: What is on its way.
        buckets: ARM's, on the local cloud.
        troubles: The sources that can't be read.
        outcomes: How many outcomes of each kind arrived.
        durations: How long assessments took, with the operating system.
        samples: The fleet over time.
        happened: What arrived, the newest first.
        first_seen: When each patch was first seen to be lacked.
        read_at: When the table was read; None if it never was.
    """

    def __init__(self, now: Callable[[], datetime], stale_after: timedelta) -> None:
        """Starts without any knowledge.

        Args:
            now: Tells the time.
            stale_after: The age from which an assessment counts as stale.
        """
        self.version = 0
        self.entities: tuple[Entity, ...] = ()
        self.in_progress = InProgress()
        self.buckets: tuple[Bucket, ...] = ()
        self.troubles: dict[Source, Trouble] = {}
        self.outcomes: Counter[str] = Counter()
        self.durations: deque[tuple[str, float]] = deque(maxlen=_DURATIONS)
        self.samples: deque[Sample] = deque(maxlen=_SAMPLES)
        self.happened: deque[Happening] = deque(maxlen=_HAPPENED)
        self.first_seen: dict[str, datetime] = {}
        self.read_at: datetime | None = None
        self._vms: dict[str, Vm] = {}
        self._arrived: dict[str, datetime] = {}
        self._attempts: dict[str, deque[Happening]] = {}
        self._scans: dict[str, Scan] = {}
        self._told: dict[str, Counter[str]] = {}
        self._patches: dict[Patch, Patch] = {}
        self._rows: dict[str, Row] = {}
        self._listed = Listing(())
        self.fleet_version = 0
        self._rows_of: tuple[int, datetime] | None = None
        self.now = now
        self._stale_after = stale_after

    def rows(self) -> tuple[Row, ...]:
        """Returns the fleet as rows with their states."""
        return self.listing().rows

    def listing(self) -> Listing:
        """Returns the fleet as rows, with what follows from all of them."""
        now = self.now()
        if (
            self._rows_of is None
            or self._rows_of[0] != self.fleet_version
            or now - self._rows_of[1] > _STATE_SECONDS
        ):
            self._rows = rows_of(self._vms.values(), now, self._stale_after, self._rows)
            self._listed = Listing(tuple(self._rows.values()))
            self._rows_of = (self.fleet_version, now)
        return self._listed

    def vm(self, vm_id: str) -> Vm | None:
        """Returns a VM; None if it is not known."""
        return self._vms.get(ignoring_case(vm_id))

    def attempts(self, vm_id: str) -> list[Happening]:
        """Returns what arrived of a VM, the newest first."""
        return list(self._attempts.get(ignoring_case(vm_id), ()))

    def scans(self) -> list[Scan]:
        """Returns the scans on their way and the last ones that are over, the newest first."""
        return list(reversed(self._scans.values()))

    def take_table(self, rows: Iterable[Vm], began_at: datetime) -> None:
        """Takes in the whole table, as it was read from `began_at` on."""
        vms = {row.key: merged(row, self._vms.get(row.key)) for row in rows}
        for key, at in list(self._arrived.items()):
            if at >= began_at and key not in vms:
                vms[key] = self._vms[key]  # its row may not have been written when it was read
            elif key not in vms:
                del self._arrived[key]
        is_new = vms != self._vms or self.read_at is None
        self._vms, self.read_at = vms, self.now()
        if is_new:
            self._changed_fleet()

    def take_outcome(self, arrival: Arrival) -> None:
        """Takes in a message of the results topic."""
        if is_rejection(arrival):
            rejection = RejectionSummary.of(arrival)
            self.outcomes["Rejected"] += 1
            text = "; ".join((rejection.reason, *rejection.errors))
            self._happen(Happening(arrival.enqueued_time or self.now(), "Rejected", "", text))
            return
        if arrival.event_type == "ScanCompleted":
            self._take_scan(scan_of(arrival.data))
            return
        seen = Seen.of(arrival, self.now())
        summary = seen.summary
        self.outcomes[seen.kind or "Unknown"] += 1
        if seen.kind == "Completed" and summary.seconds is not None:
            self.durations.append((summary.os, summary.seconds))
        self._tell_scan(seen)
        vm = after_outcome(self._vms.get(ignoring_case(summary.vm_id)), seen)
        if vm is not None:
            self._keep(vm)
        self._happen(Happening(seen.at, seen.kind, summary.vm_id, summary.status))

    def take_alert(self, arrival: Arrival) -> None:
        """Takes in a message of the alerts topic."""
        alert, at = AlertSummary.of(arrival), arrival.enqueued_time or self.now()
        vm = self.vm(arrival.subject or "")
        if vm is not None:
            self._keep(after_alert(vm, alert, at))
        text = f"{alert.rule}, {alert.severity}, {alert.change}"
        self._happen(Happening(at, f"Alert {alert.condition.lower()}", arrival.subject or "", text))

    def take_counts(self, entities: Iterable[Entity]) -> None:
        """Takes in the entities' counts."""
        self._set("entities", tuple(entities))

    def take_in_progress(self, in_progress: InProgress) -> None:
        """Takes in what is on its way."""
        for scan in in_progress.scans:
            self._take_scan(scan)
        self._set("in_progress", in_progress)

    def take_buckets(self, buckets: Iterable[Bucket]) -> None:
        """Takes in ARM's buckets."""
        self._set("buckets", tuple(buckets))

    def is_well(self, source: Source) -> None:
        """Notes that a source can be read."""
        if self.troubles.pop(source, None) is not None:
            self.version += 1

    def is_away(self, source: Source, why: str) -> None:
        """Notes that a source can't be read, and why."""
        known = self.troubles.get(source)
        if known is None or known.why != why:
            self.troubles[source] = Trouble(known.since if known else self.now(), why)
            self.version += 1

    def _set(self, name: str, value: object) -> None:
        if getattr(self, name) != value:
            setattr(self, name, value)
            self.version += 1

    def _keep(self, vm: Vm) -> None:
        if vm.patches is not None:
            patches = tuple(self._patches.setdefault(each, each) for each in vm.patches)
            vm = replace(vm, patches=patches)
            for patch in patches:
                self.first_seen.setdefault(patch.key, vm.assessed_at or self.now())
        self._vms[vm.key] = vm
        self._arrived[vm.key] = self.now()
        self._changed_fleet()

    def _changed_fleet(self) -> None:
        self.version += 1
        self.fleet_version += 1
        now, vms = self.now(), self._vms.values()
        if self.samples and now - self.samples[-1].at < timedelta(seconds=1):
            now = self.samples.pop().at
        critical = [vm.critical for vm in vms if vm.critical]
        self.samples.append(Sample(now, sum(critical), len(critical)))

    def _happen(self, happening: Happening) -> None:
        self.happened.appendleft(happening)
        if happening.vm_id:
            of_vm = self._attempts.setdefault(
                ignoring_case(happening.vm_id), deque(maxlen=_ATTEMPTS_OF_VM)
            )
            of_vm.appendleft(happening)
        self.version += 1

    def _tell_scan(self, seen: Seen) -> None:
        if seen.scan_id:
            self._told.setdefault(seen.scan_id, Counter())[seen.kind] += 1
            if seen.scan_id in self._scans:
                self._take_scan(self._scans[seen.scan_id])

    def _take_scan(self, scan: Scan | None) -> None:
        if scan is None:
            return
        known = self._scans.get(scan.scan_id)
        if known is not None and known.is_over:
            return
        if not scan.is_over:
            told: Mapping[str, int] = self._told.get(scan.scan_id, Counter())
            scan = replace(
                scan,
                assessed=told.get("Completed", 0),
                failed=told.get("Failed", 0),
                skipped=told.get("Skipped", 0),
            )
        self._scans[scan.scan_id] = scan
        while len(self._scans) > _SCANS:
            oldest = next(iter(self._scans))
            del self._scans[oldest]
            self._told.pop(oldest, None)
        if scan != known:
            self.version += 1
