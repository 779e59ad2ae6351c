"""`posture` reads what the app has written, from Azurite, in a process of its own."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from azure.data.tables.aio import TableClient

from assessor.alerts.outbox import AlertOutbox
from assessor.alerts.rule import AlertPolicy
from assessor.alerts.rules import ALERT_COLUMNS
from assessor.messages.outcome import Outcome
from assessor.posture.tables import TablePosture
from assessor.resource_id import VirtualMachineId
from localcloud.azurite import Azurite, AzuriteError, run_azurite
from patch_assessor_cli.fleet_posture import read_fleet
from tests.support.assessments import completed, failed, skipped
from tests.support.builders import NOW, OTHER_SUBSCRIPTION, VM_ID
from tests.support.fakes import FakeBus, FakeClock
from tests.support.waiting import BOUND_SECONDS

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


async def publish(table: TableClient, *outcomes: Outcome) -> None:
    """Publishes the alerts of the outcomes, as the app does."""
    outbox = AlertOutbox(
        store=TablePosture(table, ALERT_COLUMNS),
        bus=FakeBus(),
        alerts_topic="patch-alerts",
        clock=FakeClock(NOW),
        policy=AlertPolicy(),
    )
    for outcome in outcomes:
        await outbox.conclude(outcome, None)


def _new_table(azurite: Azurite) -> TableClient:
    """Returns the client of a table that is not there yet."""
    name = f"vmposture{uuid.uuid4().hex}"
    return TableClient.from_connection_string(azurite.connection_string, name)


def of(vm_id: VirtualMachineId, outcome: Outcome) -> Outcome:
    """Returns the same outcome of another VM."""
    return replace(outcome, id=str(uuid.uuid4()), vm_id=vm_id)


async def test_the_fleet_is_read_without_those_that_are_gone(azurite: Azurite) -> None:
    """Open alerts, one that was never assessed, one of another subscription, and a removed one."""
    off = VirtualMachineId(VM_ID.subscription_id, "group", "off")
    gone = VirtualMachineId(VM_ID.subscription_id, "group", "gone")
    elsewhere = VirtualMachineId(OTHER_SUBSCRIPTION, "group", "elsewhere")
    async with _new_table(azurite) as table:
        await publish(
            table,
            completed(0, "abc", count=3, reboot=True),
            of(off, skipped(0)),
            of(elsewhere, completed(0)),
            *(of(gone, each) for each in (completed(0, "a"), *_not_found())),
        )
        fleet = [vm async for page in read_fleet(table) for vm in page]
        assert [vm.vm_id for vm in fleet] == [str(elsewhere), str(VM_ID), str(off)]
        _, here, never = fleet
        assert set(here.open_alerts) == {"CriticalOrSecurityPatchesAvailable", "RebootPending"}
        assert here.critical_and_security_count == 3
        assert here.assessed_at == completed(0).time
        assert (never.assessed_at, never.attempt_reason) == (None, "VmNotRunning")
        only = [vm async for page in read_fleet(table, OTHER_SUBSCRIPTION.upper()) for vm in page]
        assert [vm.vm_id for vm in only] == [str(elsewhere)]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("Retired eq false and OpenAlerts gt 0", [VM_ID.name]),
        (
            "Retired eq false and PatchesAlertFiredAt lt datetime'2026-01-06T00:00:00Z'",
            [VM_ID.name],
        ),
        ("Retired eq false and PatchesAlertFiredAt lt datetime'2026-01-01T00:00:00Z'", []),
        (
            f"PartitionKey eq '{VM_ID.subscription_id}' and Retired eq false and Assessed eq false",
            ["off"],
        ),
        (
            (
                f"PartitionKey eq '{VM_ID.subscription_id}'"
                " and RowKey ge 'group|' and RowKey lt 'group}'"
            ),
            ["gone", "off"],
        ),
        ("Retired eq true and RetiredAt lt datetime'2027-01-01T00:00:00Z'", ["gone"]),
    ],
)
async def test_the_documented_queries_find_what_they_say(
    azurite: Azurite, query: str, names: list[str]
) -> None:
    """Those of docs/alerts.md; a group whose name begins like another one's is not among them."""
    named = {
        name: VirtualMachineId(VM_ID.subscription_id, group, name)
        for name, group in (("off", "group"), ("gone", "Group"), ("other", "group-2"))
    }
    async with _new_table(azurite) as table:
        await publish(
            table,
            completed(0, "abc", count=3, reboot=True),
            of(named["off"], skipped(0)),
            of(named["other"], completed(0)),
            *(of(named["gone"], each) for each in (completed(0, "a"), *_not_found())),
        )
        found = [row["VmId"].split("/")[-1] async for row in table.query_entities(query)]
    assert found == names


async def test_the_command_prints_what_is_in_the_table(azurite: Azurite) -> None:
    """Named by the settings that the app has; one JSON object for each VM, or tables."""
    async with _new_table(azurite) as table:
        await publish(table, completed(0, "abc", count=3))
        settings = {"PostureStorage": azurite.connection_string, "POSTURE_TABLE": table.table_name}
        code, lines = await command(settings, "--json")
        assert code == 0
        assert json.loads(lines)["vmId"] == str(VM_ID)
        code, text = await command(settings)
        assert code == 0
        assert f"{VM_ID.resource_group}/{VM_ID.name}" in text
        code, text = await command(settings | {"POSTURE_TABLE": "nothing"})
        assert code == 1
        assert "There is no table nothing" in text
        code, text = await command({})
        assert code == 2
        assert "No storage is named" in text


async def test_patches_are_asked_for_from_the_table_alone(azurite: Azurite) -> None:
    """By how many VMs lack them, or the VMs by a patch; not those of a VM that is gone."""
    twin = VirtualMachineId(VM_ID.subscription_id, "group", "twin")
    never = VirtualMachineId(VM_ID.subscription_id, "group", "never")
    gone = VirtualMachineId(VM_ID.subscription_id, "group", "gone")
    elsewhere = VirtualMachineId(OTHER_SUBSCRIPTION, "group", "elsewhere")
    async with _new_table(azurite) as table:
        await publish(
            table,
            completed(0, ["openssl", "curl"]),
            of(twin, completed(0, ["openssl"])),
            of(never, skipped(0)),
            of(elsewhere, completed(0, ["OpenSSL-libs"])),
            *(of(gone, each) for each in (completed(0, ["openssl"]), *_not_found())),
        )
        settings = {"PostureStorage": azurite.connection_string, "POSTURE_TABLE": table.table_name}
        code, text = await command(settings, "--csv", name="patches")
        assert code == 0
        head, *lines, said = text.splitlines()
        assert head == "vms,name,version,kb,classification,criticalOrSecurity"
        assert [line.split(",")[:2] for line in lines] == [
            ["2", "openssl"],
            ["1", "OpenSSL-libs"],
            ["1", "curl"],
        ]
        assert said.startswith("Of 1 VMs it is not known what they lack")
        code, text = await command(settings, "openssl", "--json", name="patches")
        assert code == 0
        found = [json.loads(line) for line in text.splitlines()[:-1]]
        assert [each["vmId"] for each in found] == [str(elsewhere), str(VM_ID), str(twin)]
        assert {each["assessedAt"] for each in found} == {completed(0).time.isoformat()}
        only = ("--subscription", OTHER_SUBSCRIPTION.upper())
        code, text = await command(settings, "openssl", "--json", *only, name="patches")
        assert [json.loads(line)["vmId"] for line in text.splitlines()] == [str(elsewhere)]
        code, text = await command(settings, "nothing-like-it", name="patches")
        assert (code, "No VM is known to lack it." in text) == (0, True)


async def command(
    settings: dict[str, str], *arguments: str, name: str = "posture"
) -> tuple[int | None, str]:
    """Runs a command; returns its exit code and all that it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "patch_assessor_cli",
        name,
        *arguments,
        cwd=ROOT,
        env=os.environ | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_azurite_ends_with_the_process_that_has_it(tmp_path: Path) -> None:
    """Killed, not stopped: nothing is left listening."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "localcloud.azurite",
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(BOUND_SECONDS):
        ready = json.loads(await process.stdout.readline())
    host, port = ready["tableEndpoint"].split("/")[2].split(":")
    assert await _connection_ends(host, int(port), process.kill)
    await process.wait()
    async with asyncio.timeout(BOUND_SECONDS):
        # The listener may go a moment after the connection.
        while await _connection_ends(host, int(port)):
            pass


async def _connection_ends(
    host: str, port: int, once_open: Callable[[], None] = lambda: None
) -> bool:
    """Waits until the other side ends a connection; returns False if there is none to be had."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return False
    except ConnectionResetError:
        return True  # the listener went in the middle of the handshake
    once_open()
    with suppress(ConnectionResetError):
        await reader.read()
    writer.close()
    return True


async def test_an_azurite_that_cannot_be_installed_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No registry answers: npm's own words are in the error, and nothing half is left behind."""
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(AzuriteError, match="ECONNREFUSED"):
        async with run_azurite(tmp_path / "cache"):
            pass
    assert list((tmp_path / "cache").iterdir()) == []


def _not_found() -> tuple[Outcome, Outcome]:
    return failed(1, "ResourceNotFound"), failed(2, "ResourceNotFound")
