"""`run`, as a user starts it: the whole demo, and every way in which it can end."""

import asyncio
import json
import os
import pty
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands_harness import Ended, Place
from tests.support.schemas import assert_event
from tests.support.waiting import BOUND_SECONDS, eventually

pytestmark = pytest.mark.integration

ESCAPE = "\x1b"
FEW = ("run", "--vms", "4", "--time-scale", "300")


@dataclass(frozen=True)
class Run:
    """A demo that has run to its end.

    Attributes:
        ended: how it ended, and what it printed.
        left: what it has left running.
        messages: what it wrote into its file.
    """

    ended: Ended
    left: dict[int, str]
    messages: list[dict[str, Any]]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run with few VMs, at which several tests look."""
    place = Place(tmp_path_factory.mktemp("demo"))

    async def run() -> tuple[Ended, dict[int, str]]:
        return await place.run(*FEW, "--out", "out.jsonl"), place.processes()

    ended, left = asyncio.run(run())
    assert ended.code == 0, ended
    lines = (place.directory / "out.jsonl").read_text("utf-8").splitlines()
    return Run(ended, left, [json.loads(line) for line in lines])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A directory of the test's own."""
    return Place(tmp_path)


def test_each_request_has_its_one_outcome_and_nothing_is_left_running(few: Run) -> None:
    """Exit code 0, every message in the file, no control codes, no process."""
    ended, messages = few.ended, few.messages
    assert few.left == {}
    assert ESCAPE not in ended.out
    assert "each request has its one outcome" in ended.out
    assert "Rejected message" in ended.out

    for each in messages:
        assert_event(each["body"])
    outcomes = [each for each in messages if each["topic"] == "assessment-results"]
    vms = Counter(each["body"]["data"].get("vmId", "none") for each in outcomes)
    assert sorted(vms.values()) == [1, 1, 1, 1, 1, 1, 1, 5], "one changes, and is assessed again"
    assert len(vms) == 4 + 2 + 1 + 1, "the fleet, two recorded VMs, one missing, one rejected"
    assert {each["topic"] for each in messages} == {"assessment-results", "patch-alerts"}
    begun = [each for each in outcomes if each["body"]["data"].get("assessmentActivityId")]
    for each in begun:
        activity_id = each["body"]["data"]["assessmentActivityId"].replace("-", "")
        assert each["applicationProperties"]["traceparent"].split("-")[1] == activity_id
        assert activity_id in ended.out
    assert begun


def test_each_change_of_a_vm_has_its_one_alert(few: Run) -> None:
    """The patches of a clean VM appear, grow and go; an assessment with no change has no alert."""
    title = next(line for line in few.ended.out.splitlines() if line.startswith("What changed on "))
    vm = title.split()[-1]
    of_vm = [each for each in few.messages if (each["subject"] or "").endswith(f"/{vm}")]
    counts = [
        each["body"]["data"]["criticalAndSecurityPatchCount"]
        for each in of_vm
        if each["topic"] == "assessment-results"
    ]
    assert counts == [0, 1, 1, 2, 0]
    told = [each["body"]["data"]["data"] for each in of_vm if each["topic"] == "patch-alerts"]
    assert [
        (data["essentials"]["monitorCondition"], data["alertContext"]["change"]) for data in told
    ] == [("Fired", "Appeared"), ("Fired", "Grew"), ("Resolved", "Gone")]
    assert len({data["essentials"]["alertId"] for data in told}) == 1, "one alert, all the way"
    assert few.ended.out.rstrip().endswith(
        "each request has its one outcome, and each change its alert."
    )


def test_it_ends_with_the_trace_of_an_assessment_that_told_of_a_change(few: Run) -> None:
    """From the begin to the alert; what the hosts tell only as they end is in it."""
    out = few.ended.out
    _, _, tree = out.partition("One of the assessments, as its trace tells it\n")
    first, root, *rest = tree.splitlines()
    trace_id = first.removeprefix("trace ").partition(",")[0]
    assert trace_id in out.partition("What changed on ")[2].partition(first)[0]
    assert root.endswith("assess_patches (Succeeded)")
    for name in ("POST virtualMachines/assessPatches (202", "send assessment-results"):
        assert any(name in line for line in rest), tree
    assert any(line.endswith("send patch-alerts") for line in rest), tree


@pytest.mark.deep
async def test_nothing_outlives_a_killed_demo(place: Place) -> None:
    """Even SIGKILL takes every part along, Azurite's node too."""
    running = await place.start("run", "--vms", "0", "--time-scale", "1")
    await running.printed("Sent ")
    lines = place.processes().values()
    for part in ("servicebus", "arm", "host", "azurite"):
        assert any(f"localcloud.{part}" in line for line in lines), (part, lines)
    assert any("azurite/dist/src/table/main.js" in line for line in lines), lines
    os.kill(running.process.pid, signal.SIGKILL)
    await running.process.wait()
    await place.empty()


@pytest.mark.deep
async def test_ctrl_c_on_a_terminal_stops_everything(place: Place) -> None:
    """Exit code 130, while assessments are under way."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        # A shell's foreground job: a session of its own, whose terminal is the one given.
        "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        "os.execv(sys.executable, [sys.executable, '-m', 'demo', *sys.argv[1:]])",
        *("run", "--vms", "4", "--time-scale", "1"),
        cwd=place.directory,
        env={**place.environment, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = bytearray()
    asyncio.get_running_loop().add_reader(ours, lambda: shown.extend(_read(ours)))
    try:
        await eventually(lambda: b"held by a function" in shown, shown.decode)
        assert ESCAPE.encode() in shown, "a terminal gets a display that changes"
        os.write(ours, b"\x03")
        async with asyncio.timeout(BOUND_SECONDS):
            assert await process.wait() == 130, shown.decode()
        assert place.processes() == {}
        assert b"Traceback" not in shown
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        if process.returncode is None:
            process.kill()


@pytest.mark.deep
async def test_what_does_not_come_in_time_is_named(place: Place) -> None:
    """Exit code 1; assessments in real time take longer than a second."""
    ended = await place.run("run", "--vms", "0", "--time-scale", "1", "--give-up-after", "1")
    assert ended.code == 1, ended
    assert ended.out.count("No outcome came: request ") >= 1
    assert place.processes() == {}


@pytest.mark.deep
async def test_a_part_that_dies_ends_the_demo_with_its_last_words(place: Place) -> None:
    """Exit code 1, and the path of its log."""
    running = await place.start("run", "--vms", "0", "--time-scale", "1")
    await running.printed("Sent ")
    (arm,) = (pid for pid, line in place.processes().items() if "localcloud.arm" in line)
    os.kill(arm, signal.SIGKILL)
    ended = await running.end()
    assert ended.code == 1, ended
    assert "The ARM ended unexpectedly, killed by SIGKILL." in ended.err
    assert "arm.log" in ended.err
    assert place.processes() == {}


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says so when the other side of a terminal is gone
        asyncio.get_running_loop().remove_reader(descriptor)
        return b""
