"""The elements that pages are made of: plain HTML, with text as text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments

from patch_assessor_console.model.trace import Bar


@dataclass(frozen=True, slots=True)
class Head:
    """A column of a table.

    Attributes:
        key: What the table is sorted by.
        label: Its heading.
        width: In CSS's words; empty leaves it to the browser.
        number: Whether its cells are numbers.
        sortable: Whether the table can be sorted by it.
    """

    key: str
    label: str
    width: str = ""
    number: bool = False
    sortable: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What stands in it.
        href: Where it leads to; empty for nowhere.
        title: What is shown to whoever points at it.
        tone: `bad`, `warn`, `good`, `idle`: draws it as a pill of that colour.
        share: From 0 to 1: draws a gauge; None for none.
    """

    text: str
    href: str = ""
    title: str = ""
    tone: str = ""
    share: float | None = None

    def to_props(self) -> dict[str, Any]:
        """Returns the cell as the browser gets it, without what it has not."""
        fields = {"href": self.href, "title": self.title, "tone": self.tone}
        shown: dict[str, Any] = {name: text for name, text in fields.items() if text}
        gauge = {} if self.share is None else {"share": round(self.share, 4)}
        return {"text": self.text, **shown, **gauge}


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table: what it is told apart by, what it is called, and its cells."""

    id: str
    label: str
    cells: tuple[Cell, ...]


class DataTable(Element, component="data_table.js"):
    """A table that the server sorts, and turns the pages of."""

    def __init__(
        self,
        caption: str,
        columns: Sequence[Head],
        *,
        nothing: str,
        least: str = "0",
        selectable: bool = False,
    ) -> None:
        """Shows an empty table.

        Args:
            caption: What it is a table of.
            columns: Its columns.
            nothing: What it says while it has no rows.
            least: How wide it is at the least where there is room for a table, in CSS's words.
            selectable: Whether rows can be selected.
        """
        super().__init__()
        self.props.update(
            {
                "caption": caption,
                "nothing": nothing,
                "columns": [
                    {
                        "key": each.key,
                        "label": each.label,
                        "width": each.width,
                        "number": each.number,
                        "sortable": each.sortable,
                    }
                    for each in columns
                ],
                "least": least,
                "selectable": selectable,
                "selected": [],
                "sort": "",
                "descending": False,
            }
        )
        self.show([])

    def show(self, lines: Iterable[Line], *, total: int | None = None, page: int = 0) -> None:
        """Shows these rows.

        Args:
            lines: The rows of the page.
            total: How many there are on all pages; so many as there are lines if None.
            page: The page, from 0.
        """
        rows = [
            {"id": each.id, "label": each.label, "cells": [cell.to_props() for cell in each.cells]}
            for each in lines
        ]
        count = len(rows) if total is None else total
        changed = {"rows": rows, "total": count, "page": page, "pages": page_count(count)}
        if any(self.props.get(name) != value for name, value in changed.items()):
            self.props.update(changed)
            self.update()

    def show_order(self, *, sort: str, descending: bool, selected: Iterable[str] = ()) -> None:
        """Shows what the rows are sorted by, and which are selected."""
        changed = {"sort": sort, "descending": descending, "selected": sorted(selected)}
        if any(self.props.get(name) != value for name, value in changed.items()):
            self.props.update(changed)
            self.update()

    def on_order(self, handle: Callable[[str], None]) -> None:
        """Calls `handle` with the column to sort by, after a minus for the largest first."""
        self.on("order", lambda event: handle(str(_first(event))))

    def on_turn(self, handle: Callable[[int], None]) -> None:
        """Calls `handle` with the page that was asked for."""
        self.on("turn", lambda event: handle(int(_first(event))))

    def on_pick(self, handle: Callable[[str, bool], None]) -> None:
        """Calls `handle` with a row's ID and whether it was selected."""
        self.on("pick", lambda event: handle(str(event.args[0]), bool(event.args[1])))


PAGE_ROWS = 50
"""Rows on a page of a table."""


def page_count(total: int) -> int:
    """Returns how many pages so many rows take; one at the least."""
    return max(1, -(-total // PAGE_ROWS))


class Waterfall(Element, component="waterfall.js"):
    """A trace as a waterfall."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        super().__init__()
        self.props["bars"] = [
            {
                "depth": bar.depth,
                "label": bar.label,
                "note": bar.note,
                "kind": str(bar.kind),
                "offset": round(bar.offset, 5),
                "width": round(bar.width, 5),
                "starts": f"{bar.starts:.2f} s",
                "took": f"{bar.seconds:.2f} s",
                "worker": str(bar.worker) if bar.worker else "all",
                "failed": bar.is_error,
            }
            for bar in bars
        ]


def tag(name: str, text: str = "", classes: str = "", **attributes: str) -> TextElement:
    """Returns an element of HTML with a text in it.

    Args:
        name: Of the element.
        text: What stands in it.
        classes: Of CSS.
        attributes: Its attributes; a trailing underscore is left out, others are dashes.
    """
    element = TextElement(tag=name, text=text)
    for attribute, value in attributes.items():
        element.props[attribute.rstrip("_").replace("_", "-")] = value
    return element.classes(classes) if classes else element


def change(element: Element, **attributes: object) -> None:
    """Sets attributes of an element, named as by `tag`; tells the browser if one is another."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    if any(element.props.get(name) != value for name, value in named.items()):
        element.props.update(named)
        element.update()


def button(text: str, handle: Callable[[], Any], classes: str = "") -> TextElement:
    """Returns a button."""
    element = tag("button", text, classes, type="button")
    element.on("click", lambda: handle())  # noqa: PLW0108 - NiceGUI looks at the signature
    return element


def search_field(label: str, value: str, handle: Callable[[str], None]) -> None:
    """Shows a field that tells each key press."""
    with tag("label", classes="field"):
        tag("span", label)
        field = tag("input", type="search", value=value, autocomplete="off", spellcheck="false")
        field.on(
            "input", lambda event: handle(str(event.args)), js_handler="(e) => emit(e.target.value)"
        )


def text_field(label: str, handle: Callable[[str], None], placeholder: str = "") -> None:
    """Shows a field for a text."""
    with tag("label", classes="field"):
        tag("span", label)
        field = tag("input", type="text", placeholder=placeholder, autocomplete="off")
        field.on(
            "input", lambda event: handle(str(event.args)), js_handler="(e) => emit(e.target.value)"
        )


class Choice:
    """A field to choose from."""

    def __init__(
        self, label: str, options: Mapping[str, str], value: str, handle: Callable[[str], None]
    ) -> None:
        """Shows it.

        Args:
            label: What is chosen.
            options: What there is to choose from, by value, as it is shown.
            value: What is chosen.
            handle: Called with what was chosen.
        """
        self._options: dict[str, str] = {}
        with tag("label", classes="field"):
            tag("span", label)
            self._select = tag("select")
        self._select.on(
            "change",
            lambda event: handle(str(event.args)),
            js_handler="(e) => emit(e.target.value)",
        )
        self.show(options, value)

    def show(self, options: Mapping[str, str], value: str) -> None:
        """Shows what there is to choose from, and what is chosen."""
        if dict(options) != self._options:
            self._options = dict(options)
            self._select.clear()
            with self._select:
                for each, text in options.items():
                    tag("option", text, value=each)
        if self._select.props.get("value") != value:
            self._select.props["value"] = value
            self._select.update()


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Shows names with their values."""
    with tag("dl", classes="facts"):
        for name, value in pairs:
            with tag("div"):
                tag("dt", name)
                tag("dd", value or "not known")


def go_here(address: str) -> None:
    """Writes what is shown into the browser's address."""
    ui.navigate.history.replace(address)


def _first(event: GenericEventArguments) -> Any:  # noqa: ANN401 - any JSON
    return event.args[0] if isinstance(event.args, list) else event.args
