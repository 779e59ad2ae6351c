"""azd itself, driven through up, down and up again against a stand-in for Azure.

The stand-in takes any template: this shows what azd and the hooks do, not what Azure accepts. It
lies beside the repository on some machines, and azd is on the PATH of some; elsewhere this is
skipped.
AZD and FAKE_AZURE name them where they are elsewhere.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.package import shipped_files
from tests.support.deployment_hooks import SUBSCRIPTION, Arm, arm_over_tls, path_with

_ROOT = Path(__file__).parents[2]
_TOOLS = _ROOT.parent / "shared" / "tools"
_AZD = shutil.which(os.environ.get("AZD", "azd"))
_STAND_IN = Path(os.environ.get("FAKE_AZURE", _TOOLS / "azd" / "fake_azure.py"))
_BICEP = Path(os.environ.get("BICEP") or shutil.which("bicep") or _TOOLS / "bicep")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(_AZD is None, reason="azd is not on the PATH (AZD names it)"),
    pytest.mark.skipif(
        not _STAND_IN.is_file(),
        reason=f"no stand-in for Azure at {_STAND_IN} (FAKE_AZURE names it)",
    ),
    pytest.mark.skipif(not _BICEP.is_file(), reason="no Bicep compiler (BICEP names it)"),
]

_COMMAND_SECONDS = 900
_START_SECONDS = 60
_PRINCIPAL = "33333333-3333-3333-3333-333333333333"  # the stand-in's
_LEFT = ("patch-assessor_env/pyvenv.cfg", "venv/pyvenv.cfg", "node_modules/azurite/package.json")
"""What `azd restore` and developers leave in the project."""


@dataclass
class Driven:
    """What came of each command.

    Attributes:
        project: the copy of the repository in which azd works.
        stand_in: where the stand-in keeps what it was sent.
        environments: the azd environment after each command.
        output: what each command printed.
        arm: what the hooks asked.
    """

    project: Path
    stand_in: Path
    variables: Mapping[str, str]
    arm: Arm
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    output: dict[str, str] = field(default_factory=dict)

    def azd(self, name: str, *command: str) -> None:
        """Runs azd to its end; `name` is what the tests know the step by."""
        done = subprocess.run(  # noqa: S603 - azd, with the test's own arguments
            [str(_AZD), *command, "--no-prompt"],
            cwd=self.project,
            env={**self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"azd {' '.join(command)}:\n{done.stdout}"
        self.output[name] = done.stdout
        self.environments[name] = dict(
            re.findall(r'^(\w+)="?(.*?)"?$', self._environment().read_text(), re.MULTILINE)
        )

    def _environment(self) -> Path:
        return self.project / ".azure" / "e2e" / ".env"

    @property
    def deployments(self) -> list[dict[str, Any]]:
        """The parameters of each deployment that had resources, in order."""
        files = sorted(
            self.stand_in.glob("deployment-*.json"), key=lambda each: int(each.stem.split("-")[1])
        )
        sent = [json.loads(each.read_text())["properties"] for each in files]
        return [each["parameters"] for each in sent if each.get("template", {}).get("resources")]

    @property
    def packages(self) -> list[set[str]]:
        """The names in each package that was published."""
        return [
            set(zipfile.ZipFile(each).namelist())
            for each in sorted(self.stand_in.glob("published-*.zip"))
        ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The stand-in's folder and port."""
    folder, port = tmp_path_factory.mktemp("azure"), _free_port()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - a script of this machine's
            [sys.executable, str(_STAND_IN), str(folder), str(port)], stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + _START_SECONDS
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, "the stand-in does not listen"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                break
        yield folder, port
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def driven(
    stand_in: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driven]:
    """Up, down, up with events, down, and up with events from the start."""
    folder, port = stand_in
    home = tmp_path_factory.mktemp("home")
    project = _project(home / "patch-assessor")
    with arm_over_tls(home) as arm:
        _answer(arm)
        bundle = home / "authorities.pem"
        bundle.write_text((folder / "ca.pem").read_text() + arm.certificate.read_text())
        azd_config = home / "azd"
        driven = Driven(
            project,
            folder,
            {
                "PATH": path_with(Path(str(_AZD)).parent, Path(sys.executable).parent),
                "HOME": str(home),
                "HTTPS_PROXY": f"http://127.0.0.1:{port}",
                "NO_PROXY": "127.0.0.1",
                "SSL_CERT_FILE": str(bundle),
                "ARM_ENDPOINT": arm.origin,
                "AZD_AUTH_ENDPOINT": f"http://127.0.0.1:{port}/auth",
                "AZD_AUTH_KEY": "k",
                "AZD_BICEP_TOOL_PATH": str(_BICEP),
                "AZD_CONFIG_DIR": str(azd_config),
                "AZD_SKIP_UPDATE_CHECK": "true",
                "AZURE_DEV_COLLECT_TELEMETRY": "no",
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            },
            arm,
        )
        in_europe = ("--subscription", SUBSCRIPTION, "--location", "westeurope")
        driven.azd("new", "env", "new", "e2e", *in_europe)
        driven.azd("up", "up")
        driven.azd("down", "down", "--force")
        driven.azd("set", "env", "set", "EVENT_GRID", "true")
        driven.azd("up with events", "up")
        driven.azd("down again", "down", "--force")
        driven.azd("up once more", "up")
        yield driven


def _project(target: Path) -> Path:
    """Returns a copy of what azd reads of the repository, with what lies about in a used one."""
    for path in (
        *shipped_files(_ROOT),
        *map(Path, ("azure.yaml", ".funcignore", "pyproject.toml")),
    ):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_ROOT / path, target / path)
    shutil.copytree(
        _ROOT / "infra", target / "infra", ignore=shutil.ignore_patterns(".venv", "__pycache__")
    )
    for name in _LEFT:
        (target / name).parent.mkdir(parents=True)
        (target / name).touch()
    return target


def _answer(arm: Arm) -> None:
    """Lets the hooks find the providers registered, the function listed, a role left behind."""
    scope = f"/subscriptions/{SUBSCRIPTION}"
    roles = f"{scope}/providers/Microsoft.Authorization"
    for bicep in (_ROOT / "infra").rglob("*.bicep"):
        for name in re.findall(r"'(Microsoft\.\w+)/", bicep.read_text()):
            arm.answers[f"GET {scope}/providers/{name}"] = [
                (200, {"registrationState": "Registered"})
            ]
    site = f"{scope}/resourceGroups/rg-e2e/providers/Microsoft.Web/sites/func-fake"
    arm.answers[f"GET {site}/functions"] = [(200, {"value": [{"name": "resource_events"}]})]
    left = {"id": f"{roles}/roleAssignments/a", "properties": {"roleDefinitionId": "d"}}
    arm.answers[f"GET {roles}/roleAssignments"] = [(200, {"value": [left]}), (200, {"value": []})]
    arm.answers[f"GET {roles}/roleDefinitions"] = [(200, {"value": []})]
    arm.answers[f"DELETE {roles}/roleAssignments/a"] = [(204, {})]


def test_the_package_is_the_app_whatever_lies_about(driven: Driven) -> None:
    """By .funcignore, which azd reads as infra/package.py does: to the last file."""
    assert len(driven.packages) == 3
    for names in driven.packages:
        assert names == {path.as_posix() for path in shipped_files(_ROOT)}


def test_every_hook_says_its_piece_and_stops_nothing(driven: Driven) -> None:
    """The providers are looked at before each provisioning."""
    looked = [path for method, path in driven.arm.asked if path.endswith("/Microsoft.App")]
    assert len(looked) == len(driven.deployments)


def test_events_are_subscribed_to_after_the_function_is_there(driven: Driven) -> None:
    """In the first `up` that wants them, and anew after a `down`: never before a deployment."""
    subscribed = [each.get("subscribeEvents", {"value": False}) for each in driven.deployments]
    assert [str(each["value"]).lower() == "true" for each in subscribed] == [
        *(False,),  # up
        *(False, True),  # up with events: the first, and the hook's
        *(False, True),  # up once more
    ]
    assert driven.environments["up with events"]["SUBSCRIBE_EVENTS"] == "true"
    assert "SUBSCRIBE_EVENTS" not in driven.environments["down again"]


def test_after_a_down_nothing_has_to_be_set_again(driven: Driven) -> None:
    """What was chosen is kept, the region too; what was made is forgotten."""
    left = driven.environments["down"]
    assert left["AZURE_LOCATION"] == "westeurope"
    assert "ASSESSOR_PRINCIPAL_ID" not in left
    assert driven.environments["down again"]["EVENT_GRID"] == "true"


def test_what_azd_leaves_at_the_subscription_is_taken_away(driven: Driven) -> None:
    """By the identity that azd itself has forgotten by then."""
    gone = [path for method, path in driven.arm.asked if method == "DELETE"]
    assert [path.rpartition("/")[2] for path in gone][:1] == ["a"]
    assert driven.environments["down"]["DOWN_PRINCIPAL_ID"] == ""
    assert driven.environments["up"]["ASSESSOR_PRINCIPAL_ID"] == _PRINCIPAL
