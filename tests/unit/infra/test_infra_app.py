"""The deployment gives the app what it reads, names and calls: all of it, and nothing more."""

import ast
import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from assessor.events.event import RULES
from assessor.settings import Settings, read_settings
from tests.support.deployments import APPS, DEPLOYMENTS, INFRA, SUBSCRIPTION, Deployment

_ROOT = Path(__file__).parents[3]
_each_app = pytest.mark.parametrize("deployment", APPS.values(), ids=APPS)

_LOCAL_ONLY = {"ServiceBus", "PostureStorage", "AzureWebJobsStorage", "ARM_ENDPOINT"}
"""Connection strings, and another ARM: for the local cloud and the emulators."""

_INSTEAD = {"AzureWebJobsStorage__accountName"}
"""Where tables are if nothing else says so."""

_PLATFORM = {
    # https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "ServiceBus__credential",
    "PostureStorage__credential",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "PYTHON_ENABLE_OPENTELEMETRY",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
}
"""What the Functions host, the worker, the SDKs and OpenTelemetry read."""

_ROLES = {
    # https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
    "090c5cfd-751d-490a-894a-3ce6f1109419": "Azure Service Bus Data Owner",
    "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0": "Azure Service Bus Data Receiver",
    "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39": "Azure Service Bus Data Sender",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "76199698-9eea-4c19-bc75-cec21354c6b6": "Storage Table Data Reader",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
}

_ACTIONS = {
    "get": {
        "Microsoft.Compute/virtualMachines/read",
        "Microsoft.Compute/virtualMachines/instanceView/read",  # with $expand=instanceView
    },
    "list": {"Microsoft.Compute/virtualMachines/read"},
    "list_all": {"Microsoft.Compute/virtualMachines/read"},
    "begin_assess_patches": {
        "Microsoft.Compute/virtualMachines/assessPatches/action",
        "Microsoft.Compute/locations/operations/read",  # its poller
    },
}
"""What ARM asks for, by the SDK's operation."""


def _settings_read() -> set[str]:
    return {field.alias for field in Settings.model_fields.values() if field.alias}


def _entities() -> dict[str, Any]:
    config = json.loads((INFRA / "servicebus.json").read_text())
    namespace: dict[str, Any] = config["UserConfig"]["Namespaces"][0]
    return namespace


def _attributes(path: Path, owner: str) -> set[str]:
    """The attributes of `owner` that a module names."""
    tree = ast.parse(path.read_text())
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == owner
    }


def _entity_attributes(*paths: Path) -> set[str]:
    named = set().union(*(_attributes(path, "settings") for path in paths))
    return {name for name in named if name.endswith(("_queue", "_topic"))}


@cache
def _sent_to() -> set[str]:
    """What the app's parts keep as the name of an entity, and send to."""
    return {
        ast.unparse(node.args[0])
        for path in (_ROOT / "assessor").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("bus.send") and node.args
    }


@cache
def _sdk_operations() -> set[str]:
    """The operations on VMs that the app calls in azure-mgmt-compute."""
    return {
        node.attr
        for path in (_ROOT / "assessor").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "virtual_machines"
    }


def _grants(deployment: Deployment, principal: str) -> dict[str, set[str]]:
    """Returns the roles on each entity of those whose ID has `principal` in it."""
    found: dict[str, set[str]] = {}
    for each in deployment.assignments:
        if "/Microsoft.ServiceBus/" in each.scope and principal in each.principal:
            entity = re.fullmatch(r".*/namespaces/[\w-]+/(?:queues|topics)/([\w-]+)", each.scope)
            assert entity, f"{each.scope} is wider than an entity"
            found.setdefault(entity[1], set()).add(_ROLES[each.role])
    return found


def _actions(deployment: Deployment, scope: str) -> set[str]:
    """What custom roles let the app do at a scope, or at the one that it lies in."""
    definitions = {
        each.name: each.properties["permissions"][0]["actions"]
        for each in deployment.of("Microsoft.Authorization/roleDefinitions")
    }
    return {
        action
        for each in deployment.assignments
        if scope == each.scope or scope.startswith(f"{each.scope}/")
        for action in definitions.get(each.role, [])
    }


def _needed(operations: Iterable[str]) -> set[str]:
    return set().union(*(_ACTIONS[name] for name in operations))


@_each_app
def test_every_setting_that_the_app_reads_is_set(deployment: Deployment) -> None:
    """But for those that only local runs have. What is missing is added in infra/main.bicep."""
    assert _settings_read() - _LOCAL_ONLY - _INSTEAD - deployment.app_settings.keys() == set()


@_each_app
def test_every_setting_that_is_set_is_read(deployment: Deployment) -> None:
    """By the app, or by what it runs in; a misspelt name would be read by nobody."""
    assert deployment.app_settings.keys() - _settings_read() - _PLATFORM == set()


@_each_app
def test_the_settings_are_ones_that_the_app_accepts(deployment: Deployment) -> None:
    """Plain values are read by the app's own reader; empty ones leave it its defaults."""
    plain = {
        name: value for name, value in deployment.app_settings.items() if not value.startswith("[")
    }
    read_settings(plain | {"ServiceBus__fullyQualifiedNamespace": "example.servicebus.windows.net"})


def test_every_cloud_of_the_app_is_one_that_the_deployment_knows() -> None:
    """Azure calls its clouds otherwise than azure-identity does; the map covers them all."""
    expression = DEPLOYMENTS["default"].app_settings["ARM_CLOUD"]
    annotation = Settings.model_fields["arm_cloud_name"].annotation
    clouds = set(re.findall(r"'(AZURE_\w+)'", expression))
    assert clouds == set(annotation.__args__)  # type: ignore[union-attr] # a Literal


@_each_app
def test_the_names_in_the_deployment_are_the_apps_defaults(deployment: Deployment) -> None:
    """Someone who reads one knows the other, and every one is an entity."""
    entities = _entities()
    names = {each["Name"] for each in (*entities["Queues"], *entities["Topics"])}
    defaults = {
        str(field.alias): field.default
        for field in Settings.model_fields.values()
        if str(field.alias).endswith(("_QUEUE", "_TOPIC"))
    }
    assert defaults.items() <= deployment.app_settings.items()
    assert set(defaults.values()) == names


@_each_app
def test_the_app_has_the_role_for_each_entity_that_it_calls_and_no_other(
    deployment: Deployment,
) -> None:
    """A trigger receives, the worker sends; managing is for scaling on the length of a queue.

    The triggers name the queues they receive from. `build_app`, which puts the app together, names
    everything that the app sends to, and the requests queue, from which a part tells that a message
    came: nothing is sent there.
    """
    receives = _entity_attributes(*(_ROOT / "handlers").glob("*.py"))
    sends = _entity_attributes(_ROOT / "assessor" / "app.py") - {"requests_queue"}
    parts = _sent_to()
    assert "self.in_progress_queue" in parts
    assert "self.requests_queue" not in parts
    owner, receiver, sender = (
        f"Azure Service Bus Data {kind}" for kind in ("Owner", "Receiver", "Sender")
    )
    scales_on_length = deployment.name != "several-scopes"
    needed: dict[str, set[str]] = {}
    for role, names in (({receiver}, receives), ({sender}, sends)):
        for name in names:
            entity = Settings.model_fields[name].default
            managed = scales_on_length and name in receives
            needed[entity] = {owner} if managed else needed.get(entity, set()) | role
    assert _grants(deployment, "userAssignedIdentities/") == needed


def test_others_send_requests_and_receive_outcomes_and_nothing_else() -> None:
    """Nobody but the app sends to the in-progress queue or to a topic, or looks into that queue."""
    sender, receiver = "Azure Service Bus Data Sender", "Azure Service Bus Data Receiver"
    private = DEPLOYMENTS["private"]
    assert _grants(private, "33333333") == {"assessment-requests": {sender}}
    outcomes = {"assessment-results": {receiver}, "patch-alerts": {receiver}}
    assert _grants(private, "44444444") == outcomes
    deployer = {"assessment-requests": {sender, receiver}, **outcomes}
    assert _grants(DEPLOYMENTS["events"], "55555555") == deployer


@_each_app
def test_the_app_has_the_roles_that_its_other_calls_take(deployment: Deployment) -> None:
    """Storage for the host and the tables, ingestion for telemetry, and nothing else."""
    code = "".join(path.read_text() for path in (_ROOT / "assessor").rglob("*.py"))
    assert "azure.data.tables" in code
    assert "AzureMonitorTraceExporter" in code
    elsewhere = {
        (each.scope.partition("/providers/")[2].partition("/")[2].partition("/")[0], each.role)
        for each in deployment.of_app
        if "/providers/" in each.scope and "/Microsoft.ServiceBus/" not in each.scope
    }
    assert {(kind, _ROLES[role]) for kind, role in elsewhere} == {
        ("storageAccounts", "Storage Blob Data Owner"),
        ("storageAccounts", "Storage Table Data Contributor"),
        ("components", "Monitoring Metrics Publisher"),
    }


def test_whoever_deploys_reads_the_tables_only_where_that_was_asked_for() -> None:
    """Roles for the deployer are a choice."""
    for deployment in APPS.values():
        roles = {
            _ROLES[each.role] for each in deployment.assignments if "55555555" in each.principal
        }
        assert ("Storage Table Data Reader" in roles) == (deployment.name == "events")


@pytest.mark.parametrize(
    ("name", "vm"),
    [
        ("default", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-any/providers/vm"),
        ("several-scopes", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop/providers/vm"),
        *(
            ("several-scopes", f"/subscriptions/{'a' * 8}-aaaa-aaaa-aaaa-{'a' * 12}/{below}")
            for below in (
                "resourceGroups/rg-web/providers/vm",
                "resourceGroups/rg-data/providers/vm",
                "resourceGroups/rg-batch/providers/vm",
            )
        ),
        (
            "several-scopes",
            f"/subscriptions/{'b' * 8}-bbbb-bbbb-bbbb-{'b' * 12}/resourceGroups/rg/providers/vm",
        ),
        ("management-group", "/providers/Microsoft.Management/managementGroups/corp"),
    ],
)
def test_what_may_be_assessed_can_be(name: str, vm: str) -> None:
    """At each VM the app may do what its calls take, and no more; following is the subscription's.

    An operation's URL lies under the subscription and not under the VM: without a right there every
    poll would answer 403 after a begin that succeeded.
    """
    operations = _sdk_operations()
    assert operations <= _ACTIONS.keys()
    deployment = DEPLOYMENTS[name]
    assert _actions(deployment, vm) == _needed(operations)
    subscription = vm.partition("/resourceGroups/")[0]
    assert "Microsoft.Compute/locations/operations/read" in _actions(deployment, subscription)


def test_what_may_not_be_assessed_can_not_be() -> None:
    """Resource groups that nobody named stay closed, and so does everything where nothing was."""
    several = DEPLOYMENTS["several-scopes"]
    other = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-other/providers/vm"
    follow = {"Microsoft.Compute/locations/operations/read"}
    assert _actions(several, other) == follow
    assert _actions(DEPLOYMENTS["existing-resources"], other) == set()


def test_each_custom_role_is_defined_once_and_named_for_where_it_is() -> None:
    """Names of roles are unique in a tenant; one subscription named twice has one definition."""
    names = [
        each.properties["roleName"]
        for each in DEPLOYMENTS["several-scopes"].of("Microsoft.Authorization/roleDefinitions")
    ]
    assert len(names) == 2 * 3
    assert len(set(names)) == len(names)
    for deployment in DEPLOYMENTS.values():
        for each in deployment.of("Microsoft.Authorization/roleDefinitions"):
            (scope,) = each.properties["assignableScopes"]
            assert each.properties["roleName"].endswith(f" {scope.rpartition('/')[2]}")


def test_the_events_that_are_subscribed_are_those_that_the_app_understands() -> None:
    """But for resource notifications, which tell of the same changes again."""
    subscriptions = DEPLOYMENTS["events"].of("Microsoft.EventGrid/systemTopics/eventSubscriptions")
    filters = [each.properties["filter"] for each in subscriptions]
    types = {kind for each in filters for kind in each["includedEventTypes"]}
    operations = {
        value for each in filters for one in each["advancedFilters"] for value in one["values"]
    }
    rules = [rule for rule in RULES if rule.type.startswith(("Microsoft.Res", "Microsoft.Main"))]
    rules = [rule for rule in rules if "ResourceNotifications" not in rule.type]
    assert types == {rule.type for rule in rules}
    assert operations == {rule.about for rule in rules if rule.about}


@pytest.mark.parametrize("name", ["events", "existing-resources"])
def test_the_function_that_takes_events_is_the_one_that_is_subscribed(name: str) -> None:
    """Event Grid would refuse a function that is not there."""
    for each in DEPLOYMENTS[name].of("Microsoft.EventGrid/systemTopics/eventSubscriptions"):
        function = each.properties["destination"]["properties"]["resourceId"].rpartition("/")[2]
        assert f'.function_name("{function}")' in (_ROOT / "handlers" / "events.py").read_text()


def test_always_ready_names_a_function() -> None:
    """The example in the golden deployment is one that Azure would take."""
    site = DEPLOYMENTS["several-scopes"].one("Microsoft.Web/sites").properties
    code = "".join(path.read_text() for path in (_ROOT / "handlers").glob("*.py"))
    for each in site["functionAppConfig"]["scaleAndConcurrency"]["alwaysReady"]:
        kind, _, function = each["name"].partition(":")
        assert kind == "function"
        assert f'"{function}"' in code


def test_every_built_in_role_is_known() -> None:
    """Each role's ID is one of Azure's."""
    custom = {
        each.name
        for deployment in DEPLOYMENTS.values()
        for each in deployment.of("Microsoft.Authorization/roleDefinitions")
    }
    assigned = {each.role for deployment in DEPLOYMENTS.values() for each in deployment.assignments}
    assert assigned - custom == _ROLES.keys()


def test_what_only_the_cloud_allows_outlives_what_the_emulator_does() -> None:
    """The names are the emulator's; an assessment is waited for longer than an hour."""
    cloud = json.loads((INFRA / "servicebus-cloud.json").read_text())
    entities = _entities()
    for kind, sample in (
        ("queues", entities["Queues"][0]),
        ("topics", entities["Topics"][0]),
        ("subscriptions", entities["Topics"][0]["Subscriptions"][0]),
    ):
        assert cloud[kind].keys() <= sample["Properties"].keys()
        assert re.fullmatch(r"P\d+D", cloud[kind]["DefaultMessageTimeToLive"])


def test_every_check_that_is_skipped_says_why() -> None:
    """`make check-infra` runs checkov; what it is told not to look at has a reason beside it."""
    lines = (INFRA / "checkov.yaml").read_text().splitlines()
    skipped = [line for line in lines if line.lstrip().startswith("- ")]
    assert skipped
    for line in skipped:
        assert re.fullmatch(r"  - CKV_AZURE_\d+ # \w.{5,}", line), line
