"""A VM: what it lacks, its alerts and attempts, and its last assessment as a waterfall."""

from typing import Final
from urllib.parse import urlencode

from nicegui import ui

from patch_assessor_cli.errors import CommandError
from patch_assessor_cli.posture import age
from patch_assessor_console.model.trace import waterfall
from patch_assessor_console.model.vm import Vm
from patch_assessor_console.page.elements import Cell, DataTable, Head, Line, Waterfall, facts, tag
from patch_assessor_console.page.fleet_page import TONES
from patch_assessor_console.page.patches_page import class_cell
from patch_assessor_console.page.shell import Context, age_cell, keep_fresh, moment, shell
from patch_assessor_console.readers.traces import read_spans

_PATCHES: Final = (
    Head("patch", "Patch", "24rem"),
    Head("version", "KB or version", "10rem"),
    Head("class", "Class", "10rem"),
    Head("reboot", "Reboot", "10rem"),
    Head("published", "Published", "7rem"),
)
_ALERTS: Final = (Head("rule", "Rule"), Head("since", "Open for"))
_HAPPENED: Final = (
    Head("at", "When", "12rem"),
    Head("what", "What", "10rem"),
    Head("text", "Says"),
)
_TRACE_SECONDS: Final = 2.0


def vm_page(context: Context, vm_id: str) -> None:
    """Shows the VM of that resource ID."""
    vm = context.memory.vm(vm_id)
    with shell(context, vm.name if vm else "VM"):
        tag("h1", vm.name if vm else vm_id.rpartition("/")[2])
        _VmView(context, vm_id)


class _VmView:
    def __init__(self, context: Context, vm_id: str) -> None:
        self._context = context
        self._vm_id = vm_id
        self._traced: tuple[str, int] = ("", 0)
        self._facts: tuple[tuple[str, str], ...] = ()
        self._state = tag("p", classes="state")
        self._facts_box = tag("div")
        with tag("p"):
            tag("a", "Ask for an assessment", "button", href=f"/act?{urlencode({'vm': vm_id})}")
        tag("h2", "What it lacks")
        self._note = tag("p", classes="note")
        self._patches = DataTable("Patches", _PATCHES, nothing="Nothing is listed.", least="54rem")
        tag("h2", "Open alerts")
        self._alerts = DataTable("Open alerts", _ALERTS, nothing="None.")
        tag("h2", "The last assessment's trace")
        self._trace_note = tag("p", "There is no collector to read it from.", "note")
        self._trace_box = tag("div", classes="trace")
        tag("h2", "Attempts")
        self._happened = DataTable(
            "Attempts", _HAPPENED, nothing="Nothing has arrived of it since the console started."
        )
        keep_fresh(context, self._show)
        if context.target.collector is not None:
            ui.timer(_TRACE_SECONDS, self._trace)

    def _show(self) -> None:
        vm, now = self._context.memory.vm(self._vm_id), self._context.now()
        if vm is None:
            self._state.set_text("This VM is not in the table, and nothing has arrived of it.")
            return
        row = next(row for row in self._context.memory.rows() if row.vm.key == vm.key)
        self._state.set_text(str(row.state))
        self._state.classes(replace=f"state tone-{TONES[row.state]}")
        self._show_facts(vm)
        self._patches.show(
            Line(
                f"{number}",
                each.name,
                (
                    Cell(each.name),
                    Cell(each.kb or each.version),
                    class_cell(each),
                    Cell(each.reboot),
                    Cell(each.published),
                ),
            )
            for number, each in enumerate(vm.patches or ())
        )
        self._note.set_text(_about_list(vm))
        self._alerts.show(
            Line(rule, rule, (Cell(rule), age_cell(since, now)))
            for rule, since in vm.alerts.items()
        )
        self._happened.show(
            Line(str(number), each.what, (Cell(moment(each.at)), Cell(each.what), Cell(each.text)))
            for number, each in enumerate(self._context.memory.attempts(self._vm_id))
        )

    def _show_facts(self, vm: Vm) -> None:
        now = self._context.now()
        attempt = f"{vm.attempt_reason}, {age(vm.attempted_at, now)} ago" if vm.attempted_at else ""
        pairs = (
            ("Resource ID", vm.vm_id),
            ("System", vm.system),
            ("Region", vm.location),
            ("Critical and security patches", _count(vm.critical)),
            ("Other patches", _count(vm.other)),
            ("Reboot pending", _reboot(vm)),
            ("Last assessed", moment(vm.assessed_at)),
            ("Its status", vm.status),
            ("An assessment takes", f"{vm.seconds:.1f} s" if vm.seconds is not None else ""),
            ("In vain since", attempt or "nothing"),
            ("Tags", ", ".join(f"{name}={value}" for name, value in vm.tags.items()) or "none"),
            ("Activity ID", vm.activity_id),
        )
        if pairs != self._facts:
            self._facts = pairs
            self._facts_box.clear()
            with self._facts_box:
                facts(pairs)

    async def _trace(self) -> None:
        vm, collector = self._context.memory.vm(self._vm_id), self._context.target.collector
        if vm is None or collector is None or not vm.trace_id:
            self._trace_note.set_text("Nothing is known of its assessment yet.")
            return
        try:
            spans = await read_spans(self._context.http, collector, vm.trace_id)
        except CommandError as error:
            self._trace_note.set_text(error.sentence)
            return
        if (vm.trace_id, len(spans)) == self._traced:
            return
        self._traced = (vm.trace_id, len(spans))
        bars = waterfall(spans)
        self._trace_note.set_text(
            f"Trace {vm.trace_id}, {len(bars)} spans." if bars else "It has no spans (yet)."
        )
        self._trace_box.clear()
        if bars:
            with self._trace_box:
                Waterfall(bars)


def _about_list(vm: Vm) -> str:
    if vm.patches is None and vm.critical:
        return "Its patches are counted; no list of them has been seen."
    if vm.patches_left_out:
        return f"{vm.patches_left_out} more are counted and not listed."
    return ""


def _count(count: int | None) -> str:
    return "" if count is None else str(count)


def _reboot(vm: Vm) -> str:
    if vm.reboot_since is not None:
        return f"since {moment(vm.reboot_since)}"
    return {True: "yes", False: "no", None: ""}[vm.reboot_pending]
