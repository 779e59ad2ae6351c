"""Event Grid's payloads: those of its documentation, put on VMs, in both schemas."""

import copy
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.builders import SUBSCRIPTION, VM_ID

Json = dict[str, Any]
TOPIC = f"/subscriptions/{SUBSCRIPTION}"
EVENT_TIME = "2026-01-05T11:57:30.1234567Z"


@cache
def _recorded() -> Mapping[str, Any]:
    path = Path(__file__).parents[1] / "recorded" / "event-grid-payloads.json"
    payloads: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    return payloads


def recorded(name: str) -> Json:
    """Returns the documentation's payload of that name, in the Event Grid schema."""
    payload: Json = copy.deepcopy(_recorded()[name])
    return payload


def written(vm: str = str(VM_ID), *, time: str = EVENT_TIME, event_id: str = "event-1") -> Json:
    """Returns the event of a VM that was written."""
    return _managed("ResourceWriteSuccess", "write", vm, time, event_id)


def started(vm: str = str(VM_ID), *, time: str = EVENT_TIME, event_id: str = "event-1") -> Json:
    """Returns the event of a VM that was started."""
    return _managed("ResourceActionSuccess", "start/action", vm, time, event_id)


def deleted(vm: str = str(VM_ID), *, time: str = EVENT_TIME, event_id: str = "event-1") -> Json:
    """Returns the event of a VM that was deleted."""
    event = _managed("ResourceWriteSuccess", "delete", vm, time, event_id)
    return event | {"eventType": "Microsoft.Resources.ResourceDeleteSuccess"}


def _managed(name: str, operation: str, vm: str, time: str, event_id: str) -> Json:
    event = recorded(name) | {"subject": vm, "eventTime": time, "id": event_id, "topic": TOPIC}
    event["data"] |= {
        "operationName": f"Microsoft.Compute/virtualMachines/{operation}",
        "resourceUri": vm,
        "resourceProvider": "Microsoft.Compute",
        "subscriptionId": SUBSCRIPTION,
    }
    return event


def notified(vm: str = str(VM_ID), *, time: str = EVENT_TIME) -> Json:
    """Returns the resource notification of a VM that was created or updated."""
    event = recorded("ARN_CreatedOrUpdated") | {"subject": vm, "eventTime": time, "topic": TOPIC}
    event["data"]["resourceInfo"] |= {"id": vm, "type": "Microsoft.Compute/virtualMachines"}
    return event


def maintained(*subscriptions: str) -> Json:
    """Returns the end of a maintenance window that touched those subscriptions."""
    event = recorded("PostMaintenance")
    event["data"]["resourceSubscriptionIds"] = list(subscriptions)
    return event


def requested(data: object, event_id: str = "event-1") -> Json:
    """Returns a custom event that carries a request."""
    return {
        "id": event_id,
        "topic": "/subscriptions/x/resourceGroups/y/providers/Microsoft.EventGrid/topics/z",
        "subject": "request",
        "eventType": "PatchAssessor.ScanRequested",
        "eventTime": EVENT_TIME,
        "dataVersion": "1",
        "data": data,
    }


def as_cloud_event(event: Json) -> Json:
    """Returns the event's twin in the CloudEvents schema."""
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": event["topic"],
        "type": event["eventType"],
        "subject": event["subject"],
        "time": event["eventTime"],
        "data": event["data"],
    }
