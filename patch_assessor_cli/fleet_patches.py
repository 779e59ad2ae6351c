"""What the fleet lacks: the patches of each VM's newest assessment, from columns of the table."""

import asyncio
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from azure.data.tables.aio import TableClient

from patch_assessor_cli.table_rows import Decode, as_is, binary, read_pages, time

_PARTS: Final = ("Lacks0", "Lacks1", "Lacks2", "Lacks3")
LACKS_COLUMNS: Final[Mapping[str, Decode]] = {
    "LacksOmitted": as_is,
    **dict.fromkeys(_PARTS, binary),
}
"""The columns that tell what a VM lacks."""
_COLUMNS: Final = {"VmId": as_is, "AssessedAt": time, **LACKS_COLUMNS}
_KNOWN_LISTS: Final = 4096
"""How many different lists are kept unpacked: the VMs of a fleet have many in common."""
_BETWEEN: Final = b'],["'
"""What stands between two patches in a list's JSON."""


@dataclass(frozen=True, slots=True, eq=False)
class LackedPatch:
    """A patch that VMs lack, as the table keeps it.

    One RowReader makes one object of each different patch, so objects are compared, not texts.
    """

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
    """Reads rows; remembers the lists that it has unpacked, and each patch."""

    _lists: dict[bytes, tuple[LackedPatch, ...] | None] = field(default_factory=dict)
    _by_text: dict[bytes, LackedPatch] = field(default_factory=dict)
    _by_fields: dict[tuple[str, str, str, str, bool], LackedPatch] = field(default_factory=dict)

    def read(self, row: Mapping[str, Any]) -> LackingVm:
        """Returns the VM of a row."""
        packed = b"".join(row[name] for name in _PARTS if isinstance(row.get(name), bytes))
        if packed not in self._lists:
            if len(self._lists) >= _KNOWN_LISTS:
                self._lists.clear()
            self._lists[packed] = self._unpack(packed)
        return LackingVm(
            str(row.get("VmId")),
            row.get("AssessedAt"),
            self._lists[packed],
            row.get("LacksOmitted") or 0,
        )

    def _unpack(self, packed: bytes) -> tuple[LackedPatch, ...] | None:
        if not packed:
            return None
        try:
            text = zlib.decompress(packed)
            return self._split(text) or tuple(map(self._patch, json.loads(text)))
        except (ValueError, TypeError, RecursionError, zlib.error):
            return None

    def _split(self, text: bytes) -> tuple[LackedPatch, ...] | None:
        """Returns the patches of a list whose JSON is cut between them; None where it can't be.

        A patch is read as JSON only where its text is new: most VMs lack what others lack. If a
        text has what stands between patches, the cut goes through a string, and the half before it
        is no JSON.
        """
        if not (text.startswith(b'[["') and text.endswith(b"]]")):
            return None
        parts = text[3:-2].split(_BETWEEN)
        known = self._by_text
        try:
            return tuple([known[each] for each in parts])
        except KeyError:
            pass
        try:
            for each in parts:
                if each not in known:
                    known[each] = self._patch(json.loads(b'["' + each + b"]"))
        except ValueError:
            return None
        return tuple(known[each] for each in parts)

    def _patch(self, fields: Sequence[object]) -> LackedPatch:
        match fields:
            case [str(name), str(version), str(kb), str(classification), bool(important)]:
                key = (name, version, kb, classification, important)
            case _:
                raise ValueError("no patch as the app writes it")
        if key not in self._by_fields:
            self._by_fields[key] = LackedPatch(*key)
        return self._by_fields[key]


async def read_lacking(
    table: TableClient, subscription_id: str | None = None
) -> AsyncIterator[list[LackingVm]]:
    """Yields the VMs of the table that are not gone, page by page, with what they lack.

    Args:
        table: The posture table.
        subscription_id: Only those of this subscription; of all if None.
    """
    reader = RowReader()
    async for page in read_pages(table, _COLUMNS, subscription_id):
        # In a thread, so that the next page comes meanwhile.
        yield await asyncio.to_thread(lambda rows: list(map(reader.read, rows)), page)


def count_patches(fleet: Iterable[LackingVm]) -> list[tuple[LackedPatch, int]]:
    """Returns each patch with how many VMs lack it: the most first, then by name."""
    counts: Counter[LackedPatch] = Counter()
    for vm in fleet:
        counts.update(set(vm.patches or ()))
    return sorted(counts.items(), key=lambda each: (-each[1], _fields(each[0])))


def lacking(fleet: Sequence[LackingVm], part: str) -> list[tuple[LackingVm, LackedPatch]]:
    """Returns each VM with each patch of it that `part` means, in the fleet's order."""
    known = {patch for vm in fleet for patch in vm.patches or ()}
    meant = {patch for patch in known if patch.is_meant_by(part)}
    return [(vm, patch) for vm in fleet for patch in vm.patches or () if patch in meant]


def _fields(patch: LackedPatch) -> tuple[str, str, str, str, bool]:
    return (patch.name, patch.version, patch.kb, patch.classification, patch.is_important)
