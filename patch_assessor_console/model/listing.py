"""The fleet as pages ask for it again and again; what does not change between is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from patch_assessor_console.model.fleet import (
    Column,
    Query,
    Row,
    Show,
    arrange,
    matching,
    tag_names,
    tiles,
    values_of,
)


@dataclass(frozen=True)
class Listing:
    """The rows of a fleet, and what follows from all of them. A key press only filters them.

    Attributes:
        rows: every VM.
    """

    rows: tuple[Row, ...]
    _orders: dict[tuple[Column, bool], Sequence[Row]] = field(default_factory=dict, init=False)

    def select(self, query: Query) -> Sequence[Row]:
        """Returns the rows that a query asks for, in its order.

        All rows are sorted once for each column and direction, and filtered in that order: equal
        ones keep theirs, so that is the order of the filtered ones.
        """
        by = (query.sort, query.descending)
        if by not in self._orders:
            self._orders[by] = arrange(self.rows, query)
        return matching(self._orders[by], query)

    @cached_property
    def tiles(self) -> Mapping[Show, int]:
        """How many VMs each tile counts."""
        return tiles(self.rows)

    @cached_property
    def tag_names(self) -> Sequence[str]:
        """The names of all tags, in their order."""
        return tag_names(self.rows)

    @cached_property
    def subscriptions(self) -> Sequence[str]:
        """The subscriptions to choose from."""
        return values_of(self.rows, lambda vm: vm.subscription)

    @cached_property
    def systems(self) -> Sequence[str]:
        """The operating systems to choose from."""
        return values_of(self.rows, lambda vm: vm.system)
