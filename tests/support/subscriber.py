"""What a subscriber of the alerts topic knows, from nothing but the messages that it got."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from assessor.bus.message import OutgoingMessage


@dataclass(frozen=True)
class Heard:
    """One alert message, as far as tests look at it."""

    type: str
    rule: str
    alert_id: str
    change: str
    condition: str
    new_patches: tuple[str, ...]
    data: dict[str, Any]


def heard(message: OutgoingMessage) -> Heard:
    """Returns what a message says."""
    event = json.loads(message.body)
    assert event["data"]["schemaId"] == "azureMonitorCommonAlertSchema"
    data = event["data"]["data"]
    essentials, context = data["essentials"], data["alertContext"]
    return Heard(
        type=event["type"],
        rule=essentials["alertRule"],
        alert_id=essentials["alertId"],
        change=context["change"],
        condition=essentials["monitorCondition"],
        new_patches=tuple(each["name"] for each in context["newPatches"]),
        data=data,
    )


def open_alerts(messages: Iterable[OutgoingMessage]) -> dict[str, str]:
    """Returns the alert that is open for each rule, once all messages are heard.

    Raises:
        AssertionError: an alert fired while another of its rule was open, or spoke, or was
            resolved, without being open.
    """
    opened: dict[str, str] = {}
    seen: set[str] = set()
    for each in map(heard, messages):
        if each.change == "Appeared":
            assert each.rule not in opened, "fired while an alert of this rule was open"
            assert each.alert_id not in seen, "fired again under the ID of an earlier alert"
            opened[each.rule] = each.alert_id
            seen.add(each.alert_id)
        else:
            assert opened.get(each.rule) == each.alert_id, "spoke of an alert that is not open"
        if each.change == "Gone":
            del opened[each.rule]
    return opened
