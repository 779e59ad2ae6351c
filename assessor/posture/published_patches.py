"""PublishedPatches: what an open alert has published, so that it speaks again only for more.

An assessment may name its critical and security patches, or only count them (availablePatches can
be null while the count is above zero: Azure/azure-powershell#25123). Both are published: patches
by name, and a number of patches whose names are not known yet. Names that come later for patches
that were counted before are no growth, and neither is a number that was reached before.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

MAX_NAMED: Final = 8192
"""Patches that are remembered after they have left the list, newest first to stay."""


@dataclass(frozen=True, slots=True)
class PublishedPatches:
    """What subscribers have heard of while the alert is open.

    Attributes:
        named: digests of the patches that were in a list, the latest last.
        unnamed: how many more were published by number only, and may be there still.
        most: the most patches that an assessment has counted or listed.
    """

    named: tuple[str, ...] = ()
    unnamed: int = 0
    most: int = 0

    def growth(self, count: int | None, listed: Collection[str] | None, *, whole: bool) -> "Growth":
        """Returns what an assessment adds.

        Args:
            count: the critical and security patches by ARM's count; None if it did not tell.
            listed: digests of those in its list; None if there is no list.
            whole: whether the list can be relied on to be complete.
        """
        names, counted = tuple(dict.fromkeys(listed or ())), count or 0
        known, present = frozenset(self.named), frozenset(names)
        new = tuple(name for name in names if name not in known)
        left = tuple(name for name in self.named if name not in present)
        # Of the patches that are counted and not in the list, some may be those that left it.
        hidden = max(0, counted - len(names) - len(left))
        # A count that was reached before may be the same patches again: it takes a higher one.
        grew = len(new) > self.unnamed or (counted > self.most and len(new) + hidden > self.unnamed)
        to_be_named = max(0, self.unnamed - len(new))
        if grew:
            to_be_named = max(to_be_named, hidden)
        return Growth(
            new=new,
            grew=grew,
            published=PublishedPatches(
                named=left[max(0, len(left) + len(names) - MAX_NAMED) :] + names,
                unnamed=min(to_be_named, hidden) if whole and listed is not None else to_be_named,
                most=max(self.most, counted, len(names)),
            ),
        )


@dataclass(frozen=True, slots=True)
class Growth:
    """What an assessment adds to what was published.

    Attributes:
        new: digests of the patches that were in no list before.
        grew: whether there are patches that nobody has heard of.
        published: what has been published once this is.
    """

    new: tuple[str, ...]
    grew: bool
    published: PublishedPatches
