"""Fleet: tiles, and a table of every VM."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import urlencode

from nicegui.elements.mixins.text_element import TextElement

from patch_assessor_cli.alert_rules import ALERT_RULES
from patch_assessor_console.model.address import to_address
from patch_assessor_console.model.fleet import (
    HEADINGS,
    Column,
    Group,
    Query,
    Row,
    Show,
    group,
)
from patch_assessor_console.model.listing import Listing
from patch_assessor_console.model.vm import VmState
from patch_assessor_console.page.elements import (
    PAGE_ROWS,
    Cell,
    Choice,
    DataTable,
    Head,
    Line,
    button,
    change,
    go_here,
    page_count,
    search_field,
    tag,
)
from patch_assessor_console.page.shell import Context, age_cell, keep_fresh, shell

TONES: Final = {
    VmState.NOT_ASSESSED: "idle",
    VmState.STALE: "idle",
    VmState.FAILING: "warn",
    VmState.LACKS_PATCHES: "bad",
    VmState.REBOOT_PENDING: "warn",
    VmState.NOT_COUNTED: "idle",
    VmState.UP_TO_DATE: "good",
}
_RULES: Final = {rule.name: rule.column.removesuffix("Alert").lower() for rule in ALERT_RULES}
"""In a word, which is the one that its columns in the posture table begin with."""
_HEADS: Final = (
    Head(Column.NAME, "VM", "9rem", sortable=True),
    Head(Column.SUBSCRIPTION, "Subscription", "7.2rem", sortable=True),
    Head(Column.GROUP, "Resource group", "6.8rem", sortable=True),
    Head(Column.SYSTEM, "System", "8.6rem", sortable=True),
    Head(Column.CRITICAL, "Critical and security", "5.3rem", number=True, sortable=True),
    Head(Column.OTHER, "Other", "4rem", number=True, sortable=True),
    Head(Column.REBOOT, "Reboot pending", "5.2rem", sortable=True),
    Head(Column.ASSESSED, "Assessed", "5.9rem", sortable=True),
    Head(Column.STATE, "State", "8.3rem", sortable=True),
    Head(Column.ALERTS, "Alerts", "5.2rem", sortable=True),
    Head(Column.TAGS, "Tags", "", sortable=True),
)
_GROUP_HEADS: Final = (
    Head("name", "Group"),
    *(
        Head(show, HEADINGS[show].capitalize(), number=True)
        for show in Show
        if show is not Show.ALL
    ),
    Head("all", "VMs", number=True),
)


def fleet_page(context: Context, query: Query, by: str) -> None:
    """Shows the fleet.

    Args:
        context: What pages work with.
        query: What the address asks for.
        by: What it groups by; empty for nothing.
    """
    with shell(context, "Fleet"):
        tag("h1", "Fleet")
        _FleetView(context, query, by)


class _FleetView:
    def __init__(self, context: Context, query: Query, by: str) -> None:
        self._context = context
        self._query = query
        self._by = by
        self._page = 0
        self._picked: set[str] = set()
        self._tiles = _Tiles(self._show_tile)
        with tag("div", classes="toolbar", role="search"):
            search_field("Search", query.text, lambda text: self._ask(text=text))
            self._subscription = Choice(
                "Subscription", {}, "", lambda value: self._ask(subscription=value)
            )
            self._system = Choice("System", {}, "", lambda value: self._ask(system=value))
            self._tag = Choice("Tag", {}, "", lambda value: self._ask(tag=value))
            self._group = Choice("Group by", {}, "", self._group_by)
            with tag("div", classes="buttons"):
                self._csv = tag("a", "CSV", "button", href="/fleet.csv", download="fleet.csv")
                tag("a", "Clear", "button", href="/")
                self._act = button("Assess selected", self._to_act)
        self._patch = tag("p", classes="note")
        self._groups_box = tag("div", classes="groups")
        with self._groups_box:
            self._groups = DataTable("Groups", _GROUP_HEADS, nothing="No VM matches.")
        self._table = DataTable(
            "VMs", _HEADS, nothing="No VM to show.", least="74rem", selectable=True
        )
        self._table.on_order(self._order)
        self._table.on_turn(self._turn)
        self._table.on_pick(self._pick)
        keep_fresh(context, self._show)

    def _ask(self, **changes: str) -> None:
        self._query = replace(self._query, **changes)  # type: ignore[arg-type] # only texts' fields
        self._again()

    def _show_tile(self, show: Show) -> None:
        self._query = replace(self._query, show=show)
        self._again()

    def _order(self, order: str) -> None:
        column = Column(order.removeprefix("-"))
        self._query = replace(self._query, sort=column, descending=order.startswith("-"))
        self._again()

    def _group_by(self, by: str) -> None:
        self._by = by
        self._again()

    def _turn(self, page: int) -> None:
        self._page = page
        self._show()

    def _pick(self, vm_id: str, is_picked: bool) -> None:  # noqa: FBT001 - a checkbox
        (self._picked.add if is_picked else self._picked.discard)(vm_id)
        self._show_selection()

    def _again(self) -> None:
        self._page = 0
        self._show()
        go_here(to_address(self._query, by=self._by) or "/")

    def _to_act(self) -> None:
        if self._picked:
            address = urlencode([("vm", each) for each in sorted(self._picked)])
            self._table.client.open(f"/act?{address}")

    def _show(self) -> None:
        listing, query, now = self._context.memory.listing(), self._query, self._context.now()
        found = listing.select(query)
        self._page = min(self._page, page_count(len(found)) - 1)
        first = self._page * PAGE_ROWS
        self._table.show(
            [_line(row, now) for row in found[first : first + PAGE_ROWS]],
            total=len(found),
            page=self._page,
        )
        self._show_selection()
        self._tiles.show(listing.tiles, query)
        change(self._csv, href=f"/fleet.csv{to_address(query)}")
        self._show_choices(listing)
        self._groups_box.set_visibility(bool(self._by))
        if self._by:
            self._groups.show([self._group_line(each) for each in group(found, self._by)])
        self._patch.set_text(f"Only VMs that lack {query.patch}." if query.patch else "")

    def _show_selection(self) -> None:
        query = self._query
        self._table.show_order(sort=query.sort, descending=query.descending, selected=self._picked)
        self._act.set_text(f"Assess selected ({len(self._picked)})")
        change(self._act, disabled=not self._picked)

    def _show_choices(self, listing: Listing) -> None:
        query, names = self._query, listing.tag_names
        subscriptions = _options(listing.subscriptions, query.subscription)
        self._subscription.show(subscriptions, query.subscription)
        self._system.show(_options(listing.systems, query.system), query.system)
        self._tag.show(_options(names, query.tag), query.tag)
        groupings = {"": "nothing", "subscription": "subscription", "system": "system"}
        self._group.show(groupings | {f"tag:{each}": f"tag {each}" for each in names}, self._by)

    def _group_line(self, each: Group) -> Line:
        kind, _, name = self._by.partition(":")
        match kind:
            case "system":
                query = replace(self._query, system=each.name)
            case "tag":
                query = replace(self._query, tag=f"{name}={each.name}")
            case _:
                query = replace(self._query, subscription=each.name)
        first = Cell(each.name, href=to_address(query)) if each.name else Cell("none")
        counts = (Cell(str(each.counts[show])) for show in Show if show is not Show.ALL)
        return Line(each.name, each.name, (first, *counts, Cell(str(each.counts[Show.ALL]))))


class _Tiles:
    """What the fleet comes to; each tile shows its VMs."""

    def __init__(self, handle: Callable[[Show], None]) -> None:
        self._tiles: dict[Show, tuple[TextElement, TextElement]] = {}
        with tag("ul", classes="tiles", aria_label="The fleet in numbers"):
            for show in Show:
                with tag("li"), tag("a", classes=f"tile tile-{show}") as tile:
                    count = tag("strong", "0")
                    tag("span", HEADINGS[show])
                tile.on("click", partial(_no_arguments, handle, show), js_handler=_PLAIN_CLICK)
                self._tiles[show] = (tile, count)

    def show(self, counts: Mapping[Show, int], query: Query) -> None:
        for show, (tile, count) in self._tiles.items():
            count.set_text(f"{counts[show]:,}")
            change(
                tile,
                href=to_address(replace(query, show=show)) or "/",
                aria_current="true" if show is query.show else "false",
            )


_PLAIN_CLICK: Final = (
    "(e) => { if (e.ctrlKey || e.metaKey || e.shiftKey) return; e.preventDefault(); emit(); }"
)


def _no_arguments(handle: Callable[[Show], None], show: Show, _: object) -> None:
    handle(show)


def _options(values: Sequence[str], chosen: str) -> dict[str, str]:
    more = [chosen] if chosen and chosen not in values else []
    return {"": "all"} | {each: each for each in (*values, *more)}


def _line(row: Row, now: datetime) -> Line:
    vm = row.vm
    tags = ", ".join(f"{name}={value}" for name, value in vm.tags.items())
    reboot = Cell("yes") if vm.reboot_pending else Cell("")
    return Line(
        vm.vm_id,
        vm.name,
        (
            Cell(vm.name, href=f"/vm?{urlencode({'id': vm.vm_id})}"),
            Cell(vm.subscription[:8], title=vm.subscription),
            Cell(vm.group),
            Cell(vm.system),
            _number(vm.critical),
            _number(vm.other),
            age_cell(vm.reboot_since, now) if vm.reboot_since else reboot,
            age_cell(vm.assessed_at, now, "never"),
            Cell(row.state, tone=TONES[row.state], title=vm.attempt_reason),
            Cell(", ".join(_RULES.get(each, each) for each in vm.alerts)),
            Cell(tags, title=tags),
        ),
    )


def _number(count: int | None) -> Cell:
    return Cell("" if count is None else f"{count:,}")
