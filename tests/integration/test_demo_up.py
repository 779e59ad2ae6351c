"""`up`, and its clients `send` and `watch`: how people try things out."""

import json
import os
import signal
import stat
from pathlib import Path

import pytest

from tests.integration.commands_harness import Place, up

pytestmark = pytest.mark.integration


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A directory of the test's own."""
    return Place(tmp_path)


async def test_what_is_sent_to_a_running_cloud_is_answered_on_its_topics(place: Place) -> None:
    """From `up` to Ctrl-C: send finds the cloud, watch shows the answer, nothing is left."""
    file = place.directory / ".localcloud" / "up.json"
    async with up(place, "--vms", "3", "--time-scale", "300") as cloud:
        told = await cloud.printed("make dead-letters")
        vm_id = next(line.strip() for line in told.splitlines() if "/virtualMachines/" in line)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, "it has a secret in it"

        second = await place.run("up")
        assert second.code == 1
        assert "runs here already" in second.err

        sent = await place.run("send", vm_id, "--request-id", "r-1", "--reason", "a test")
        assert sent.code == 0, sent
        seen = await place.watched("PatchAssessor.AssessmentCompleted", "--json")
        message = json.loads(seen.splitlines()[-1])
        assert message["correlationId"] == "r-1"
        assert message["body"]["data"]["request"]["reason"] == "a test"

        posture = await place.run("posture", "--json")
        assert posture.code == 0, posture
        rows = [json.loads(line) for line in posture.out.splitlines()]
        assert [row["vmId"].lower() for row in rows] == [vm_id.lower()]

        listed = [each["name"] for each in message["body"]["data"]["availablePatches"]]
        patches = await place.run("patches", "--json")
        assert patches.code == 0, patches
        rows = [json.loads(line) for line in patches.out.splitlines()]
        assert [row["vms"] for row in rows] == [1] * len(rows)
        assert {row["name"] for row in rows} == set(listed)
        lacking = await place.run("patches", listed[0], "--csv")
        assert vm_id.lower() in lacking.out.lower(), lacking

        rejected = await place.run("send", "--file", "-", stdin=b"not JSON")
        assert rejected.code == 0, rejected
        answer = f"Rejected, NotUnderstood, {rejected.out.strip()}"
        await place.watched(answer, "--results-subscription", "rejected")

        cloud.process.send_signal(signal.SIGINT)
        ended = await cloud.end()
        assert ended.code == 130, ended
        assert place.processes() == {}
    assert not file.exists()
    after = await place.run("send", vm_id)
    assert after.code == 1
    assert "No local cloud is running here" in after.err


async def test_nothing_outlives_a_killed_cloud_and_its_file_counts_for_nothing(
    place: Place,
) -> None:
    """Even SIGKILL takes every part along."""
    async with up(place, "--vms", "0") as cloud:
        await cloud.printed("make dead-letters")
        assert any("azurite/dist" in line for line in place.processes().values())
        os.kill(cloud.process.pid, signal.SIGKILL)
        await cloud.process.wait()
        await place.empty()
    assert (place.directory / ".localcloud" / "up.json").exists()
    after = await place.run("watch", "--for", "1")
    assert after.code == 1
    assert "No local cloud is running here" in after.err
