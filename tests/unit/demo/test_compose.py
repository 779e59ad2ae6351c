"""compose.yaml starts the emulators with what the app and the sample settings expect of them.

Read line by line: it can't be run where there is no Docker, and nothing else here needs YAML.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
COMPOSE = (ROOT / "compose.yaml").read_text("utf-8")
SAMPLE = json.loads((ROOT / "local.settings.sample.json").read_text("utf-8"))["Values"]


def test_the_emulator_has_the_projects_entities() -> None:
    """It is given the same file as the local bus, where it looks for its configuration."""
    (mounted,) = re.findall(r"- (\S+):/ServiceBus_Emulator/ConfigFiles/Config\.json:ro", COMPOSE)
    assert (ROOT / mounted).resolve() == ROOT / "infra" / "servicebus.json"


def test_the_ports_are_those_of_the_sample_settings_on_this_machine_alone() -> None:
    """AMQP's own for `sb://localhost`, and the three that `UseDevelopmentStorage=true` means."""
    published = re.findall(r"- ([\d.]+):(\d+):(\d+)", COMPOSE)
    assert {address for address, _, _ in published} == {"127.0.0.1"}
    assert all(outside == inside for _, outside, inside in published)
    assert {port for _, port, _ in published} == {"5672", "5300", "10000", "10001", "10002"}
    assert SAMPLE["ServiceBus"].startswith("Endpoint=sb://localhost;")
    assert "UseDevelopmentEmulator=true" in SAMPLE["ServiceBus"]
    assert SAMPLE["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"


def test_nobody_accepts_a_licence_unasked() -> None:
    """Who starts it has to say so."""
    accepted = re.findall(r"ACCEPT_EULA: (.*)", COMPOSE)
    assert len(accepted) == 2
    assert all(value.startswith("${ACCEPT_EULA:?") for value in accepted)
