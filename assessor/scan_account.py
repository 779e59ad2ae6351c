"""A scan's account: what is remembered of a scan and of each VM that it asks for."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

RUNNING_DIGEST_BYTES: Final = 8
"""Of each VM that runs: 400 KB for 50,000 of them, and no two that are taken for one."""


class Ending(StrEnum):
    """How a request of a scan ended."""

    ASSESSED = "assessed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Concluded:
    """What a scan keeps of an outcome.

    Attributes:
        ending: how it ended.
        critical: whether the VM lacks critical or security patches.
        reboot: whether the VM waits for a reboot.
        at: when that was known.
    """

    ending: Ending
    critical: bool
    reboot: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class ScanState:
    """How far a scan is.

    It was accepted for the first time at `started_at`; once `expanded`, all of its requests are
    sent; once `summed_up`, its end was told, and its records are gone.
    """

    started_at: datetime
    expanded: bool = False
    summed_up: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """A scan's records, counted.

    `requested` are the VMs that requests were sent for; the other numbers are of these. `last_at`
    is when the last outcome was known; None if there is none.
    """

    requested: int = 0
    assessed: int = 0
    failed: int = 0
    skipped: int = 0
    with_critical_patches: int = 0
    reboot_pending: int = 0
    last_at: datetime | None = None

    @property
    def missing(self) -> int:
        """The VMs that have no outcome."""
        return self.requested - self.assessed - self.failed - self.skipped
