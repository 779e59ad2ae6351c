"""The order of a run's tests: each process begins with its share of those that take long."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def deal(
    items: Sequence[T],
    processes: int,
    group_of: Callable[[T], str | None],
    seconds_of: Callable[[T], float],
) -> list[T]:
    """Returns the items so that each process begins with its share of those that take long.

    What waits overlaps with what computes then, and no long test is left for the end: each process
    begins with its longest. xdist's `worksteal` gives each process one piece of the list, of about
    the same size, in its order.

    Args:
        items: in an order that is kept where nothing else decides.
        processes: how many share them.
        group_of: names the group of those that have to stay together; None: it has none.
        seconds_of: how long it is expected to take; 0: next to nothing.
    """
    units: dict[object, list[T]] = {}
    rest: list[T] = []
    for place, item in enumerate(items):
        group = group_of(item)
        if group is not None:
            units.setdefault(group, []).append(item)
        elif seconds_of(item):
            units[place] = [item]
        else:
            rest.append(item)
    shares: list[list[T]] = [[] for _ in range(processes)]
    taken = [0.0] * processes
    weighed = [(sum(map(seconds_of, unit)), unit) for unit in units.values()]
    for seconds, unit in sorted(weighed, key=lambda each: each[0], reverse=True):
        least = taken.index(min(taken))
        taken[least] += seconds
        shares[least] += unit
    order: list[T] = []
    for number, share in enumerate(shares):
        left = len(items) - len(order)
        size = left // (processes - number)
        filled = max(0, size - len(share))
        order += [*share, *rest[:filled]]
        del rest[:filled]
    return order + rest
