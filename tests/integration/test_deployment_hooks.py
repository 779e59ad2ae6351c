"""The hooks that azd runs, each as azd runs it, with commands and an ARM that answer for Azure."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core import AzureClouds
from azure.mgmt.core.tools import get_arm_endpoints

from tests.support.deployment_hooks import (
    HOOKS,
    SIGNED_IN,
    SUBSCRIPTION,
    TOKEN,
    Answer,
    Arm,
    Commands,
    arm_over_tls,
)

pytestmark = pytest.mark.integration

VALUES = {
    "AZURE_ENV_NAME": "dev",
    "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
    "AZURE_RESOURCE_GROUP": "rg-dev",
    "AZURE_FUNCTION_NAME": "func-x",
    "AZURE_LOCATION": "westeurope",
    "ASSESSOR_PRINCIPAL_ID": "principal-1",
}
SCOPE = f"/subscriptions/{SUBSCRIPTION}"
SITE = f"{SCOPE}/resourceGroups/rg-dev/providers/Microsoft.Web/sites/func-x/functions"
ROLES = f"{SCOPE}/providers/Microsoft.Authorization"
LISTED = (200, {"value": [{"name": "func-x/start_assessment"}, {"name": "func-x/resource_events"}]})
REFUSED = (403, {"error": {"code": "AuthorizationFailed", "message": "secret"}})
PROVIDERS = (
    *("Microsoft.App", "Microsoft.EventGrid", "Microsoft.Insights", "Microsoft.ManagedIdentity"),
    *("Microsoft.Network", "Microsoft.OperationalInsights", "Microsoft.ServiceBus"),
    *("Microsoft.Storage", "Microsoft.Web"),
)


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Arm]:
    with arm_over_tls(tmp_path) as arm:
        yield arm


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path / "bin", ["azd"], SIGNED_IN)


def of_azd(commands: Commands) -> list[list[str]]:
    """Returns what azd was told to do, apart from giving a token and its configuration."""
    return [each[1:] for each in commands.calls if each[1] not in {"auth", "config"}]


# ---- preprovision ----


def provider(namespace: str) -> str:
    return f"GET {SCOPE}/providers/{namespace}"


def all_registered(arm: Arm) -> None:
    for each in PROVIDERS:
        arm.answers[provider(each)] = [(200, {"registrationState": "Registered"})]


def test_registered_providers_are_left_alone(arm: Arm, commands: Commands) -> None:
    """Each that infra/ names is looked at, and Microsoft.App, which no resource names."""
    all_registered(arm)
    done = commands.run("preprovision", **VALUES, **arm.settings)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path for _, path in arm.asked} >= {f"{SCOPE}/providers/{each}" for each in PROVIDERS}
    assert {method for method, _ in arm.asked} == {"GET"}
    assert arm.tokens == {TOKEN}


def test_a_provider_that_is_not_registered_is_registered_and_waited_for(
    arm: Arm, commands: Commands
) -> None:
    all_registered(arm)
    arm.answers[provider("Microsoft.App")] = [
        (200, {"registrationState": state})
        for state in ("NotRegistered", "Registering", "Registered")
    ]
    arm.answers[f"POST {SCOPE}/providers/Microsoft.App/register"] = [(200, {})]
    done = commands.run("preprovision", **VALUES, **arm.settings, PROVIDERS_WAIT_SECONDS="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Registering Microsoft.App\n"
    assert arm.asked.count(("POST", f"{SCOPE}/providers/Microsoft.App/register")) == 1


def test_a_registration_that_takes_long_is_not_waited_for_without_end(
    arm: Arm, commands: Commands
) -> None:
    all_registered(arm)
    arm.answers[provider("Microsoft.App")] = [(200, {"registrationState": "Registering"})]
    arm.answers[f"POST {SCOPE}/providers/Microsoft.App/register"] = [(200, {})]
    done = commands.run("preprovision", **VALUES, **arm.settings, PROVIDERS_WAIT_SECONDS="0")
    assert done.returncode == 0
    assert "still being registered" in done.stdout


def test_who_may_not_register_is_told_what_to_ask_for(arm: Arm, commands: Commands) -> None:
    """Before anything is deployed, and all at once."""
    all_registered(arm)
    for each in ("Microsoft.App", "Microsoft.ServiceBus"):
        arm.answers[provider(each)] = [(200, {"registrationState": "NotRegistered"})]
        arm.answers[f"POST {SCOPE}/providers/{each}/register"] = [REFUSED]
    done = commands.run("preprovision", **VALUES, **arm.settings)
    assert done.returncode == 1
    for each in ("Microsoft.App", "Microsoft.ServiceBus"):
        command = f"az provider register --namespace {each} --subscription {SUBSCRIPTION}"
        assert command in done.stderr
    assert "secret" not in done.stderr


def test_who_may_not_read_providers_deploys_all_the_same(arm: Arm, commands: Commands) -> None:
    for each in PROVIDERS:
        arm.answers[provider(each)] = [REFUSED]
    done = commands.run("preprovision", **VALUES, **arm.settings)
    assert done.returncode == 0
    assert "could not be read" in done.stdout


def test_who_is_not_signed_in_is_told_so(arm: Arm, commands: Commands) -> None:
    commands.answer(Answer(["azd", "auth", "token"], err="not logged in", code=1))
    done = commands.run("preprovision", **VALUES, **arm.settings)
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: Sign in with `azd auth login`.")
    assert "not logged in" in done.stderr


@pytest.mark.parametrize("hook", ["preprovision", "postdeploy", "predown", "postdown"])
def test_a_hook_that_is_run_without_azd_says_how_to_run_it(hook: str, commands: Commands) -> None:
    done = commands.run(hook, EVENT_GRID="true")
    assert done.returncode == 1
    assert "azd hooks run" in done.stderr
    assert "Traceback" not in done.stderr


# ---- postprovision ----


def test_no_management_group_needs_no_deployment(commands: Commands) -> None:
    done = commands.run("postprovision", **VALUES)
    assert (done.returncode, done.stdout, commands.calls) == (0, "", [])


def test_the_management_groups_assignment_is_a_deployment_of_its_own(tmp_path: Path) -> None:
    commands = Commands(tmp_path / "bin", ["azd", "az"], [Answer(["az", "deployment", "mg"])])
    done = commands.run("postprovision", **VALUES, ASSESS_MANAGEMENT_GROUP="corp")
    assert done.returncode == 0, done.stderr
    (call,) = commands.calls
    assert call[:5] == ["az", "deployment", "mg", "create", "--management-group-id"]
    assert call[5] == "corp"
    assert "principalId=principal-1" in call
    assert Path(call[call.index("--template-file") + 1]).is_file()


@pytest.mark.parametrize("there", [["azd"], ["azd", "az"]])
def test_who_may_not_assign_at_the_management_group_gets_the_command(
    there: list[str], tmp_path: Path
) -> None:
    """The deployment goes on: the app is of use for whatever else it may assess."""
    refuses = Answer(["az"], err="AuthorizationFailed", code=1)
    commands = Commands(tmp_path / "bin", there, [refuses])
    done = commands.run("postprovision", **VALUES, ASSESS_MANAGEMENT_GROUP="corp")
    assert done.returncode == 0
    assert "az deployment mg create --management-group-id corp" in done.stdout
    assert "principalId=principal-1" in done.stdout


# ---- postdeploy ----


@pytest.mark.parametrize(
    "values", [{}, {"EVENT_GRID": "false"}, {"EVENT_GRID": "true", "SUBSCRIBE_EVENTS": "true"}]
)
def test_without_events_to_subscribe_to_nothing_is_done(
    values: dict[str, str], commands: Commands
) -> None:
    done = commands.run("postdeploy", **VALUES, **values)
    assert (done.returncode, commands.calls) == (0, [])


def test_events_are_subscribed_to_once_the_function_is_listed(arm: Arm, commands: Commands) -> None:
    """A site that has just been deployed answers 404 and an empty list before it answers."""
    arm.answers[f"GET {SITE}"] = [(404, {}), LISTED]
    done = commands.run(
        "postdeploy", **VALUES, **arm.settings, EVENT_GRID="true", FUNCTION_WAIT_SECONDS="1"
    )
    assert done.returncode == 0, done.stderr
    assert of_azd(commands) == [
        ["env", "set", "SUBSCRIBE_EVENTS", "true", "--environment", "dev"],
        ["provision", "--no-prompt", "--environment", "dev"],
    ]


@pytest.mark.parametrize(
    "answer", [(200, {"value": []}), (503, {}), (200, {"value": [{"name": "func-x/other"}]})]
)
def test_a_function_that_never_comes_is_not_waited_for_without_end(
    answer: tuple[int, dict[str, Any]], arm: Arm, commands: Commands
) -> None:
    """Nothing was set, and the error says how to try again."""
    arm.answers[f"GET {SITE}"] = [answer]
    done = commands.run(
        "postdeploy", **VALUES, **arm.settings, EVENT_GRID="true", FUNCTION_WAIT_SECONDS="0"
    )
    assert done.returncode == 1
    assert "azd hooks run postdeploy" in done.stderr
    assert of_azd(commands) == []


def test_a_second_provisioning_that_fails_leaves_nothing_set(arm: Arm, commands: Commands) -> None:
    """The next deployment subscribes; one that went on as if it had would never."""
    arm.answers[f"GET {SITE}"] = [LISTED]
    commands.answer(Answer(["azd", "provision"], code=3), *SIGNED_IN)
    done = commands.run("postdeploy", **VALUES, **arm.settings, EVENT_GRID="true")
    assert done.returncode == 1
    assert "exit code 3" in done.stderr
    assert of_azd(commands)[-1] == [
        *("env", "set", "SUBSCRIBE_EVENTS", "false"),
        *("--environment", "dev"),
    ]


def test_a_wait_that_is_no_number_is_refused(arm: Arm, commands: Commands) -> None:
    done = commands.run(
        "postdeploy", **VALUES, **arm.settings, EVENT_GRID="true", FUNCTION_WAIT_SECONDS="soon"
    )
    assert done.returncode == 1
    assert "FUNCTION_WAIT_SECONDS must be a number of seconds; it is 'soon'." in done.stderr


# ---- predown, postdown ----


def test_what_azd_forgets_is_kept_before_it_does(commands: Commands) -> None:
    done = commands.run("predown", **VALUES)
    assert done.returncode == 0, done.stderr
    assert of_azd(commands) == [
        ["env", "set", "DOWN_PRINCIPAL_ID", "principal-1", "--environment", "dev"],
    ]


KEPT = {
    "AZURE_ENV_NAME": "dev",
    "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
    "DOWN_PRINCIPAL_ID": "principal-1",
}


def definition(name: str, role: str, scopes: tuple[str, ...] = (SCOPE,)) -> dict[str, Any]:
    return {
        "id": f"{ROLES}/roleDefinitions/{name}",
        "name": name,
        "properties": {"roleName": role, "assignableScopes": list(scopes)},
    }


def assignment(name: str, role: str) -> dict[str, Any]:
    return {
        "id": f"{ROLES}/roleAssignments/{name}",
        "properties": {"roleDefinitionId": f"{ROLES}/roleDefinitions/{role}"},
    }


def left_behind(arm: Arm) -> None:
    """What a subscription has after `azd down`, with roles of others among it."""
    arm.answers[f"GET {ROLES}/roleAssignments"] = [
        (200, {"value": [assignment("a1", "d1"), assignment("a2", "d2")]}),
        (200, {"value": [assignment("b1", "d3")]}),
    ]
    arm.answers[f"GET {ROLES}/roleDefinitions"] = [
        (
            200,
            {
                "value": [
                    definition("d1", "Patch Assessor x"),
                    definition("d2", "Patch Assessor Operation Reader x"),
                    definition("d3", "Patch Assessor of-another-environment"),
                    definition("d4", "Somebody's own"),
                    definition(
                        "d5", "Patch Assessor corp", ("/providers/x/managementGroups/corp",)
                    ),
                ]
            },
        )
    ]
    for each in ("roleAssignments/a1", "roleAssignments/a2"):
        arm.answers[f"DELETE {ROLES}/{each}"] = [(200, {})]
    for each in ("roleDefinitions/d1", "roleDefinitions/d2"):
        arm.answers[f"DELETE {ROLES}/{each}"] = [(200, {})]


def test_assignments_and_definitions_that_nobody_needs_are_taken_away(
    arm: Arm, commands: Commands
) -> None:
    """Not those of others, nor one that another environment's app is still assigned."""
    left_behind(arm)
    done = commands.run("postdown", **KEPT, **arm.settings)
    assert done.returncode == 0, done.stderr
    assert [path.removeprefix(f"{ROLES}/") for method, path in arm.asked if method == "DELETE"] == [
        "roleAssignments/a1",
        "roleAssignments/a2",
        "roleDefinitions/d1",
        "roleDefinitions/d2",
    ]
    assert of_azd(commands) == [
        ["env", "set", "DOWN_PRINCIPAL_ID", "", "--environment", "dev"],
    ]


def test_what_was_gone_already_is_no_trouble(arm: Arm, commands: Commands) -> None:
    left_behind(arm)
    arm.answers[f"DELETE {ROLES}/roleAssignments/a1"] = [(404, {})]
    done = commands.run("postdown", **KEPT, **arm.settings)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout


def test_who_may_not_delete_assignments_gets_the_commands(arm: Arm, commands: Commands) -> None:
    """`azd hooks run postdown` goes on from there: the principal is kept."""
    left_behind(arm)
    arm.answers[f"DELETE {ROLES}/roleAssignments/a1"] = [REFUSED]
    done = commands.run("postdown", **KEPT, **arm.settings)
    assert done.returncode == 0
    assert f"az role assignment delete --ids {ROLES}/roleAssignments/a1" in done.stdout
    assert "az role definition delete" in done.stdout
    assert not any(path.startswith(f"{ROLES}/roleDefinitions/") for _, path in arm.asked)
    assert ["env", "set", "DOWN_PRINCIPAL_ID", "", "--environment", "dev"] not in of_azd(commands)


def test_who_may_not_read_roles_gets_the_commands(arm: Arm, commands: Commands) -> None:
    """For each subscription that the app might assess."""
    other = "22222222-2222-2222-2222-222222222222"
    scopes = [{"subscriptionId": each, "resourceGroups": []} for each in (SUBSCRIPTION, other)]
    done = commands.run("postdown", **KEPT, **arm.settings, ASSESS_SCOPES=json.dumps(scopes))
    assert done.returncode == 0
    for each in (SUBSCRIPTION, other):
        command = f"az role assignment delete --assignee principal-1 --scope /subscriptions/{each}"
        assert command in done.stdout


def test_a_management_groups_role_is_named_with_the_commands(arm: Arm, commands: Commands) -> None:
    left_behind(arm)
    done = commands.run("postdown", **KEPT, **arm.settings, ASSESS_MANAGEMENT_GROUP="corp")
    assert "/providers/Microsoft.Management/managementGroups/corp" in done.stdout


TOPIC = f"{SCOPE}/resourceGroups/shared/providers/Microsoft.EventGrid/systemTopics/changes"


def event_subscription(name: str, group: str) -> dict[str, Any]:
    site = f"{SCOPE}/resourceGroups/{group}/providers/Microsoft.Web/sites/func-x"
    return {
        "id": f"{TOPIC}/eventSubscriptions/{name}",
        "name": name,
        "properties": {
            "destination": {
                "endpointType": "AzureFunction",
                "properties": {"resourceId": f"{site}/functions/resource_events"},
            }
        },
    }


@pytest.mark.parametrize(
    "values",
    [
        {"SYSTEM_TOPIC_ID": TOPIC},
        {"MAINTENANCE_CONFIGURATIONS": json.dumps([{"id": "/x", "systemTopicId": TOPIC}])},
    ],
    ids=["the subscription's", "a maintenance configuration's"],
)
def test_event_subscriptions_at_topics_of_others_are_taken_away(
    arm: Arm, commands: Commands, values: dict[str, str]
) -> None:
    """The app's own, and not another environment's or somebody else's at the same topic."""
    left_behind(arm)
    own = event_subscription("patch-assessor-1", "RG-dev")
    other = event_subscription("patch-assessor-2", "rg-prod")
    mail = {"id": f"{TOPIC}/eventSubscriptions/mail", "properties": {"destination": None}}
    arm.answers[f"GET {TOPIC}/eventSubscriptions"] = [(200, {"value": [own, other, mail]})]
    arm.answers[f"DELETE {own['id']}"] = [(202, {})]
    done = commands.run("postdown", **KEPT, **arm.settings, **values)
    assert done.returncode == 0, done.stderr
    deleted = [path for method, path in arm.asked if method == "DELETE" and "EventGrid" in path]
    assert deleted == [own["id"]]
    assert "WARNING" not in done.stdout


def test_who_may_not_unsubscribe_gets_the_command(arm: Arm, commands: Commands) -> None:
    """And the principal is kept, so that the hook can be run again."""
    left_behind(arm)
    own = event_subscription("patch-assessor-1", "rg-dev")
    arm.answers[f"GET {TOPIC}/eventSubscriptions"] = [(200, {"value": [own]})]
    arm.answers[f"DELETE {own['id']}"] = [REFUSED]
    done = commands.run("postdown", **KEPT, **arm.settings, SYSTEM_TOPIC_ID=TOPIC)
    assert done.returncode == 0, done.stderr
    assert f"az resource delete --ids {own['id']}" in done.stdout
    assert of_azd(commands) == []


def test_who_may_not_read_a_topic_gets_the_commands(arm: Arm, commands: Commands) -> None:
    left_behind(arm)
    arm.answers[f"GET {TOPIC}/eventSubscriptions"] = [REFUSED]
    done = commands.run("postdown", **KEPT, **arm.settings, SYSTEM_TOPIC_ID=TOPIC)
    assert done.returncode == 0, done.stderr
    name = f"--system-topic-name changes --subscription {SUBSCRIPTION} --resource-group shared"
    assert f"az eventgrid system-topic event-subscription list {name}" in done.stdout


def test_a_topic_that_is_gone_is_no_trouble(arm: Arm, commands: Commands) -> None:
    left_behind(arm)
    done = commands.run("postdown", **KEPT, **arm.settings, SYSTEM_TOPIC_ID=TOPIC)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout


def test_scopes_that_are_no_json_are_named(arm: Arm, commands: Commands) -> None:
    done = commands.run("postdown", **KEPT, **arm.settings, ASSESS_SCOPES="all")
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: ASSESS_SCOPES must be JSON like")


def test_a_second_down_has_nothing_to_take_away(commands: Commands) -> None:
    done = commands.run(
        "postdown", AZURE_ENV_NAME="dev", AZURE_SUBSCRIPTION_ID=SUBSCRIPTION, DOWN_PRINCIPAL_ID=""
    )
    assert done.returncode == 0
    assert of_azd(commands) == []


# ---- clouds ----


@pytest.mark.parametrize(
    ("name", "cloud"),
    [
        ("AzureCloud", AzureClouds.AZURE_PUBLIC_CLOUD),
        ("AzureUSGovernment", AzureClouds.AZURE_US_GOVERNMENT),
        ("AzureChinaCloud", AzureClouds.AZURE_CHINA_CLOUD),
    ],
)
def test_the_hooks_know_arm_of_each_cloud_as_the_sdk_does(
    name: str, cloud: AzureClouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They can't ask the SDK: azd runs them in a bare Python."""
    monkeypatch.syspath_prepend("infra/hooks")
    from hook_arm import CLOUDS  # noqa: PLC0415 - a script's module, on the path in this test alone

    assert CLOUDS[name] == get_arm_endpoints(cloud)["resource_manager"].rstrip("/")


def test_a_cloud_that_is_none_of_azures_is_named(commands: Commands) -> None:
    commands.answer(Answer(["azd", "config", "get", "cloud.name"], '"Stack"\n'), *SIGNED_IN)
    done = commands.run("preprovision", **VALUES)
    assert done.returncode == 1
    assert "azd's cloud.name is 'Stack'" in done.stderr


def test_a_token_never_goes_over_plain_http(commands: Commands) -> None:
    done = commands.run("preprovision", **VALUES, ARM_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "ARM_ENDPOINT must be an https URL" in done.stderr


# ---- GitHub Actions ----


def test_the_workflow_hands_azd_what_azd_made_variables_of(
    commands: Commands, tmp_path: Path
) -> None:
    """Unescaped, and nothing that is empty: azd would take that for a value."""
    scopes = '[{"subscriptionId": "x", "resourceGroups": ["rg"]}]'
    variables = {
        "AZURE_ENV_NAME": "dev",
        "ASSESS_SCOPES": json.dumps(scopes)[1:-1],  # as azd keeps it
        "MAINTENANCE_CONFIGURATIONS": '[{"id": "by hand"}]',
        "EVENT_GRID": "true",
        "PRIVATE_NETWORK": "",
        "PATH": "/somewhere/else",
    }
    target = tmp_path / "github-env"
    done = commands.run(
        "pipeline_variables", GITHUB_ENV=str(target), VARIABLES=json.dumps(variables)
    )
    assert done.returncode == 0, done.stderr
    lines = target.read_text().splitlines()
    told = {
        start.partition("<<")[0]: text
        for start, text, end in zip(*[iter(lines)] * 3, strict=True)
        if start.partition("<<")[2] == end
    }
    assert told == {
        "AZURE_ENV_NAME": "dev",
        "ASSESS_SCOPES": scopes,
        "MAINTENANCE_CONFIGURATIONS": '[{"id": "by hand"}]',
        "EVENT_GRID": "true",
    }


def test_azd_makes_variables_of_what_the_hooks_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """`azd pipeline config` takes the template's parameters along by itself, and these by name."""
    monkeypatch.syspath_prepend("infra/hooks")
    from pipeline_variables import _HOOKS  # noqa: PLC0415 - a script's module, see above

    project = Path("azure.yaml").read_text()
    named = project.partition("variables:")[2].partition("\nhooks:")[0]
    assert {
        line.strip(" -") for line in named.splitlines() if line.lstrip().startswith("-")
    } == set(_HOOKS)


# ---- azure.yaml ----


def test_azd_is_told_of_every_hook_and_of_the_version_that_can_run_it() -> None:
    """Python hooks came with 1.23.15, their own environment's name with 1.24.0."""
    project = Path("azure.yaml").read_text()
    hooks = dict(re.findall(r"^  (\w+):\n    run: (\S+)$", project, re.MULTILINE))
    assert hooks == {
        Path(each).stem: f"infra/hooks/{each}"
        for each in (
            "preprovision.py",
            "postprovision.py",
            "postdeploy.py",
            "predown.py",
            "postdown.py",
        )
    }
    assert all(Path(each).is_file() for each in hooks.values())
    assert project.count("virtualEnvName: .venv") == len(hooks)
    assert 'azd: ">= 1.24.0"' in project


def test_the_hooks_install_nothing() -> None:
    """Without a requirements.txt beside them azd installs the project; this one has no line."""
    lines = (HOOKS / "requirements.txt").read_text().splitlines()
    assert lines
    assert all(line.startswith("#") for line in lines)
