"""Events of Event Grid, and which of them mean something here.

One table, RULES, says so; every other event is ignored by its name.

Resource Manager puts who did it into an event, with name and address. That is dropped before
anything else looks at the event, and so it is neither kept, nor logged, nor passed on.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto
from typing import Any, Final

from assessor.arm.reading import object_in, read_object
from assessor.clock import from_text
from assessor.messages.request import name_based_id

_PERSONAL: Final = frozenset({"claims", "authorization", "httprequest"})
"""Names, in lower case, under which events hold who did it and from where."""
_NAME_CHARACTERS: Final = 128
_KEPT_BYTES: Final = 64 * 1024
"""Of an event that can't be read; Event Grid's are at most 1 MB."""


class Meaning(StrEnum):
    """What an event means to this app."""

    CHANGED = auto()
    """A VM was written or started: assess it once it has settled."""
    DELETED = auto()
    """A VM is gone: its alerts are over."""
    MAINTAINED = auto()
    """A maintenance window has ended: scan the subscriptions that it touched."""
    REQUESTED = auto()
    """The event carries a request of the contract."""


@dataclass(frozen=True, slots=True)
class EventRule:
    """One line of the table.

    Attributes:
        type: the event's type.
        about: the operation, or the type of resource, that the event has to be about.
        meaning: what the event means then.
        topic: the sources that such events come from; None: any.
    """

    type: str
    about: str | None
    meaning: Meaning
    topic: re.Pattern[str] | None = None


_SUBSCRIPTION: Final = r"/subscriptions/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_MANAGED: Final = re.compile(rf"{_SUBSCRIPTION}(?:/resourceGroups/[^/]+)?", re.IGNORECASE)
"""Topics of subscriptions and resource groups, and of resource notifications. Custom topics and
domains, whose publishers write what they like, are resources below a group."""
_CONFIGURED: Final = re.compile(
    rf"{_SUBSCRIPTION}/resourceGroups/[^/]+"
    r"/providers/Microsoft\.Maintenance/maintenanceConfigurations/[^/]+",
    re.IGNORECASE,
)
_VM: Final = "Microsoft.Compute/virtualMachines"
_MANAGER: Final = "Microsoft.Resources"
_NOTIFICATIONS: Final = "Microsoft.ResourceNotifications.Resources"

RULES: Final = (
    # System topics of subscriptions and resource groups.
    EventRule(f"{_MANAGER}.ResourceWriteSuccess", f"{_VM}/write", Meaning.CHANGED, _MANAGED),
    EventRule(
        f"{_MANAGER}.ResourceActionSuccess", f"{_VM}/start/action", Meaning.CHANGED, _MANAGED
    ),
    EventRule(f"{_MANAGER}.ResourceDeleteSuccess", f"{_VM}/delete", Meaning.DELETED, _MANAGED),
    # The system topic of resource notifications.
    EventRule(f"{_NOTIFICATIONS}.CreatedOrUpdated", _VM, Meaning.CHANGED, _MANAGED),
    EventRule(f"{_NOTIFICATIONS}.Deleted", _VM, Meaning.DELETED, _MANAGED),
    # System topics of maintenance configurations.
    EventRule("Microsoft.Maintenance.PostMaintenanceEvent", None, Meaning.MAINTAINED, _CONFIGURED),
    # Custom topics.
    EventRule("PatchAssessor.ScanRequested", None, Meaning.REQUESTED),
)
_BY_NAME: Final = {(rule.type.lower(), (rule.about or "").lower()): rule for rule in RULES}


@dataclass(frozen=True, slots=True)
class Event:
    """An event, whichever schema it came in, without what says who did it.

    Attributes:
        id: the publisher's ID of it; with the source it is unique.
        type: what happened.
        source: the topic, or the CloudEvents source.
        subject: what it is about.
        time: when it happened, in UTC; None if the event does not tell.
        data: the JSON that came with it.
        problem: why it can't be read at all; None where it can.
    """

    id: str | None
    type: str | None
    source: str | None
    subject: str | None
    time: datetime | None
    data: Any
    problem: str | None = None

    @property
    def key(self) -> str:
        """What names this event in the app's own IDs, at each of its deliveries.

        One without an ID is known by what it says.
        """
        if self.id is not None:
            return name_based_id("event", self.source or "", self.id)
        said = json.dumps([self.type, self.subject, self.data], sort_keys=True, default=str)
        return name_based_id("event", self.source or "", "", said)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The data, if it is an object."""
        return self.data if isinstance(self.data, Mapping) else {}

    @property
    def about(self) -> str:
        """The operation, or the type of resource, that the event names; empty if it names none."""
        resource = self.fields.get("resourceInfo")
        named = (
            resource.get("type")
            if isinstance(resource, Mapping)
            else self.fields.get("operationName")
        )
        return named if isinstance(named, str) else ""

    @property
    def name(self) -> str:
        """Type and operation, for counting."""
        return f"{self.type} {self.about}".strip()[:_NAME_CHARACTERS]


def read_event(text: str | bytes) -> Event:
    """Returns an event of either schema, without what says who did it; never raises.

    Optional attributes that are null count as absent, a time may have any offset or none (UTC), and
    data may be JSON, JSON as text, or in base64.
    """
    body = text.encode(errors="replace") if isinstance(text, str) else text
    fields = read_object(body, {})
    if fields is None:
        kept = body[:_KEPT_BYTES].decode(errors="replace")
        return Event(None, None, None, None, None, kept, "must be an event, a JSON object")
    if fields.get("specversion") is not None:
        kind, source, time = fields.get("type"), fields.get("source"), fields.get("time")
    else:
        kind, source, time = fields.get("eventType"), fields.get("topic"), fields.get("eventTime")
    return Event(
        id=_text(fields.get("id")),
        type=_text(kind),
        source=_text(source),
        subject=_text(fields.get("subject")),
        time=from_text(time),
        data=without_personal_data(_data(fields)),
        problem=None if _text(kind) else "must have a type",
    )


def _data(fields: Mapping[str, Any]) -> object:
    data, encoded = fields.get("data"), fields.get("data_base64")
    if data is None and isinstance(encoded, str):
        try:
            decoded = base64.b64decode(encoded, validate=True)
        except ValueError:
            return encoded
        inner = read_object(decoded, {})
        return encoded if inner is None else inner
    if isinstance(data, str):
        inner = object_in(data)
        return data if inner is None else inner
    return data


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def without_personal_data(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Returns `value` without the objects that say who did something."""
    match value:
        case Mapping():
            return {
                name: without_personal_data(each)
                for name, each in value.items()
                if str(name).lower() not in _PERSONAL
            }
        case list():
            return [without_personal_data(each) for each in value]
        case _:
            return value


def rule_for(event: Event) -> EventRule | None:
    """Returns the line of the table that the event falls under; None for any other event.

    What says that Azure publishes it, and comes from elsewhere, is another event.
    """
    kind = (event.type or "").lower()
    rule = _BY_NAME.get((kind, event.about.lower())) or _BY_NAME.get((kind, ""))
    if rule is None or rule.topic is None or rule.topic.fullmatch(event.source or ""):
        return rule
    return None
