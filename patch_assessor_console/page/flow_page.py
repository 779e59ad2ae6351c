"""Flow: what is where, which assessments are on their way, and how full ARM's buckets are."""

from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from patch_assessor_console.model.flow import Bucket, Entity, Scan, Stage, Underway, stages
from patch_assessor_console.page.elements import PAGE_ROWS, Cell, DataTable, Head, Line, tag
from patch_assessor_console.page.shell import Context, age_cell, keep_fresh, moment, shell

_ENTITIES: Final = (
    Head("name", "Queue or subscription", "18rem"),
    Head("active", "Active", number=True),
    Head("locked", "Being worked on", number=True),
    Head("scheduled", "Scheduled", number=True),
    Head("dead", "Dead letters", number=True),
)
_UNDERWAY: Final = (
    Head("vm", "VM", "12rem"),
    Head("stage", "Is", "7rem"),
    Head("reason", "Because of", "12rem"),
    Head("next", "Next poll in", "8rem"),
    Head("since", "Accepted", "7rem"),
    Head("reschedules", "Handed over", "7rem", number=True),
    Head("request", "Request", "14rem"),
)
_SCANS: Final = (
    Head("scope", "Scope", "20rem"),
    Head("status", "Is", "8rem"),
    Head("progress", "Progress", "10rem"),
    Head("found", "Found", number=True),
    Head("requested", "Asked for", number=True),
    Head("assessed", "Assessed", "6rem", number=True),
    Head("failed", "Failed", number=True),
    Head("skipped", "Skipped", number=True),
    Head("since", "Started", "7rem"),
)
_BUCKETS: Final = (
    Head("name", "Bucket", "18rem"),
    Head("subject", "Kept for", "18rem"),
    Head("level", "Left", "12rem"),
    Head("rate", "Refilled a minute", number=True),
)
_HAPPENED: Final = (
    Head("at", "When", "12rem"),
    Head("what", "What", "10rem"),
    Head("vm", "VM", "12rem"),
    Head("text", "Says"),
)
_TONES: Final = {Stage.RUNNING: "good", Stage.WAITING: "idle", Stage.RETRYING: "warn"}
_SHOWN_HAPPENINGS: Final = 30
_SHOWN_BUCKETS: Final = 12
"""The emptiest ones; the others are full."""


def flow_page(context: Context) -> None:
    """Shows the system at work."""
    with shell(context, "Flow"):
        tag("h1", "Flow")
        _FlowView(context)


class _FlowView:
    def __init__(self, context: Context) -> None:
        self._context = context
        tag("h2", "Queues and topics")
        self._entities = DataTable("Queues and topics", _ENTITIES, nothing="No counts yet.")
        tag("h2", "Assessments on their way")
        self._note = tag("p", classes="note")
        self._underway = DataTable(
            "Assessments on their way", _UNDERWAY, nothing="None.", least="60rem"
        )
        tag("h2", "Scans")
        self._scans = DataTable(
            "Scans", _SCANS, nothing="None since the console started.", least="64rem"
        )
        if context.target.local is not None:
            tag("h2", "ARM's buckets")
            self._buckets = DataTable("ARM's buckets", _BUCKETS, nothing="None was used yet.")
        tag("h2", "What arrived")
        self._happened = DataTable(
            "What arrived", _HAPPENED, nothing="Nothing since the console started."
        )
        keep_fresh(context, self._show)

    def _show(self) -> None:
        memory, now = self._context.memory, self._context.now()
        self._entities.show(map(_entity_line, memory.entities))
        underway = memory.in_progress.underway
        counts = ", ".join(f"{count} {stage}" for stage, count in stages(underway).items())
        more = "; there are more than were looked at" if memory.in_progress.is_cut else ""
        self._note.set_text(f"{counts}{more}." if underway else "")
        self._underway.show(_underway_line(each, now) for each in underway[:PAGE_ROWS])
        self._scans.show(_scan_line(each, now) for each in memory.scans())
        if self._context.target.local is not None:
            self._buckets.show(map(_bucket_line, memory.buckets[:_SHOWN_BUCKETS]))
        latest = list(memory.happened)[:_SHOWN_HAPPENINGS]
        self._happened.show(
            Line(
                str(number),
                each.what,
                (
                    Cell(moment(each.at)),
                    Cell(each.what),
                    _vm_cell(each.vm_id),
                    Cell(each.text),
                ),
            )
            for number, each in enumerate(latest)
        )


def _entity_line(entity: Entity) -> Line:
    dead = Cell(f"{entity.dead:,}", tone="bad" if entity.dead else "")
    locked = "not told" if entity.locked is None else f"{entity.locked:,}"
    counts = (Cell(f"{entity.active:,}"), Cell(locked), Cell(f"{entity.scheduled:,}"), dead)
    return Line(entity.name, entity.name, (Cell(entity.name), *counts))


def _underway_line(each: Underway, now: datetime) -> Line:
    return Line(
        f"{each.request_id} {each.vm_id}",
        each.vm_id,
        (
            _vm_cell(each.vm_id),
            Cell(each.stage, tone=_TONES[each.stage]),
            Cell(each.reason),
            _until(each.next_poll, now),
            age_cell(each.accepted_at, now),
            Cell(str(each.reschedules)),
            Cell(each.request_id),
        ),
    )


def _scan_line(scan: Scan, now: datetime) -> Line:
    return Line(
        scan.scan_id,
        scan.scope,
        (
            Cell(scan.scope),
            Cell(scan.status, tone="good" if scan.status == "Succeeded" else "idle"),
            Cell(f"{scan.share:.0%}", share=scan.share),
            *(
                Cell(f"{count:,}")
                for count in (
                    scan.found,
                    scan.requested,
                    scan.assessed,
                    scan.failed,
                    scan.skipped,
                )
            ),
            age_cell(scan.started_at, now),
        ),
    )


def _bucket_line(bucket: Bucket) -> Line:
    return Line(
        f"{bucket.name} {bucket.subject}",
        bucket.name,
        (
            Cell(bucket.name),
            Cell(bucket.subject),
            Cell(f"{bucket.level:,.0f} of {bucket.capacity:,.0f}", share=bucket.share),
            Cell(f"{bucket.per_minute:,.0f}"),
        ),
    )


def _vm_cell(vm_id: str) -> Cell:
    if not vm_id:
        return Cell("")
    return Cell(vm_id.rpartition("/")[2], href=f"/vm?{urlencode({'id': vm_id})}")


def _until(at: datetime | None, now: datetime) -> Cell:
    if at is None:
        return Cell("now")
    return Cell(f"{max(0.0, (at - now).total_seconds()):.0f} s", title=moment(at))
