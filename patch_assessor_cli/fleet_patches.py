"""What the fleet lacks: the patches of each VM's newest assessment, from columns of the table."""

import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from azure.data.tables.aio import TableClient

_PARTS: Final = ("Lacks0", "Lacks1", "Lacks2", "Lacks3")
_COLUMNS: Final = ("VmId", "AssessedAt", "LacksOmitted", *_PARTS)
_KNOWN_LISTS: Final = 4096
"""How many different lists are kept unpacked: the VMs of a fleet have many in common."""


class LackedPatch(NamedTuple):
    """A patch that a VM lacks, as the table keeps it."""

    name: str
    version: str
    kb: str
    classification: str
    is_important: bool

    @property
    def article(self) -> str:
        """The knowledge base's article, as `KB5031364`; empty without one."""
        return f"KB{self.kb.upper().removeprefix('KB')}" if self.kb else ""

    def is_meant_by(self, part: str) -> bool:
        """Whether its name or its article has this part, without regard to case."""
        wanted = part.casefold()
        return wanted in self.name.casefold() or wanted in self.article.casefold()


@dataclass(frozen=True, slots=True)
class LackingVm:
    """A VM and the patches that it lacks.

    Attributes:
        vm_id: its resource ID.
        assessed_at: when its newest assessment was completed; None if it never was.
        patches: what that listed; None where that is not known.
        omitted: how many more it listed than the table keeps.
    """

    vm_id: str
    assessed_at: datetime | None
    patches: tuple[LackedPatch, ...] | None
    omitted: int = 0


@dataclass(slots=True)
class RowReader:
    """Reads rows; remembers the lists that it has unpacked."""

    _lists: dict[bytes, tuple[LackedPatch, ...] | None] = field(default_factory=dict)

    def read(self, row: Mapping[str, Any]) -> LackingVm:
        """Returns the VM of a row."""
        packed = b"".join(row[name] for name in _PARTS if isinstance(row.get(name), bytes))
        if packed not in self._lists:
            if len(self._lists) >= _KNOWN_LISTS:
                self._lists.clear()
            self._lists[packed] = _unpack(packed)
        return LackingVm(
            str(row.get("VmId")),
            row.get("AssessedAt"),
            self._lists[packed],
            row.get("LacksOmitted") or 0,
        )


def _unpack(packed: bytes) -> tuple[LackedPatch, ...] | None:
    if not packed:
        return None
    try:
        return tuple(LackedPatch(*each) for each in json.loads(zlib.decompress(packed)))
    except (ValueError, TypeError, zlib.error):
        return None


async def read_lacking(
    table: TableClient, subscription_id: str | None = None
) -> AsyncIterator[LackingVm]:
    """Yields the VMs of the table that are not gone, with what they lack.

    Args:
        table: The posture table.
        subscription_id: Only those of this subscription; of all if None.
    """
    wanted, parameters = "Retired eq false", {}
    if subscription_id is not None:
        wanted += " and PartitionKey eq @subscription"
        parameters["subscription"] = subscription_id.lower()
    reader = RowReader()
    async for row in table.query_entities(wanted, select=list(_COLUMNS), parameters=parameters):
        yield reader.read(row)


def count_patches(fleet: Iterable[LackingVm]) -> list[tuple[LackedPatch, int]]:
    """Returns each patch with how many VMs lack it: the most first, then by name."""
    counts = Counter(patch for vm in fleet for patch in set(vm.patches or ()))
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def lacking(fleet: Iterable[LackingVm], part: str) -> list[tuple[LackingVm, LackedPatch]]:
    """Returns each VM with each patch of it that `part` means, in the fleet's order."""
    return [(vm, patch) for vm in fleet for patch in vm.patches or () if patch.is_meant_by(part)]
