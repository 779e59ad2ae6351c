"""docs/answers.md: each question's answer about the mixed fleet: `python -m tests.support.answers`.

What differs from run to run is left out: times, and the IDs of traces.
"""

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb_kql

from assessor.telemetry.azure_monitor import EXPORTS_A_REMAINDER
from assessor.telemetry.setup import TelemetryPipeline, exporters_of
from tests.support.ingestion import INSTRUMENTATION_KEY, Ingestion, ingestion
from tests.support.mixed_fleet import Nights, two_nights
from tests.support.telemetry_size import QUIET, heard

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/answers.md"
Row = Mapping[str, Any]
Shown = Callable[[Sequence[Row]], Sequence[Row]]
"""What is shown of an answer's rows."""


@dataclass(frozen=True)
class Question:
    """One question, and what of its answer is the same in each run.

    Attributes:
        text: the question.
        query: the file in infra/kql that answers it.
        place: the page of Application Insights' that has the answer, too.
        shown: returns the rows to show.
        note: what is said of them.
    """

    text: str
    query: str
    place: str
    shown: Shown
    note: str = ""


def _all(rows: Sequence[Row]) -> Sequence[Row]:
    return rows


def _first(number: int) -> Shown:
    return lambda rows: rows[:number]


def _last(rows: Sequence[Row]) -> Sequence[Row]:
    return rows[-1:]


def _by_outcome(rows: Sequence[Row]) -> Sequence[Row]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["Outcome"]] += row["Outcomes"]
    return [{"Outcome": name, "Outcomes": count} for name, count in sorted(counts.items())]


def _by_name(rows: Sequence[Row]) -> Sequence[Row]:
    """Returns the kinds of rows with their numbers; of calls to the tables one in 50 is there."""
    counts = Counter(
        (row["What"], row["Target"], row["Result"])
        for row in rows
        if "table.core" not in (row["Target"] or "")
    )
    return [
        {"What": what, "Target": target, "Result": result, "Rows": number}
        for (what, target, result), number in sorted(counts.items(), key=str)
    ]


QUESTIONS: Final = (
    Question(
        "What is known of each VM?",
        "posture",
        "the workbook",
        _all,
        "`Deleted` is what an event told to be gone.",
    ),
    Question("What does the fleet lack, day by day?", "trend", "the workbook", _last, "Today."),
    Question("Who waits for a reboot, and since when?", "reboots", "the workbook", _all),
    Question("Which were the slowest?", "slowest", "the workbook", _first(2), "The first two."),
    Question("Which VMs fail, and why?", "failing", "the workbook", _all),
    Question(
        "Which calls were throttled?",
        "throttled-calls",
        "the workbook",
        _all,
        "`Wait` is what ARM asked for, in seconds.",
    ),
    Question(
        "What came of the requests?",
        "outcomes",
        "the workbook",
        _by_outcome,
        "By the hour; summed up here.",
    ),
    Question(
        "What happened in one assessment?",
        "trace",
        "the workbook, transaction search",
        _by_name,
        "That of `grows` in the second night, counted by name.",
    ),
    Question(
        "What was given up at its deadline within the last hour?",
        "overdue",
        "the alert rule",
        _all,
    ),
    Question("Are more messages rejected than usual?", "rejected", "the alert rule", _all),
    Question(
        "Does ARM throttle the app?",
        "throttled",
        "the alert rule",
        _all,
        "No row: the rule wants more than 20 refused calls.",
    ),
    Question(
        "Does nobody answer?",
        "silent",
        "the alert rule",
        _all,
        "No row: outcomes came.",
    ),
)
_HEAD: Final = """# What the questions answer

Rows that the queries of [observability.md](observability.md) answered with about a fleet with every
kind of trouble: two nightly scans, throttling up to the deadline, missing rights, a deleted VM, a
worker killed with an outcome in hand, messages that are none. The real exporter sent them to a
collector on loopback, and PyPI's duckdb-kql executed the queries.
`tests/integration/test_questions.py` holds each answer against the messages on the topics, and this
page against the answers; `python -m tests.support.answers` makes it anew. Times, which differ from
run to run, and with them the order of rows, are left out.
"""


def page(ask: Callable[[str], Sequence[Row]]) -> str:
    """Returns the page, by what `ask` returns for a query's name."""
    return "\n".join([_HEAD, *(part for each in QUESTIONS for part in _section(each, ask))])


def _section(question: Question, ask: Callable[[str], Sequence[Row]]) -> Iterator[str]:
    link = f"[{question.query}.kql](../infra/kql/{question.query}.kql)"
    yield f"## {question.text}\n"
    yield " ".join(filter(None, [f"{link}; {question.place}.", question.note])) + "\n"
    rows = question.shown(ask(question.query))
    if rows:
        yield _table(rows) + "\n"


def _table(rows: Sequence[Row]) -> str:
    names = [
        name
        for name in rows[0]
        if name not in {"Trace", "ActivityId", "Days"}
        and not any(isinstance(row[name], datetime) for row in rows)
    ]
    cells = sorted([_cell(row[name]) for name in names] for row in rows)
    lines = [names, ["---"] * len(names), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value.rpartition("/")[2] if value.startswith("/subscriptions/") else value
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def answer(tables: Any, name: str, trace: str = "") -> list[Row]:  # noqa: ANN401 - DuckDB's
    """Returns the rows that a query answers with."""
    query = (ROOT / f"infra/kql/{name}.kql").read_text().replace("{trace}", trace)
    found = duckdb_kql.query(tables, query)
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def asked(nights: Nights, ask: Callable[[str, str], Sequence[Row]]) -> str:
    """Returns the page about these nights, by what a query answers about a trace."""
    (_, grew) = (
        event["data"]["assessmentActivityId"]
        for _, event in nights.results()
        if event["type"] == "PatchAssessor.AssessmentCompleted"
        and event["data"]["vmId"].endswith("/grows")
    )
    return page(lambda name: ask(name, grew.replace("-", "")))


@asynccontextmanager
async def told_nights(ratio: str) -> AsyncIterator[tuple[Nights, Ingestion, int]]:
    """Runs the mixed fleet with the exporters of a worker.

    Yields what happened, what was taken, and how many records were out before the worker ended.

    Args:
        ratio: the share of traces that is kept.
    """
    async with ingestion() as (taken, endpoint):
        environment = {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": (
                f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={endpoint}"
            ),
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": ratio,
        }
        pipeline = TelemetryPipeline(environment, exporters_of(environment))
        with heard(pipeline):
            nights = await two_nights(pipeline)
        records = len(taken.of_type("EventData"))
        for _ in range(EXPORTS_A_REMAINDER):  # as many as bring one of what is thinned out
            await asyncio.to_thread(pipeline.meters.force_flush)
        await asyncio.to_thread(pipeline.shutdown)
        yield nights, taken, records


async def _write() -> None:
    async with told_nights("1") as (nights, taken, _):
        tables = taken.tables()
        text = asked(nights, lambda name, trace: answer(tables, name, trace))
    PAGE.write_text(text)


def main() -> None:
    """Writes the page."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(QUIET, TMPDIR=folder)
        asyncio.run(_write())


if __name__ == "__main__":
    main()
