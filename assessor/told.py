"""What an open alert has told of, so that it speaks again only when there is more.

An assessment may name its critical and security patches, or only count them (availablePatches can
be null while the count is above zero: Azure/azure-powershell#25123). Both are told of: patches by
name, and a number of patches whose names are not known yet. Names that come later for patches
that were counted before are no growth.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

MAX_NAMED: Final = 8192
"""Patches that are remembered after they have left the list, newest first to stay."""


@dataclass(frozen=True, slots=True)
class Told:
    """What subscribers have heard of while the alert is open.

    Attributes:
        named: digests of the patches that were in a list, the latest last.
        unnamed: how many more were told of by number only.
    """

    named: tuple[str, ...] = ()
    unnamed: int = 0

    def growth(self, count: int | None, listed: Collection[str] | None, *, whole: bool) -> "Growth":
        """Returns what an assessment adds.

        Args:
            count: the critical and security patches by ARM's count; None if it did not tell.
            listed: digests of those in its list; None if there is no list.
            whole: whether the list can be relied on to be complete.
        """
        names = tuple(dict.fromkeys(listed or ()))
        known = frozenset(self.named)
        new = tuple(name for name in names if name not in known)
        left = tuple(name for name in self.named if name not in frozenset(names))
        # Of the patches that are counted and not in the list, those may be ones that left it.
        fresh = max(0, (count or 0) - len(names) - len(left))
        complete = whole and listed is not None
        return Growth(
            new=new,
            grew=len(new) + fresh > self.unnamed,
            told=Told(
                named=left[max(0, len(left) + len(names) - MAX_NAMED) :] + names,
                unnamed=fresh if complete else max(self.unnamed - len(new), fresh),
            ),
        )


@dataclass(frozen=True, slots=True)
class Growth:
    """What an assessment adds to what was told.

    Attributes:
        new: digests of the patches that were in no list before.
        grew: whether there are patches that nobody has heard of.
        told: what has been told of once this is.
    """

    new: tuple[str, ...]
    grew: bool
    told: Told
