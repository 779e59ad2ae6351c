"""The deployment gives the app what it reads, names and calls: all of it, and nothing more."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assessor.events.event import RULES
from assessor.settings import Settings, read_settings
from tests.support.bicep import BicepFile, properties, source, text, walk

_ROOT = Path(__file__).parents[2]
_INFRA = _ROOT / "infra"
_MAIN = BicepFile(_INFRA / "main.bicep")
_APP = BicepFile(_INFRA / "app" / "function-app.bicep")
_ACCESS = BicepFile(_INFRA / "app" / "service-bus-access.bicep")
_ALL = [BicepFile(path) for path in sorted(_INFRA.rglob("*.bicep"))]

_LOCAL_ONLY = {"ServiceBus", "PostureStorage", "AzureWebJobsStorage", "ARM_ENDPOINT"}
"""Connection strings, and another ARM: for the local cloud and the emulators."""

_INSTEAD = {"AzureWebJobsStorage__tableServiceUri", "AzureWebJobsStorage__accountName"}
"""Where tables are if PostureStorage__tableServiceUri does not say so."""

_PLATFORM = {
    # https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "ServiceBus__credential",
    "PostureStorage__credential",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
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
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
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


def _settings_set() -> dict[str, str]:
    """The app settings in the deployment, and the expressions of their values."""
    passed = _MAIN.modules["functionApp"].property("params", "appSettings")
    assert passed is not None
    nodes = properties(_APP.variables["commonSettings"]) | properties(passed)
    return {name: source(node) for name, node in nodes.items()}


def _settings_read() -> set[str]:
    return {field.alias for field in Settings.model_fields.values() if field.alias}


def _entities() -> dict[str, Any]:
    config = json.loads((_INFRA / "servicebus.json").read_text())
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


def _grants() -> Iterator[tuple[str, str, frozenset[str]]]:
    """Who has which roles on which entity: the principal's parameter, the entity, the roles."""
    values = {name: text(node) for name, node in _ACCESS.variables.items() if node.type == "string"}
    for module in _ACCESS.modules.values():
        params = module.property("params")
        assert params is not None
        given = properties(params)
        entity = values[source(given.get("queueName") or given["topicName"])]
        roles = given.get("roleIds") or given["roleId"]
        names = {source(node) for node in walk(roles) if node.type == "identifier"}
        yield (
            source(given["principalId"]),
            entity,
            frozenset(_ROLES[values[name]] for name in names if name in values),
        )


def test_every_setting_that_the_app_reads_is_set() -> None:
    """But for those that only local runs have."""
    assert _settings_read() - _LOCAL_ONLY - _INSTEAD - _settings_set().keys() == set()


def test_every_setting_that_is_set_is_read() -> None:
    """By the app, or by what it runs in; a misspelt name would be read by nobody."""
    assert _settings_set().keys() - _settings_read() - _PLATFORM == set()


def test_no_setting_is_set_twice() -> None:
    """What differs between environments is not also set for all of them."""
    passed = _MAIN.modules["functionApp"].property("params", "appSettings")
    assert passed is not None
    assert properties(_APP.variables["commonSettings"]).keys() & properties(passed).keys() == set()


def test_the_settings_are_ones_that_the_app_accepts() -> None:
    """Literal values are read by the app's own reader; empty ones leave it its defaults."""
    literal = {
        name: value.strip("'") for name, value in _settings_set().items() if value.startswith("'")
    }
    schedule = re.search(r"^param scanSchedule string = '(.+)'$", _MAIN.text, re.MULTILINE)
    assert schedule
    read_settings(
        literal
        | {
            "ServiceBus__fullyQualifiedNamespace": "example.servicebus.windows.net",
            "SCAN_SCHEDULE": schedule[1],
        }
    )


def test_every_cloud_of_the_app_is_one_that_the_deployment_knows() -> None:
    """Azure calls its clouds otherwise than azure-identity does; the map covers them all."""
    clouds = properties(_APP.variables["armClouds"])
    annotation = Settings.model_fields["arm_cloud_name"].annotation
    assert {text(node) for node in clouds.values()} == set(annotation.__args__)  # type: ignore[union-attr] # a Literal


def test_every_entity_that_is_named_exists() -> None:
    """In the settings, and where roles are assigned."""
    entities = _entities()
    names = {each["Name"] for each in (*entities["Queues"], *entities["Topics"])}
    settings = {
        value.strip("'")
        for name, value in _settings_set().items()
        if name.endswith(("_QUEUE", "_TOPIC"))
    }
    assert settings == names
    assert {entity for _, entity, _ in _grants()} == names


def test_the_names_in_the_deployment_are_the_apps_defaults() -> None:
    """Someone who reads one knows the other."""
    for field in Settings.model_fields.values():
        if str(field.alias).endswith(("_QUEUE", "_TOPIC")):
            assert _settings_set()[str(field.alias)] == f"'{field.default}'"


def test_the_app_has_the_role_for_each_entity_that_it_calls_and_no_other() -> None:
    """A trigger receives, the worker sends; managing is for scaling on the length of a queue.

    The triggers name the queues they receive from, and the worker, which puts the app together,
    names everything that the app sends to.
    """
    receives = _entity_attributes(*(_ROOT / "handlers").glob("*.py"))
    sends = _entity_attributes(_ROOT / "assessor" / "worker.py")
    owner, receiver, sender = (
        f"Azure Service Bus Data {kind}" for kind in ("Owner", "Receiver", "Sender")
    )
    needed = {
        Settings.model_fields[name].default: frozenset(
            {owner, receiver, sender} if name in receives else {sender}
        )
        for name in receives | sends
    }
    assert receives <= sends, "a queue that is only received from needs no right to send"
    assert {entity: roles for who, entity, roles in _grants() if who == "appPrincipalId"} == needed


def test_others_send_requests_and_receive_outcomes_and_nothing_else() -> None:
    """Nobody but the app sends to the in-progress queue or to a topic."""
    others = {
        (who, entity): set(roles) for who, entity, roles in _grants() if who != "appPrincipalId"
    }
    assert others == {
        ("senderGroupId", "assessment-requests"): {"Azure Service Bus Data Sender"},
        ("consumerGroupId", "assessment-results"): {"Azure Service Bus Data Receiver"},
        ("consumerGroupId", "patch-alerts"): {"Azure Service Bus Data Receiver"},
    }


def test_the_vm_roles_hold_what_the_apps_calls_ask_for_and_no_more() -> None:
    """Each call of the SDK has its actions in a role, and each action a call."""
    operations = _sdk_operations()
    assert operations <= _ACTIONS.keys()
    roles = json.loads((_INFRA / "vm-roles.json").read_text())
    granted = {action for role in roles.values() for action in role["actions"]}
    assert granted == set().union(*(_ACTIONS[name] for name in operations))
    assert roles["operationReader"]["actions"] == ["Microsoft.Compute/locations/operations/read"]


def test_the_events_that_are_subscribed_are_those_that_the_app_understands() -> None:
    """But for resource notifications, which tell of the same changes again."""
    file = BicepFile(_INFRA / "app" / "events.bicep")
    given = {text(node) for node in walk(file.root) if node.type == "string"}
    rules = [rule for rule in RULES if rule.type.startswith(("Microsoft.Res", "Microsoft.Main"))]
    rules = [rule for rule in rules if "ResourceNotifications" not in rule.type]
    assert {
        each for each in given if re.fullmatch(r"Microsoft\.\w+\.\w+(Success|Event)", each)
    } == {rule.type for rule in rules}
    assert {each for each in given if each.startswith("Microsoft.Compute/")} == {
        rule.about for rule in rules if rule.about
    }


def test_the_function_that_takes_events_is_the_one_that_is_subscribed() -> None:
    """Event Grid would refuse a function that is not there."""
    function = _MAIN.modules["events"].property("params", "functionId")
    assert function is not None
    name = source(function).rsplit("/", 1)[1].strip("'")
    assert f'.function_name("{name}")' in (_ROOT / "handlers" / "events.py").read_text()


def test_following_operations_is_granted_at_the_subscription_in_every_case() -> None:
    """Assigned with resource groups too, or every poll would answer 403 after a begin."""
    file = BicepFile(_INFRA / "app" / "vm-subscription.bicep")
    reader = re.search(r"^resource operationReader '\S+' = (\S+)", file.text, re.MULTILINE)
    assert reader
    assert reader[1] == "{", "it has no condition"
    groups = file.modules["groups"].property("params", "roleDefinitionId")
    assert groups is not None
    assert source(groups) == "assessorRole.id"


def test_every_built_in_role_is_known_and_used_by_something() -> None:
    """Each role's ID is one of Azure's, and what needs the role is there."""
    found = {
        match
        for file in _ALL
        for match in re.findall(r"'([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'", file.text)
    }
    assert found == _ROLES.keys()
    settings = _settings_set()
    assert "AzureWebJobsStorage__blobServiceUri" in settings  # Storage Blob Data Owner
    assert "PostureStorage__tableServiceUri" in settings  # Storage Table Data Contributor
    code = "".join(path.read_text() for path in (_ROOT / "assessor").rglob("*.py"))
    assert "azure.data.tables" in code
    assert "AzureMonitorTraceExporter" in code  # Monitoring Metrics Publisher


@pytest.mark.parametrize("setting", ["storage", "monitoring", "service-bus", "function-app"])
def test_no_key_opens_anything(setting: str) -> None:
    """Local auth is off, TLS is 1.2 at the least."""
    content = (_INFRA / "app" / f"{setting}.bicep").read_text()
    expected = {
        "storage": [
            "allowSharedKeyAccess: false",
            "minimumTlsVersion: 'TLS1_2'",
            "allowBlobPublicAccess: false",
        ],
        "monitoring": ["DisableLocalAuth: true", "disableLocalAuth: true"],
        "service-bus": ["disableLocalAuth: true", "minimumTlsVersion: '1.2'"],
        "function-app": ["httpsOnly: true", "minTlsVersion: '1.2'", "ftpsState: 'Disabled'"],
    }
    for line in expected[setting]:
        assert line in content


def test_no_secret_is_asked_for() -> None:
    """No list…Keys() call, no secure parameter, no connection string with a key."""
    for file in _ALL:
        assert not re.search(r"\blist\w+\(|@secure|AccountKey|SharedAccessKey", file.text), (
            file.path
        )


def test_what_has_private_endpoints_is_closed() -> None:
    """The secure default: storage and the bus take no call from the public network."""
    for name, module in (("storage", "storage"), ("service-bus", "serviceBus")):
        content = (_INFRA / "app" / f"{name}.bicep").read_text()
        assert "publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'" in content
        private = _MAIN.modules[module].property("params", "isPrivate")
        assert private is not None
        assert "privateNetwork" in source(private)
    assert re.search(r"^param privateNetwork bool = true$", _MAIN.text, re.MULTILINE)
    assert re.search(r"^param serviceBusSku string = 'Premium'$", _MAIN.text, re.MULTILINE)


def test_what_only_the_cloud_allows_outlives_what_the_emulator_does() -> None:
    """The names are the emulator's; an assessment is waited for longer than an hour."""
    cloud = json.loads((_INFRA / "servicebus-cloud.json").read_text())
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
    for file in _ALL:
        for skip in re.findall(r"checkov:skip=.*", file.text):
            assert re.fullmatch(r"checkov:skip=CKV_AZURE_\d+: \w.{10,}", skip), file.path
