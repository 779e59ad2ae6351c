"""A patch that a VM lacks, as an outcome lists it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from plain_text import one_line

GRAVE_CLASSIFICATIONS: Final = frozenset(
    {"critical", "security", "security-esm", "criticalupdates", "securityupdates"}
)
"""What counts as critical or security, in lower case and without spaces, as in the app."""
_TRUNCATED: Final = "truncated_patch_list_id"
_ADDITIONAL: Final = re.compile(r"\s*([0-9]{1,6}) additional", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch, as plain text.

    Attributes:
        key: What tells it from others on any VM: its KB on Windows, else its name and version.
        name: Its name.
        kb: The number of its knowledge base article; empty without one.
        version: Its version; empty without one.
        classifications: What it is said to be.
        reboot: What installing it means for a reboot; empty where nobody said.
        published: When it was published; empty where nobody said.
        is_grave: Whether it counts as critical or security.
    """

    key: str
    name: str
    kb: str
    version: str
    classifications: tuple[str, ...]
    reboot: str
    published: str
    is_grave: bool

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> "Patch":
        """Returns the patch of one entry of `availablePatches`."""
        listed = fields.get("classifications")
        classes = tuple(
            one_line(str(each)) for each in (listed if isinstance(listed, list) else [])
        )
        name, kb, version = (_text(fields, each) for each in ("name", "kbId", "version"))
        article = _article(kb)
        return cls(
            key=article or f"{name} {version}".strip(),
            name=name,
            kb=article,
            version=version,
            classifications=classes,
            reboot=_text(fields, "rebootBehavior"),
            published=_text(fields, "publishedDate")[:10],
            is_grave=any(_folded(each) in GRAVE_CLASSIFICATIONS for each in classes),
        )

    @classmethod
    def remembered(
        cls, *, name: str, kb: str, version: str, classification: str, is_grave: bool
    ) -> "Patch":
        """Returns the patch as the posture table keeps it; it tells of no reboot and no date."""
        name, article, version = one_line(name), _article(one_line(kb)), one_line(version)
        return cls(
            key=article or f"{name} {version}".strip(),
            name=name,
            kb=article,
            version=version,
            classifications=(one_line(classification),) if classification else (),
            reboot="",
            published="",
            is_grave=is_grave,
        )


def patches_of(listed: object) -> tuple[tuple[Patch, ...] | None, int]:
    """Returns the patches of `availablePatches`, the grave ones first, and how many it leaves out.

    None for the patches where there is no list. The Linux extension cuts its list at 126 KB and
    puts records, "N additional updates of classification C reported", in place of the rest.
    """
    if not isinstance(listed, list):
        return None, 0
    entries = [each for each in listed if isinstance(each, Mapping)]
    hidden = [each for each in entries if _text(each, "patchId").lower() == _TRUNCATED]
    patches = (Patch.of(each) for each in entries if each not in hidden)
    ordered = sorted(patches, key=lambda each: (not each.is_grave, each.name.lower()))
    return tuple(ordered), sum(_stands_for(_text(each, "name")) for each in hidden)


def _stands_for(name: str) -> int:
    match = _ADDITIONAL.match(name)
    return max(1, int(match[1])) if match else 1


def _article(kb: str) -> str:
    number = kb.upper().removeprefix("KB")
    return f"KB{number}" if number else ""


def _folded(classification: str) -> str:
    return "".join(classification.split()).lower()


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    return "" if value is None else one_line(str(value))
