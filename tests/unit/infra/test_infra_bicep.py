"""What the golden deployments ask of ARM holds together; what the compiler can't know of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra.check import templates
from tests.support.deployments import APPS, DEPLOYMENTS, GOLDEN, INFRA, SUBSCRIPTION, Deployment

_each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=DEPLOYMENTS)
_each_app = pytest.mark.parametrize("deployment", APPS.values(), ids=APPS)
_TEMPLATES = {path: path.read_text() for path in templates()}

_WITHOUT_TAGS = {
    # ARM has no tags on what belongs to another resource.
    "Microsoft.Insights/diagnosticSettings",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
    "Microsoft.EventGrid/systemTopics/eventSubscriptions",
}
_WATCHED = {
    "Microsoft.EventGrid/systemTopics",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.OperationalInsights/workspaces",
    "Microsoft.ServiceBus/namespaces",
    "Microsoft.Storage/storageAccounts/blobServices",
    "Microsoft.Storage/storageAccounts/tableServices",
    "Microsoft.Web/sites",
}
"""What has a log of its own to be kept."""
_UNWATCHED = {
    # None, or one that tells nothing of its own: the plan has the app's metrics once more, a
    # network the alerts of a protection against floods, and an account what its services have.
    "Microsoft.Insights/components",  # is a log
    "Microsoft.Insights/metricAlerts",
    "Microsoft.Insights/scheduledQueryRules",
    "Microsoft.Insights/workbooks",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.Network/privateDnsZones",
    "Microsoft.Network/privateEndpoints",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.Resources/resourceGroups",
    "Microsoft.Storage/storageAccounts",
    "Microsoft.Web/serverfarms",
}


def _parameters() -> dict[str, str]:
    """The parameters of main.bicep that azd fills, and the variables they come from."""
    content = json.loads((INFRA / "main.parameters.json").read_text())
    return {name: each["value"] for name, each in content["parameters"].items()}


@_each_deployment
def test_nothing_is_deployed_twice(deployment: Deployment) -> None:
    """ARM refuses a template that names a resource twice, in whatever case."""
    ids = [each.id.lower() for each in deployment.resources]
    assert len(ids) == len(set(ids))


@_each_deployment
def test_each_kind_of_resource_has_one_api_version(deployment: Deployment) -> None:
    """Two versions of one type are two truths."""
    versions: dict[str, set[str]] = {}
    for each in deployment.resources:
        versions.setdefault(each.type, set()).add(each.body["apiVersion"])
    assert {kind: found for kind, found in versions.items() if len(found) > 1} == {}


@_each_app
def test_everything_that_has_a_log_keeps_it(deployment: Deployment) -> None:
    """A diagnostic setting stands on each, and every other kind is known not to need one."""
    settings = deployment.of("Microsoft.Insights/diagnosticSettings")
    watched = {each.id.partition("/providers/Microsoft.Insights/diag")[0] for each in settings}
    assert {each.id for each in deployment.resources if each.type in _WATCHED} == watched
    with_a_place = {each.type for each in deployment.resources if "location" in each.body}
    assert with_a_place <= {
        *_WATCHED,
        *_UNWATCHED,
        "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
    }
    workspaces = {each.properties["workspaceId"] for each in settings}
    assert len(workspaces) == 1
    assert workspaces == {
        deployment.one("Microsoft.Insights/components").properties["WorkspaceResourceId"]
    }


@_each_app
def test_every_resource_has_the_tags(deployment: Deployment) -> None:
    """Those that were asked for, and the one by which azd finds its own."""
    (group,) = deployment.of("Microsoft.Resources/resourceGroups")
    wanted = group.body["tags"]
    assert wanted["azd-env-name"]
    for each in deployment.resources:
        if "location" in each.body:
            assert wanted.items() <= each.body["tags"].items(), each.id
    if deployment.name == "private":
        assert wanted["costCenter"] == "4711"


@_each_app
def test_no_key_opens_anything(deployment: Deployment) -> None:
    """Identities only, TLS 1.2 at the least, nothing for the anonymous."""
    account = deployment.one("Microsoft.Storage/storageAccounts").properties
    assert account["allowSharedKeyAccess"] is False
    assert account["allowBlobPublicAccess"] is False
    assert account["isLocalUserEnabled"] is False
    assert account["minimumTlsVersion"] == "TLS1_2"
    bus = deployment.one("Microsoft.ServiceBus/namespaces").properties
    assert bus["disableLocalAuth"] is True
    assert bus["minimumTlsVersion"] == "1.2"
    assert deployment.one("Microsoft.Insights/components").properties["DisableLocalAuth"] is True
    site = deployment.one("Microsoft.Web/sites").properties
    assert site["httpsOnly"] is True
    assert site["siteConfig"]["minTlsVersion"] == "1.2"
    assert site["siteConfig"]["ftpsState"] == "Disabled"
    policies = deployment.of("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert {each.name: each.properties["allow"] for each in policies} == {
        "ftp": False,
        "scm": False,
    }
    for workspace in deployment.of("Microsoft.OperationalInsights/workspaces"):
        assert workspace.properties["features"]["disableLocalAuth"] is True
    text = json.dumps([each.body for each in deployment.resources])
    assert not re.search(r"\[?list\w+\(|AccountKey|SharedAccessKey", text)


@pytest.mark.parametrize("name", ["private", "existing-resources"])
def test_a_private_deployment_has_no_public_access(name: str) -> None:
    """Storage and the bus are closed, an endpoint leads into each part, and the app is inside.

    The site stays reachable: Event Grid and deployments come in there, with Entra's tokens.
    """
    deployment = DEPLOYMENTS[name]
    account = deployment.one("Microsoft.Storage/storageAccounts")
    bus = deployment.one("Microsoft.ServiceBus/namespaces")
    for each in (account, bus):
        assert each.properties["publicNetworkAccess"] == "Disabled"
    assert account.properties["networkAcls"]["defaultAction"] == "Deny"
    assert bus.body["sku"]["name"] == "Premium"
    endpoints = {
        (connection["properties"]["privateLinkServiceId"], *connection["properties"]["groupIds"])
        for each in deployment.of("Microsoft.Network/privateEndpoints")
        for connection in each.properties["privateLinkServiceConnections"]
    }
    assert endpoints == {(account.id, "blob"), (account.id, "table"), (bus.id, "namespace")}
    zones = deployment.of("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
    assert len(zones) == len(endpoints)
    assert deployment.one("Microsoft.Web/sites").properties["virtualNetworkSubnetId"]


@pytest.mark.parametrize("name", sorted(set(APPS) - {"private", "existing-resources"}))
def test_by_default_there_is_nothing_that_costs_when_nobody_asks(name: str) -> None:
    """Service Bus Standard, no private endpoint, no instance that waits unless it was asked for."""
    deployment = DEPLOYMENTS[name]
    assert deployment.one("Microsoft.ServiceBus/namespaces").body["sku"]["name"] == "Standard"
    assert deployment.of("Microsoft.Network/privateEndpoints") == []
    site = deployment.one("Microsoft.Web/sites").properties["functionAppConfig"]
    ready = site["scaleAndConcurrency"]["alwaysReady"]
    assert bool(ready) == (name == "several-scopes")


def test_what_is_there_already_is_used_and_not_made() -> None:
    """Subnets, zones, workspace and system topic of others: none of these is deployed."""
    deployment = DEPLOYMENTS["existing-resources"]
    for kind in (
        "Microsoft.Network/virtualNetworks",
        "Microsoft.Network/privateDnsZones",
        "Microsoft.OperationalInsights/workspaces",
        "Microsoft.EventGrid/systemTopics",
    ):
        assert deployment.of(kind) == []
    zones = json.dumps(
        [
            each.properties
            for each in deployment.of("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
        ]
    )
    assert zones.count("/resourceGroups/rg-dns/") == 3
    subscription = deployment.one("Microsoft.EventGrid/systemTopics/eventSubscriptions")
    assert "/resourceGroups/rg-events/" in subscription.id


@pytest.mark.parametrize("name", ["events", "existing-resources"])
def test_an_event_that_cannot_be_delivered_is_kept(name: str) -> None:
    """Each subscription names the container, each topic may write there, and nothing stays long."""
    deployment = DEPLOYMENTS[name]
    container = next(
        each
        for each in deployment.of("Microsoft.Storage/storageAccounts/blobServices/containers")
        if each.name == "dead-events"
    )
    subscriptions = deployment.of("Microsoft.EventGrid/systemTopics/eventSubscriptions")
    for each in subscriptions:
        kept = each.properties["deadLetterWithResourceIdentity"]["deadLetterDestination"]
        assert kept["properties"]["blobContainerName"] == container.name
        assert container.id.startswith(kept["properties"]["resourceId"])
    writers = [each for each in deployment.assignments if each.scope == container.id]
    assert len({each.principal for each in writers}) == len(subscriptions)
    account = deployment.one("Microsoft.Storage/storageAccounts")
    assert account.properties["networkAcls"]["bypass"] == "AzureServices"
    policy = deployment.one("Microsoft.Storage/storageAccounts/managementPolicies")
    (rule,) = policy.properties["policy"]["rules"]
    assert rule["definition"]["filters"]["prefixMatch"] == [f"{container.name}/"]


def test_without_events_no_other_service_reaches_the_storage() -> None:
    """The way in is there only for Event Grid."""
    account = DEPLOYMENTS["private"].one("Microsoft.Storage/storageAccounts")
    assert account.properties["networkAcls"]["bypass"] == "None"


def test_the_entities_are_those_that_everybody_reads() -> None:
    """Queues, topics, subscriptions, filters are servicebus.json's, with the cloud's own lives."""
    config = json.loads((INFRA / "servicebus.json").read_text())
    entities = config["UserConfig"]["Namespaces"][0]
    cloud = json.loads((INFRA / "servicebus-cloud.json").read_text())
    for deployment in APPS.values():
        assert _queues(deployment) == {
            each["Name"]: {**_lower(each["Properties"]), **_lower(cloud["queues"])}
            for each in entities["Queues"]
        }
        topics = deployment.of("Microsoft.ServiceBus/namespaces/topics")
        assert {each.name for each in topics} == {each["Name"] for each in entities["Topics"]}
        for topic in entities["Topics"]:
            _assert_topic(deployment, topic, cloud)


def _queues(deployment: Deployment) -> dict[str, Any]:
    return {
        each.name: {
            name: value for name, value in each.properties.items() if name != "maxSizeInMegabytes"
        }
        for each in deployment.of("Microsoft.ServiceBus/namespaces/queues")
    }


def _assert_topic(deployment: Deployment, topic: dict[str, Any], cloud: dict[str, Any]) -> None:
    kind = "Microsoft.ServiceBus/namespaces/topics"
    (found,) = (each for each in deployment.of(kind) if each.name == topic["Name"])
    expected = {**_lower(topic["Properties"]), **_lower(cloud["topics"])}
    assert expected.items() <= found.properties.items()
    below = [each for each in deployment.of(f"{kind}/subscriptions") if found.id in each.id]
    assert {each.name for each in below} == {each["Name"] for each in topic["Subscriptions"]}
    for wanted in topic["Subscriptions"]:
        (each,) = (each for each in below if each.name == wanted["Name"])
        expected = {**_lower(wanted["Properties"]), **_lower(cloud["subscriptions"])}
        assert expected.items() <= each.properties.items()
        rules = [
            rule.properties
            for rule in deployment.of(f"{kind}/subscriptions/rules")
            if rule.id.startswith(f"{each.id}/")
        ]
        assert len(rules) == len(wanted["Rules"])
        for rule, given in zip(rules, wanted["Rules"], strict=True):
            filter_type = given["Properties"]["FilterType"]
            assert rule["filterType"] == f"{filter_type}Filter"
            assert rule[f"{filter_type.lower()}Filter"] == _lower(
                given["Properties"][f"{filter_type}Filter"]
            )


def _lower(properties: dict[str, Any]) -> dict[str, Any]:
    """The emulator's names as ARM's: with a small letter in front."""
    return {name[0].lower() + name[1:]: value for name, value in properties.items()}


def test_every_template_is_part_of_a_deployment() -> None:
    """Nothing lies about that no golden deployment leads to."""
    reached: set[Path] = set()
    waiting = {
        (GOLDEN / path.read_text().partition("using '")[2].partition("'")[0]).resolve()
        for path in GOLDEN.glob("*.bicepparam")
    }
    while waiting:
        path = waiting.pop()
        reached.add(path)
        named = re.findall(
            r"^(?:module \w+|import \{.*\} from) '(.+\.bicep)'", path.read_text(), re.MULTILINE
        )
        waiting |= {(path.parent / each).resolve() for each in named} - reached
    assert reached == _TEMPLATES.keys()


def test_every_choice_is_made_by_a_golden_deployment_or_is_a_plain_value() -> None:
    """What switches resources on or off shows in a snapshot."""
    given = {
        name
        for path in GOLDEN.glob("*.bicepparam")
        for name in re.findall(r"^param (\w+)", path.read_text(), re.MULTILINE)
    }
    main = _TEMPLATES[INFRA / "main.bicep"]
    conditions = re.findall(r"^(?:module|resource) .* = if \((.+)\) \{$", main, re.MULTILINE)
    assert len(conditions) > 3
    switches = set(re.findall(r"\b(privateNetwork|subscribeEvents|deployerRoles)\b", main))
    assert switches <= given


def test_azd_fills_every_parameter() -> None:
    """Each from a variable, and none twice; what is unset is left to the template's default."""
    main = _TEMPLATES[INFRA / "main.bicep"]
    declared = re.findall(r"^param (\w+) ", main, re.MULTILINE)
    parameters = _parameters()
    assert list(parameters) == declared
    for name, value in parameters.items():
        assert re.fullmatch(r"\$\{[A-Z][A-Z_]+\}", value), name
    assert len(set(parameters.values())) == len(parameters)
    required = set(re.findall(r"^param (\w+) [^=\n]+$", main, re.MULTILINE))
    assert required == {"environmentName", "location"}, "azd asks for these two"


def test_what_azd_must_forget_is_an_output_and_what_it_must_keep_is_none() -> None:
    """`azd down` takes outputs out of the environment, and only these."""
    for deployment in APPS.values():
        assert deployment.outputs["SUBSCRIBE_EVENTS"] is (
            deployment.name in {"events", "existing-resources"}
        )
        assert deployment.outputs["SERVICE_ASSESSOR_NAME"].startswith("func-")
        assert "AZURE_LOCATION" not in deployment.outputs
        variables = {value.strip("${}") for value in _parameters().values()}
        assert deployment.outputs.keys() & variables == {"SUBSCRIBE_EVENTS"}


@_each_app
def test_the_site_is_the_one_that_azd_deploys_to(deployment: Deployment) -> None:
    """The service in azure.yaml has the name that the site carries as its tag."""
    manifest = (INFRA.parent / "azure.yaml").read_text()
    service = deployment.one("Microsoft.Web/sites").body["tags"]["azd-service-name"]
    assert re.search(rf"^services:\n  {service}:\n", manifest, re.MULTILINE)
    for hook in re.findall(r"run: (?:\./)?(\S+)", manifest):
        assert (INFRA.parent / hook).is_file()


@_each_app
def test_the_runtime_is_the_one_whose_worker_is_pinned(deployment: Deployment) -> None:
    """From Python 3.13 on, Azure runs the worker of requirements.txt."""
    site = deployment.one("Microsoft.Web/sites").properties["functionAppConfig"]
    assert site["runtime"] == {"name": "python", "version": "3.13"}
    strategy = "RollingUpdate" if deployment.name == "several-scopes" else "Recreate"
    assert site["siteUpdateStrategy"]["type"] == strategy


def test_names_fit() -> None:
    """An environment's name may have 64 characters, as azd allows; ARM has limits of its own."""
    deployment = DEPLOYMENTS["several-scopes"]
    (group,) = deployment.of("Microsoft.Resources/resourceGroups")
    assert len(group.name) == len("rg-") + 64
    assert len(group.name) <= 90
    assert len(deployment.one("Microsoft.Storage/storageAccounts").name) <= 24
    roles = [
        each
        for deployment in DEPLOYMENTS.values()
        for each in deployment.of("Microsoft.Authorization/roleDefinitions")
    ]
    assert all(len(each.properties["roleName"]) <= 128 for each in roles)
    assert SUBSCRIPTION in roles[0].properties["roleName"]


def test_every_linter_rule_that_is_off_says_why() -> None:
    """And no other is less than an error."""
    lines = (INFRA / "bicepconfig.json").read_text().splitlines()
    levels = {
        (match[1], match[2]): lines[number - 1].strip()
        for number, line in enumerate(lines)
        if (match := re.match(r'\s+"([\w-]+)": \{ "level": "(\w+)"', line))
    }
    assert len(levels) > 40
    relaxed = {name: before for (name, level), before in levels.items() if level != "error"}
    assert relaxed.keys() == {"use-recent-api-versions"}
    assert all(before.startswith("//") for before in relaxed.values())
