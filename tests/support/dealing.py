"""The order of a run's tests: each process begins with its share of those that wait."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def deal(
    items: Sequence[T],
    processes: int,
    group_of: Callable[[T], str | None],
    waits: Callable[[T], bool],
) -> list[T]:
    """Returns the items so that each process begins with its share of those that wait.

    What waits overlaps with what computes then, and no long test is left for the end. xdist's
    `worksteal` gives each process one piece of the list, of about the same size, in its order.

    Args:
        items: in an order that is kept where nothing else decides.
        processes: how many share them.
        group_of: names the group of those that have to stay together; None: it has none.
        waits: whether it waits more than it computes.
    """
    units: dict[object, list[T]] = {}
    rest: list[T] = []
    for place, item in enumerate(items):
        group = group_of(item)
        if group is not None:
            units.setdefault(group, []).append(item)
        elif waits(item):
            units[place] = [item]
        else:
            rest.append(item)
    shares: list[list[T]] = [[] for _ in range(processes)]
    for unit in sorted(units.values(), key=len, reverse=True):
        min(shares, key=len).extend(unit)
    order: list[T] = []
    for number, share in enumerate(shares):
        left = len(items) - len(order)
        size = left // (processes - number)
        filled = max(0, size - len(share))
        order += [*share, *rest[:filled]]
        del rest[:filled]
    return order + rest
