"""Traces as a collector in another process gets them from the whole app on the local cloud.

Two clouds do: one whose workers export as soon as they can, and one whose workers tell nothing
before they go. What happened on them is looked at by several tests.
"""

import asyncio
import json
import os
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage

from assessor.messages.request import identity_of
from assessor.telemetry.context import root_span_id, trace_id_of
from assessor.telemetry.setup import FLUSH_SECONDS
from demo.tree import render_tree
from localcloud.otlp import read_spans
from localcloud.otlp_records import Span
from localcloud.processes import PartOptions, start_part
from tests.support.cloud_harness import (
    IN_PROGRESS,
    REQUESTS,
    Harness,
    Plan,
    Post,
    Published,
    Request,
    running,
    vm,
    vm_id,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("traces"),
]

NEVER_MS: Final = "600000"
SOON_MS: Final = "100"
SLACK_SECONDS: Final = 15.0
"""What a host takes to settle and to end its worker besides, on a slow machine."""
ACTIVITY_ID: Final = "azure.vm.assessment_activity_id"


@dataclass(frozen=True, slots=True)
class Collector:
    """A collector process, and reading it."""

    endpoint: str
    http: aiohttp.ClientSession

    def settings(self, every_ms: str, **more: str) -> dict[str, str]:
        """Returns the app settings that send telemetry here, each so many milliseconds."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": every_ms,
            "OTEL_BLRP_SCHEDULE_DELAY": every_ms,
            "OTEL_METRIC_EXPORT_INTERVAL": every_ms,
            **more,
        }

    async def spans(self, trace_id: str = "") -> list[Span]:
        """Returns the spans of a trace."""
        return await read_spans(self.http, self.endpoint, trace_id)

    async def show(self, what: str) -> list[dict[str, Any]]:
        """Returns all log records or metrics."""
        async with self.http.get(f"{self.endpoint}/{what}") as response:
            shown: list[dict[str, Any]] = await response.json()
            return shown

    async def until_finished(self, harness: Harness, activity_id: str) -> list[Span]:
        """Waits for an assessment's root span; returns all of its trace."""

        async def is_there() -> bool:
            return any(each.name == "assess_patches" for each in await self.spans(activity_id))

        await harness.until(is_there, "the root span is at the collector")
        return await self.spans(activity_id)


@asynccontextmanager
async def collecting(directory: Path) -> AsyncIterator[Collector]:
    """Runs a collector in a process of its own."""
    part = await start_part(
        PartOptions(
            name="collector",
            module="localcloud.otlp",
            arguments=("--exit-with-parent",),
            environment={"PATH": os.environ["PATH"]},
            log=directory / "collector.log",
        )
    )
    async with aiohttp.ClientSession() as http:
        yield Collector(str(part.ready["endpoint"]), http)
    await part.stop()


def roots(spans: Sequence[Span]) -> list[Span]:
    return [span for span in spans if not span.parent_id]


def orphans(spans: Sequence[Span]) -> list[Span]:
    known = {span.span_id for span in spans}
    return [span for span in spans if span.parent_id and span.parent_id not in known]


def processes(spans: Sequence[Span]) -> set[object]:
    return {span.resource["process.pid"] for span in spans}


def named(spans: Sequence[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


async def only_outcome(harness: Harness) -> Published:
    (outcome,) = await harness.outcomes()
    return outcome


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What two workers did with an assessment that neither of them saw whole.

    Attributes:
        outcome: the assessment's.
        posts: what was begun.
        second: what the second worker's host says of itself at the end.
        spans: all that the collector got, every trace.
    """

    outcome: Published
    posts: Sequence[Post]
    second: Mapping[str, Any]
    spans: Sequence[Span]

    @property
    def activity_id(self) -> str:
        """The assessment's."""
        return str(self.outcome.data["assessmentActivityId"])

    @property
    def assessed(self) -> list[Span]:
        """The spans of the assessment's trace."""
        trace_id = f"{trace_id_of(self.activity_id):032x}"
        return [span for span in self.spans if span.trace_id == trace_id]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def handed_over(tmp_path_factory: pytest.TempPathFactory) -> HandedOver:
    """An assessment that one worker begins and another concludes, and a message of nonsense.

    Nothing is exported before a worker goes: all that the collector has was flushed at its end.
    """
    directory = tmp_path_factory.mktemp("handed-over")
    async with collecting(directory) as collector:
        settings = collector.settings(NEVER_MS, ASSESS_HOLD_SECONDS="0")
        plan = Plan([vm(0, seconds=12)], settings=settings)
        async with running(directory, plan) as harness:
            (first,) = harness.cloud.hosts
            await harness.ask([Request("r-1", vm_id(0)), Request("r-2", "nonsense")])

            async def waits() -> bool:
                done = (await harness.host_status(first))["invocations"]["succeeded"]
                return done > 2 and (await harness.counts(IN_PROGRESS)).scheduled == 1

            await harness.until(waits, "the assessment was resumed once, and waits on the bus")
            await harness.cloud.stop_host(first)
            second = await harness.cloud.add_host()
            await harness.until_told(2)
            outcome = next(each for each in await harness.outcomes() if each.request_id == "r-1")
            posts = await harness.posts()
            status = await harness.host_status(second)
            await harness.cloud.stop_host(second)
        return HandedOver(outcome, posts, status, await collector.spans())


async def test_a_held_assessment_is_resumed_by_another_process(handed_over: HandedOver) -> None:
    """The host that began it is gone before the operation ends; nobody begins it again."""
    outcome, (post,) = handed_over.outcome, handed_over.posts
    assert outcome.type == "AssessmentCompleted"
    assert outcome.data["assessmentActivityId"] == post.activity_id
    second = handed_over.second
    assert second["invocations"]["succeeded"] >= 1
    assert max(second["longestInvocationSeconds"].values()) < outcome.data["operationSeconds"]


async def test_two_workers_and_three_invocations_make_one_tree(handed_over: HandedOver) -> None:
    """Its root has the ID that both of them come to, and what each of them did hangs beneath it."""
    activity_id, spans = handed_over.activity_id, handed_over.assessed

    (root,) = roots(spans)
    assert root.name == "assess_patches"
    assert root.span_id == root_span_id(activity_id, identity_of("r-1"))
    assert orphans(spans) == []
    assert len(processes(spans)) == 2
    invocations = named(spans, "follow") + named(spans, f"process {IN_PROGRESS}")
    assert len(invocations) >= 3
    assert len(named(spans, "wait")) == len(invocations) - 1
    assert len(named(spans, f"send {IN_PROGRESS}")) == len(invocations) - 1
    assert all(root.start <= span.start for span in spans)
    assert all(span.end <= root.end for span in spans)
    assert {span.attributes[ACTIVITY_ID] for span in spans} == {activity_id}
    tree = render_tree(spans)
    assert len(tree.splitlines()) == len(spans) + 1
    assert "POST virtualMachines/assessPatches (202" in tree


async def test_every_trace_is_a_tree_whose_spans_end_within_their_parents(
    handed_over: HandedOver,
) -> None:
    """A message's trace has the host's span for its root, an assessment's its own; both whole."""
    spans = handed_over.spans
    by_trace: dict[str, list[Span]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, []).append(span)
    for tree in by_trace.values():
        (root,) = roots(tree)
        assert orphans(tree) == []
        known = {span.span_id: span for span in tree}
        for span in tree:
            parent = known.get(span.parent_id, root)
            assert parent.start <= span.start, (parent.name, span.name)
            assert span.end <= parent.end, (parent.name, span.name)
    of_requests = [tree for tree in by_trace.values() if named(tree, f"process {REQUESTS}")]
    assert [root.name for tree in of_requests for root in roots(tree)] == [
        "ServiceBusProcessor.ProcessMessage"
    ] * 2
    # A resumed assessment lies in its own trace; the delivery's is linked to it.
    (assessed,) = (tree for tree in by_trace.values() if named(tree, "assess_patches"))
    linked = {link for span in named(assessed, f"process {IN_PROGRESS}") for link in links_of(span)}
    deliveries = {
        (span.trace_id, span.span_id)
        for span in named(spans, "ServiceBusProcessor.ProcessMessage")
        if span.attributes["messaging.destination.name"] == IN_PROGRESS
    }
    assert deliveries
    assert linked == deliveries


@dataclass(frozen=True, slots=True)
class Soon:
    """A cloud whose worker exports as soon as it can, and what its first one told.

    Attributes:
        harness: the cloud. Nothing of what the first worker did is among its outcomes.
        collector: where it exports to.
        told: the outcomes of a request that was throttled once and of a message of nonsense.
        theirs: the trace that the request came with.
        rejected: the trace that the nonsense came with.
        metrics: all that were exported.
        logs: all that were exported.
    """

    harness: Harness
    collector: Collector
    told: Mapping[str, Published]
    theirs: str
    rejected: str
    metrics: Sequence[Mapping[str, Any]]
    logs: Sequence[Mapping[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def soon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Soon]:
    """The cloud, once a request was throttled and a message rejected there."""
    directory = tmp_path_factory.mktemp("soon")
    theirs, rejected = (uuid.uuid4().hex for _ in range(2))
    async with collecting(directory) as collector:
        settings = collector.settings(SOON_MS, ASSESS_HOLD_SECONDS="20")
        plan = Plan([vm(0, seconds=2), vm(1, seconds=12)], settings=settings)
        async with running(directory, plan) as harness:
            throttle = {"status": 429, "retryAfter": 1}
            await harness.break_arm(
                {"match": {"operation": "assess"}, "answer": throttle, "count": 1}
            )
            await harness.send(
                REQUESTS,
                [
                    asking({"vmId": vm_id(0), "requestId": "r-1"}, theirs),
                    asking({"vmId": "nonsense", "requestId": "r-2"}, rejected),
                ],
            )
            await harness.until_told(2)
            told = {each.request_id: each for each in await harness.outcomes()}
            await collector.until_finished(harness, str(told["r-1"].data["assessmentActivityId"]))

            async def counted() -> bool:
                return {"assessor.arm.throttles", "assessor.operation.duration"} <= {
                    str(each["name"]) for each in await collector.show("metrics")
                }

            await harness.until(counted, "the throttle and the duration are at the collector")
            metrics, logs = await collector.show("metrics"), await collector.show("logs")
            await harness.mend_arm()
            await harness.look_from_now_on()
            yield Soon(harness, collector, told, theirs, rejected, metrics, logs)


async def test_a_throttle_and_a_rejection_are_found_from_both_sides(soon: Soon) -> None:
    """In the trace of the message while there is no activity ID, linked once there is one."""
    activity_id = str(soon.told["r-1"].data["assessmentActivityId"])
    spans = await soon.collector.spans(activity_id)
    before = await soon.collector.spans(soon.theirs)
    refused = await soon.collector.spans(soon.rejected)

    assert soon.told["r-2"].type == "RequestRejected"
    posts = named(before, "POST virtualMachines/assessPatches")
    assert [each.attributes["http.response.status_code"] for each in posts] == [429]
    assert not posts[0].is_error, "it is expected, and waited out"
    assert len(named(before, f"process {REQUESTS}")) == 1
    (waiting,) = named(before, "wait")
    assert waiting.end - waiting.start >= 1_000_000_000
    (process,) = named(before, f"process {IN_PROGRESS}")
    (root,) = roots(spans)
    (follow,) = named(spans, "follow")
    assert (root.trace_id, root.span_id) in links_of(process)
    assert (process.trace_id, process.span_id) in links_of(follow)
    assert soon.theirs in {trace_id for trace_id, _ in links_of(root)}
    assert {span.name for span in refused} == {
        "ServiceBusProcessor.ProcessMessage",
        f"process {REQUESTS}",
        "send assessment-results",
    }
    (throttled,) = (each for each in soon.metrics if each["name"] == "assessor.arm.throttles")
    assert throttled["value"] == 1
    (duration,) = (each for each in soon.metrics if each["name"] == "assessor.operation.duration")
    assert duration["exemplar_trace_ids"] == [f"{trace_id_of(activity_id):032x}"]
    mine = [each for each in soon.logs if each["attributes"].get(ACTIVITY_ID) == activity_id]
    assert {each["trace_id"] for each in mine} == {f"{trace_id_of(activity_id):032x}"}
    assert "nonsense" not in json.dumps([*soon.logs, *soon.metrics])


async def test_a_worker_that_dies_in_the_middle_leaves_one_tree(soon: Soon) -> None:
    """Its heir adopts the operation and finds the root's ID again."""
    harness, collector = soon.harness, soon.collector
    (host,) = harness.cloud.hosts
    await harness.ask([Request("r-3", vm_id(1))])

    async def polls_told() -> bool:
        begun = [post.activity_id for post in await harness.posts() if post.activity_id]
        spans = [span for each in begun for span in await collector.spans(each)]
        return len(named(spans, "GET locations/operations")) >= 2

    await harness.until(polls_told, "two polls are at the collector")
    pid = (await harness.host_status(host))["workerPid"]
    assert await harness.kill_worker(host)
    await harness.until_told(1)
    outcome = await only_outcome(harness)
    activity_id = str(outcome.data["assessmentActivityId"])
    spans = await collector.until_finished(harness, activity_id)

    (root,) = roots(spans)
    assert root.span_id == root_span_id(activity_id, identity_of("r-3"))
    assert root.attributes["patch_assessor.adopted"] is True
    assert root.resource["process.pid"] != pid
    assert processes(spans) == {pid, root.resource["process.pid"]}
    (heirs,) = named(spans, "follow")
    assert heirs.parent_id == root.span_id
    # What the dead worker had in hand never ended; what it had done hangs beneath that.
    assert len({span.parent_id for span in orphans(spans)}) == 1
    assert {span.resource["process.pid"] for span in orphans(spans)} == {pid}


@pytest.mark.deep  # tests/unit/assessor/telemetry/test_telemetry_setup.py has the worker's part
async def test_a_dead_collector_slows_nothing_down(tmp_path: Path) -> None:
    """It takes connections and never answers; the outcomes come, and the worker goes."""
    async with silent_server() as endpoint:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": SOON_MS,
        }
        vms = [vm(index, seconds=1) for index in range(4)]
        async with running(tmp_path, Plan(vms, settings=settings)) as harness:
            await harness.ask([Request(f"r-{index}", vm_id(index)) for index in range(4)])
            await harness.until_told(4)
            (host,) = harness.cloud.hosts
            began = time.monotonic()
            await harness.cloud.stop_host(host)
            ending = time.monotonic() - began

    assert ending < FLUSH_SECONDS + SLACK_SECONDS


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Runs a server that reads nothing and says nothing."""
    closing = asyncio.Event()

    async def keep_silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closing.wait()
        writer.close()

    server = await asyncio.start_server(keep_silent, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        closing.set()
        server.close()
        await server.wait_closed()


def asking(body: Mapping[str, object], trace_id: str) -> ServiceBusMessage:
    """Returns a request with a trace context of its own."""
    return ServiceBusMessage(
        json.dumps(body),
        message_id=str(body["requestId"]),
        application_properties={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"},
    )


def links_of(span: Span) -> set[tuple[str, str]]:
    return {(link.trace_id, link.span_id) for link in span.links}
