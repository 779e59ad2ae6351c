"""Patches: each one with how many VMs lack it, and since when."""

from urllib.parse import urlencode

from patch_assessor_console.model.patch import Patch
from patch_assessor_console.model.patches import LackedPatch, lacked_patches, search_patches
from patch_assessor_console.page.elements import (
    PAGE_ROWS,
    Cell,
    DataTable,
    Head,
    Line,
    go_here,
    page_count,
    search_field,
    tag,
)
from patch_assessor_console.page.shell import Context, age_cell, keep_fresh, shell

_HEADS = (
    Head("patch", "Patch", "24rem"),
    Head("version", "KB or version", "15rem"),
    Head("class", "Class", "10rem"),
    Head("vms", "VMs that lack it", "5.5rem", number=True),
    Head("since", "Since", "5rem"),
    Head("reboot", "Reboot", "12rem"),
)


def patches_page(context: Context, text: str) -> None:
    """Shows the patches; `text` is what the address searches for."""
    with shell(context, "Patches"):
        tag("h1", "Patches")
        _PatchesView(context, text)


class _PatchesView:
    def __init__(self, context: Context, text: str) -> None:
        self._context = context
        self._text = text
        self._page = 0
        self._shown: tuple[int, list[LackedPatch]] | None = None
        self._note = tag("p", classes="note")
        with tag("div", classes="toolbar", role="search"):
            search_field("Search", text, self._search)
        self._table = DataTable(
            "Patches", _HEADS, nothing="No patch that a VM is known to lack.", least="60rem"
        )
        self._table.on_turn(self._turn)
        keep_fresh(context, self._show)

    def _search(self, text: str) -> None:
        self._text, self._page = text, 0
        self._show()
        go_here(f"/patches?{urlencode({'q': text})}" if text else "/patches")

    def _turn(self, page: int) -> None:
        self._page = page
        self._show()

    def _show(self) -> None:
        memory, now = self._context.memory, self._context.now()
        rows = memory.rows()
        if self._shown is None or self._shown[0] != memory.fleet_version:
            lacked = lacked_patches((row.vm for row in rows), memory.first_seen)
            self._shown = (memory.fleet_version, lacked)
        found = search_patches(self._shown[1], self._text)
        self._page = min(self._page, page_count(len(found)) - 1)
        first = self._page * PAGE_ROWS
        lines = [
            Line(
                each.patch.key,
                each.patch.name,
                (
                    Cell(each.patch.name),
                    Cell(each.patch.kb or each.patch.version),
                    class_cell(each.patch),
                    Cell(f"{each.vms:,}", href=f"/?{urlencode({'patch': each.patch.key})}"),
                    age_cell(each.since, now),
                    Cell(each.patch.reboot),
                ),
            )
            for each in found[first : first + PAGE_ROWS]
        ]
        self._table.show(lines, total=len(found), page=self._page)
        listed = sum(row.vm.patches is not None for row in rows)
        self._note.set_text(f"From the lists of {listed:,} of {len(rows):,} VMs.")


def class_cell(patch: Patch) -> Cell:
    """Returns a cell with what a patch is said to be."""
    return Cell(", ".join(patch.classifications), tone="bad" if patch.is_grave else "idle")
