"""Owner tags: the VM's tags that ALERT_TAGS names, as subscriptions' filters and people get them.

Names are compared as ARM compares them, without regard to case; a VM that lacks a tag has no such
property, which a filter calls NULL.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from assessor.tag_names import property_name
from dotnet_text import ignoring_case

MAX_VALUE: Final = 256
"""ARM's own limit for a value; what is longer is cut."""
_REMEMBERED_BYTES: Final = 8 * 1024
_MOST_BYTES: Final = 12
"""What a character takes in JSON at most: two escapes of UTF-16's units."""
_AROUND_BYTES: Final = 8
"""More than the marks around a name and its value."""


@dataclass(frozen=True, slots=True)
class OwnerTags:
    """Which tags are carried."""

    names: tuple[str, ...] = ()

    def of(self, tags: Mapping[str, str] | None) -> dict[str, str]:
        """Returns the carried ones of a VM's tags, by the names that the setting has."""
        mine = {ignoring_case(name): value for name, value in (tags or {}).items()}
        found = {name: mine.get(ignoring_case(name)) for name in self.names}
        return {name: value[:MAX_VALUE] for name, value in found.items() if value is not None}

    def properties(self, tags: Mapping[str, str] | None) -> dict[str, str]:
        """Returns the same as application properties."""
        return {property_name(name): value for name, value in self.of(tags).items()}


NO_TAGS: Final = OwnerTags()
"""Where ALERT_TAGS names none."""


def remembered(tags: Mapping[str, str] | None) -> dict[str, str] | None:
    """Returns a VM's tags as far as they are remembered and fit into an alert: 8 KiB of JSON.

    The longest ones are left out first. None where the VM's tags are not known.
    """
    if tags is None:
        return None
    most = sum(_AROUND_BYTES + _MOST_BYTES * (len(name) + len(tags[name])) for name in tags)
    if most <= _REMEMBERED_BYTES:
        return dict(tags)
    sizes = {name: len(json.dumps({name: value})) for name, value in tags.items()}
    room, kept = _REMEMBERED_BYTES, set()
    for name in sorted(sizes, key=lambda each: (sizes[each], each)):
        room -= sizes[name]
        if room < 0:
            break
        kept.add(name)
    return {name: value for name, value in tags.items() if name in kept}
