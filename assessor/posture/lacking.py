"""What a VM lacks, as its row keeps it: few fields of each patch, compressed, in own columns.

The command that lists VMs by patch reads these columns of the whole fleet and nothing else of it.
Each column holds 64 KiB at the most; four hold more than ten thousand patches.
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assessor.arm.result import Patch
from assessor.messages.patches import is_critical_or_security, most_important_first

COLUMN_BYTES: Final = 64 * 1024
COLUMNS: Final = ("Lacks0", "Lacks1", "Lacks2", "Lacks3")
OMITTED: Final = "LacksOmitted"
_MAX_TEXT: Final = 256
_PACKED_BYTES: Final = len(COLUMNS) * COLUMN_BYTES


@dataclass(frozen=True, slots=True)
class LackedPatch:
    """A patch that a VM lacks.

    Attributes:
        name: the update's title, or the package's name.
        version: the package's; empty for an update of Windows.
        kb: the number of the knowledge base's article; empty elsewhere.
        classification: the first of its classifications.
        is_important: whether it counts as critical or security.
    """

    name: str
    version: str
    kb: str
    classification: str
    is_important: bool


def lacked(patches: Iterable[Patch] | None) -> tuple[LackedPatch, ...] | None:
    """Returns what is kept of a list of patches; None where there is none."""
    if patches is None:
        return None
    return tuple(
        LackedPatch(
            _short(each.name),
            _short(each.version),
            _short(each.kb_id),
            _short(next(iter(each.classifications), "")),
            is_critical_or_security(each),
        )
        for each in most_important_first(patches)
        if not each.hidden
    )


def to_columns(patches: Sequence[LackedPatch] | None, omitted: int = 0) -> dict[str, bytes | int]:
    """Returns the columns that keep the patches: none where it is not known what the VM lacks.

    What does not fit is left out, the least important first, and counted with those that were left
    out before, `omitted`.
    """
    if patches is None:
        return {}
    kept = list(patches)
    packed = _pack(kept)
    while len(packed) > _PACKED_BYTES:
        kept = kept[: len(kept) * 3 // 4]
        packed = _pack(kept)
    columns: dict[str, bytes | int] = dict(zip(COLUMNS, parts_of(packed), strict=False))
    omitted += len(patches) - len(kept)
    return columns | ({OMITTED: omitted} if omitted else {})


def from_columns(row: Mapping[str, Any]) -> tuple[LackedPatch, ...] | None:
    """Returns the patches that the columns keep.

    None where there are none, or they can't be read: they are for people's questions alone.
    """
    packed = b"".join(row[name] for name in COLUMNS if isinstance(row.get(name), bytes))
    if not packed:
        return None
    try:
        return tuple(map(_patch, json.loads(zlib.decompress(packed))))
    except (ValueError, TypeError, RecursionError, zlib.error):
        return None


def parts_of(packed: bytes) -> list[bytes]:
    """Returns what each column holds of something that may be larger than one."""
    return [packed[at : at + COLUMN_BYTES] for at in range(0, len(packed), COLUMN_BYTES)]


def _patch(fields: object) -> LackedPatch:
    match fields:
        case [str(name), str(version), str(kb), str(classification), bool(important)]:
            return LackedPatch(name, version, kb, classification, important)
    raise ValueError("no patch as it is packed")


def _pack(patches: Sequence[LackedPatch]) -> bytes:
    fields = [
        [each.name, each.version, each.kb, each.classification, each.is_important]
        for each in patches
    ]
    return zlib.compress(json.dumps(fields, separators=(",", ":")).encode())


def _short(text: str | None) -> str:
    return (text or "")[:_MAX_TEXT]
