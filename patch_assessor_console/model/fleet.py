"""The fleet as a table: filtered, sorted, counted and grouped."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from dotnet_text import ignoring_case
from patch_assessor_console.model.vm import Vm, VmState, state_of


class Show(StrEnum):
    """What a tile counts; a VM may be counted by several."""

    ALL = "all"
    LACKING = "lacking"
    REBOOT = "reboot"
    NOT_ASSESSED = "not-assessed"
    STALE = "stale"
    FAILING = "failing"
    UP_TO_DATE = "up-to-date"


HEADINGS: Final[Mapping[Show, str]] = {
    Show.ALL: "VMs",
    Show.LACKING: "lack critical or security patches",
    Show.REBOOT: "reboot pending",
    Show.NOT_ASSESSED: "not assessed",
    Show.STALE: "stale",
    Show.FAILING: "failing",
    Show.UP_TO_DATE: "up to date",
}
_COUNTS: Final[Mapping[Show, Callable[["Row"], bool]]] = {
    Show.ALL: lambda _: True,
    Show.LACKING: lambda row: bool(row.vm.critical),
    Show.REBOOT: lambda row: bool(row.vm.reboot_pending),
    Show.NOT_ASSESSED: lambda row: row.state is VmState.NOT_ASSESSED,
    Show.STALE: lambda row: row.state is VmState.STALE,
    Show.FAILING: lambda row: row.vm.attempted_at is not None,
    Show.UP_TO_DATE: lambda row: row.state is VmState.UP_TO_DATE,
}


@dataclass(frozen=True, slots=True)
class Row:
    """A VM with what is asked of it again and again.

    Attributes:
        vm: The VM.
        state: The state that it is in.
        searched: What a search looks in, in lower case.
    """

    vm: Vm
    state: VmState
    searched: str


class Column(StrEnum):
    """What the table can be sorted by."""

    NAME = "name"
    SUBSCRIPTION = "subscription"
    GROUP = "group"
    SYSTEM = "system"
    CRITICAL = "critical"
    OTHER = "other"
    REBOOT = "reboot"
    ASSESSED = "assessed"
    STATE = "state"
    ALERTS = "alerts"
    TAGS = "tags"


_STATES: Final = list(VmState)
_SORT_KEYS: Final[Mapping[Column, Callable[[Row], Any]]] = {
    Column.NAME: lambda row: row.vm.name.lower(),
    Column.SUBSCRIPTION: lambda row: row.vm.subscription,
    Column.GROUP: lambda row: row.vm.group.lower(),
    Column.SYSTEM: lambda row: row.vm.system.lower() or None,
    Column.CRITICAL: lambda row: row.vm.critical,
    Column.OTHER: lambda row: row.vm.other,
    Column.REBOOT: lambda row: row.vm.reboot_since,
    Column.ASSESSED: lambda row: row.vm.assessed_at,
    Column.STATE: lambda row: _STATES.index(row.state),
    Column.ALERTS: lambda row: len(row.vm.alerts),
    Column.TAGS: lambda row: sorted(row.vm.tags.items()) or None,
}


@dataclass(frozen=True, slots=True)
class Query:
    """Which VMs, in which order.

    Attributes:
        text: Each of its words stands in the name, group, subscription, system or tags.
        show: Only those that this tile counts.
        subscription: Only this subscription's; all of them if empty.
        system: Only this operating system's.
        tag: Only those with this tag: `name`, or `name=value`.
        patch: Only those that lack the patch of this key.
        sort: The column to sort by.
        descending: Whether the largest comes first; what is not known comes last either way.
    """

    text: str = ""
    show: Show = Show.ALL
    subscription: str = ""
    system: str = ""
    tag: str = ""
    patch: str = ""
    sort: Column = Column.NAME
    descending: bool = False


_NO_ROWS: Final[Mapping[str, Row]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Group:
    """VMs summed up that have something in common.

    Attributes:
        name: What they have in common; empty for those without it.
        counts: How many of them each tile counts.
        critical: Their critical and security patches, all together.
    """

    name: str
    counts: Mapping[Show, int]
    critical: int


def rows_of(
    vms: Iterable[Vm],
    now: datetime,
    stale_after: timedelta,
    known: Mapping[str, Row] = _NO_ROWS,
) -> dict[str, Row]:
    """Returns the VMs as rows, by their keys.

    Args:
        vms: The fleet.
        now: The time.
        stale_after: The age from which an assessment says nothing of today.
        known: The rows so far: those of VMs that have not changed are used again.
    """
    rows = {}
    for vm in vms:
        state, before = state_of(vm, now, stale_after), known.get(vm.key)
        if before is None or before.vm is not vm:
            before = Row(vm, state, _searched(vm))
        elif before.state is not state:
            before = Row(vm, state, before.searched)
        rows[vm.key] = before
    return rows


def select(rows: Iterable[Row], query: Query) -> list[Row]:
    """Returns the rows that a query asks for, in its order."""
    return arrange(matching(rows, query), query)


def matching(rows: Iterable[Row], query: Query) -> list[Row]:
    """Returns the rows that a query asks for, in the order that they have."""
    found = list(rows)
    for is_asked_for in _filters(query):
        found = list(filter(is_asked_for, found))
    return found


def arrange(rows: Iterable[Row], query: Query) -> list[Row]:
    """Returns the rows in the order of a query; equal ones keep theirs."""
    key = _SORT_KEYS[query.sort]
    known: list[tuple[Any, Row]] = []
    unknown: list[Row] = []
    for row in rows:
        value = key(row)
        if value is None:
            unknown.append(row)
        else:
            known.append((value, row))
    known.sort(key=lambda pair: pair[0], reverse=query.descending)
    return [row for _, row in known] + unknown


def tiles(rows: Sequence[Row]) -> dict[Show, int]:
    """Returns how many of the rows each tile counts."""
    return {show: sum(map(counts, rows)) for show, counts in _COUNTS.items()}


def group(rows: Iterable[Row], by: str) -> list[Group]:
    """Returns the rows summed up, the group with the most grave patches first.

    Args:
        rows: What to sum up.
        by: `subscription`, `system`, or `tag:` and the name of a tag.
    """
    of = _grouping(by)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(of(row.vm), []).append(row)
    summed = [
        Group(name, tiles(each), sum(row.vm.critical or 0 for row in each))
        for name, each in groups.items()
    ]
    return sorted(summed, key=lambda each: (-each.critical, each.name))


def tag_names(rows: Iterable[Row]) -> list[str]:
    """Returns the names of all tags, as they were first written, in their order."""
    names: dict[str, str] = {}
    for row in rows:
        for name in row.vm.tags:
            names.setdefault(name.lower(), name)
    return [names[each] for each in sorted(names)]


def values_of(rows: Iterable[Row], of: Callable[[Vm], str]) -> list[str]:
    """Returns what there is to choose from: each value once, in order, without the empty one."""
    return sorted({of(row.vm) for row in rows} - {""})


def _grouping(by: str) -> Callable[[Vm], str]:
    kind, _, tag = by.partition(":")
    if kind == "tag":
        return lambda vm: _tag(vm, tag) or ""
    if kind == "system":
        return lambda vm: vm.system
    return lambda vm: vm.subscription


def _filters(query: Query) -> Iterator[Callable[[Row], bool]]:
    """Yields what each row is asked, of that only what the query asks: rows are many."""
    for word in query.text.lower().split():
        yield lambda row, word=word: word in row.searched  # type: ignore[misc] # a default binds it
    if query.show is not Show.ALL:
        yield _COUNTS[query.show]
    if query.system:
        yield lambda row: row.vm.system == query.system
    if query.subscription:
        wanted = query.subscription.lower()
        yield lambda row: row.vm.subscription == wanted
    if query.tag:
        yield lambda row: _has_tag(row.vm, query.tag)
    if query.patch:
        yield lambda row: any(each.key == query.patch for each in row.vm.patches or ())


def _has_tag(vm: Vm, wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    found = _tag(vm, name)
    return found is not None and (not equals or found == value)


def _tag(vm: Vm, name: str) -> str | None:
    """Returns a tag's value; ARM does not look at the case of its name."""
    wanted = ignoring_case(name)
    return next((text for each, text in vm.tags.items() if ignoring_case(each) == wanted), None)


def _searched(vm: Vm) -> str:
    tags = (f"{name}={value}" for name, value in vm.tags.items())
    return "\n".join((vm.name, vm.group, vm.subscription, vm.system, *tags)).lower()
