"""What each golden deployment asks of ARM: the Bicep compiler's snapshots, read for tests.

`make snapshots` makes them anew after a change in infra/, and `make check-infra` says where that
was forgotten. What only Azure knows, such as an identity's object ID, is an expression in brackets.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

INFRA: Final = Path(__file__).parents[2] / "infra"
GOLDEN: Final = INFRA / "golden"
SUBSCRIPTION: Final = "11111111-1111-1111-1111-111111111111"
"""The one that the golden deployments go to."""

_SCOPES: Final = (
    (re.compile(r"\[extensionResourceId\('([^']+)', 'Microsoft.Authorization/"), "{0}"),
    (re.compile(r"\[subscriptionResourceId\('([^']+)', '"), "/subscriptions/{0}"),
    (
        re.compile(r"\[resourceId\('([^']+)', '([^']+)', 'Microsoft.Authorization/"),
        "/subscriptions/{0}/resourceGroups/{1}",
    ),
    (re.compile(r"\[managementGroupResourceId\('([^']+)', '"), "{0}"),
    (re.compile(r"(/.*|)/providers/Microsoft.Authorization/roleAssignments/[\w-]+"), "{0}"),
    (re.compile(r"\[format\('\{0\}/[^']*'(?:, )?'?([^',]+)"), "{0}"),
)


@dataclass(frozen=True)
class Resource:
    """One resource as ARM would be asked for it."""

    body: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Its resource ID, or the expression that makes it."""
        return str(self.body["id"])

    @property
    def type(self) -> str:
        """Its type, without a version."""
        return str(self.body["type"])

    @property
    def name(self) -> str:
        """The last part of its name."""
        return str(self.body["name"]).rpartition("/")[2]

    @property
    def properties(self) -> dict[str, Any]:
        """Its properties; empty where it has none."""
        properties: dict[str, Any] = self.body.get("properties", {})
        return properties


@dataclass(frozen=True)
class Assignment:
    """A role that somebody has somewhere; `role` is the GUID of its definition."""

    scope: str
    role: str
    principal: str
    kind: str


@dataclass(frozen=True)
class Deployment:
    """A golden deployment, by its snapshot."""

    name: str

    @cached_property
    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((GOLDEN / f"{self.name}.snapshot.json").read_text())
        return content

    @cached_property
    def resources(self) -> list[Resource]:
        """Everything that is deployed."""
        return [Resource(body) for body in self._content["predictedResources"]]

    @property
    def outputs(self) -> dict[str, Any]:
        """What the deployment tells of itself."""
        outputs: dict[str, Any] = self._content["outputs"]
        return outputs

    def of(self, kind: str) -> list[Resource]:
        """Returns the resources of a type."""
        return [each for each in self.resources if each.type == kind]

    def one(self, kind: str) -> Resource:
        """Returns the only resource of a type."""
        (only,) = self.of(kind)
        return only

    @property
    def app_settings(self) -> dict[str, str]:
        """The app's settings; what Azure makes up is an expression."""
        (found,) = (each for each in self.of("Microsoft.Web/sites/config"))
        return {name: str(value) for name, value in found.properties.items()}

    @cached_property
    def assignments(self) -> list[Assignment]:
        """Who has which role where."""
        return [
            Assignment(
                scope=_scope(each.id),
                role=str(each.properties["roleDefinitionId"]).rpartition("/")[2],
                principal=str(each.properties["principalId"]),
                kind=str(each.properties["principalType"]),
            )
            for each in self.of("Microsoft.Authorization/roleAssignments")
        ]

    @property
    def of_app(self) -> list[Assignment]:
        """The roles of the app's own identity."""
        return [each for each in self.assignments if "userAssignedIdentities/" in each.principal]


def _scope(assignment_id: str) -> str:
    for pattern, form in _SCOPES:
        match = pattern.match(assignment_id)
        if match:
            return form.format(*match.groups())
    raise ValueError(assignment_id)


DEPLOYMENTS: Final = {
    path.name.removesuffix(".bicepparam"): Deployment(path.name.removesuffix(".bicepparam"))
    for path in sorted(GOLDEN.glob("*.bicepparam"))
}
APPS: Final = {name: each for name, each in DEPLOYMENTS.items() if name != "management-group"}
"""Those that deploy the app."""
