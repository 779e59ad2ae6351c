"""All traces of a local cloud through the OpenTelemetry Collector, and none of a span's ties lost.

    python -m tests.interop.telemetry COLLECTOR

What the app and the host send is noted on its way to the collector, which sends on what it has
understood. Prints a line of JSON for each scenario.
"""

import asyncio
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from localcloud.otlp import Collector, collector
from localcloud.otlp_records import Span
from tests.interop.clients import app_running
from tests.interop.rush import rush

_TIMES: Final = 2
_SECONDS: Final = 60
_SIGNALS: Final = ("traces", "logs", "metrics")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _configuration(port: int, target: str) -> str:
    pipelines = {name: {"receivers": ["otlp"], "exporters": ["otlp_http"]} for name in _SIGNALS}
    return json.dumps(
        {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
            "exporters": {"otlp_http": {"endpoint": target, "compression": "none"}},
            "service": {"pipelines": pipelines},
        }
    )


@contextmanager
def _real(program: str, port: int, target: str) -> Iterator[None]:
    """Runs the collector, which sends on to `target`."""
    command = [program, f"--config=yaml:{_configuration(port, target)}"]
    with subprocess.Popen(command) as process:  # noqa: S603 - what `make interop` has built
        try:
            yield
        finally:
            process.terminate()


@asynccontextmanager
async def _noted(port: int) -> AsyncIterator[tuple[Collector, str, Counter[int]]]:
    """Notes what is sent, passes it on to the collector at `port`, and answers as that does."""
    answers: Counter[int] = Counter()
    async with collector() as (before, noting), aiohttp.ClientSession() as http:

        async def pass_on(request: web.Request) -> web.Response:
            body, headers = await request.read(), dict(request.headers)
            real = f"http://127.0.0.1:{port}{request.path}"
            async with http.post(real, data=body, headers=headers) as got:
                answer = await got.read()
                answers[got.status] += 1
            if got.ok:
                async with http.post(
                    f"{noting}{request.path}", data=body, headers=headers
                ) as noted:
                    noted.raise_for_status()
            kind = got.content_type
            return web.Response(status=got.status, body=answer, content_type=kind)

        application = web.Application(client_max_size=2**26)
        application.add_routes([web.post(f"/v1/{name}", pass_on) for name in _SIGNALS])
        runner = web.AppRunner(application, access_log=None, auto_decompress=False)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield before, f"http://127.0.0.1:{runner.addresses[0][1]}", answers
        finally:
            await runner.cleanup()


@asynccontextmanager
async def _in_thread(place: AbstractContextManager[Path]) -> AsyncIterator[Path]:
    """Enters and leaves in a thread: what is sent meanwhile has to get through."""
    up = await asyncio.to_thread(place.__enter__)
    try:
        yield up
    finally:
        await asyncio.to_thread(place.__exit__, None, None, None)


def _whole(spans: Sequence[Span]) -> Counter[str]:
    return Counter(json.dumps(asdict(each), sort_keys=True) for each in spans)


def _say(scenario: str, *, ok: bool, detail: str = "") -> None:
    sys.stdout.write(json.dumps({"scenario": scenario, "ok": ok, "detail": detail}) + "\n")


async def _try(program: str) -> None:
    port = _free_port()
    loop = asyncio.get_running_loop()
    async with collector() as (after, target), _noted(port) as (before, endpoint, answers):
        with _real(program, port, target):
            place = app_running(f"OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}")
            async with _in_thread(place) as up:
                told, missing = await rush(up, _TIMES)
            ends_at = loop.time() + _SECONDS
            while len(after.spans) < len(before.spans) and loop.time() < ends_at:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    _say("no outcome is missing", ok=bool(told) and not missing)
    _say("the collector takes all", ok=set(answers) == {200}, detail=json.dumps(answers))
    _say(
        f"{len(before.spans)} spans, each as it was sent",
        ok=bool(before.spans) and _whole(after.spans) == _whole(before.spans),
        detail=str(len(after.spans)),
    )
    roots = [each for each in after.spans if each.name == "assess_patches"]
    known = {(each.trace_id, each.span_id) for each in after.spans}
    in_traces = {each.trace_id for each in roots}
    orphans = [
        each.name
        for each in after.spans
        if each.trace_id in in_traces
        and each.parent_id
        and (each.trace_id, each.parent_id) not in known
    ]
    _say(f"{len(roots)} assessments are whole", ok=bool(roots) and not orphans, detail=str(orphans))
    _say(f"{len(after.logs)} records of the log", ok=len(after.logs) == len(before.logs) > 0)
    _say(f"{len(after.points)} points of metrics", ok=len(after.points) == len(before.points) > 0)


if __name__ == "__main__":
    asyncio.run(_try(str(Path(sys.argv[1]).resolve())))
