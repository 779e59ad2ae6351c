"""The demo's requests: one for each VM, in every form that the contract allows."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dotnet_text import ignoring_case
from patch_assessor_cli.client import Message

_FORMS: Final = 5
_VMS_A_MESSAGE: Final = 100
_CLOUD_EVENT: Final = {
    "specversion": "1.0",
    "type": "Example.AssessmentWanted",
    "source": "/patch-assessor/demo",
}
_ABOUT: Final = {"requestedBy": "make run", "reason": "demo"}


@dataclass(frozen=True, slots=True)
class Expected:
    """One outcome that has to come: of a request, for a VM; None for a rejected message."""

    request_id: str
    vm_id: str | None

    @classmethod
    def of(cls, request_id: str | None, vm_id: object) -> "Expected":
        """Returns it with the VM's ID in the one case that compares; ARM's IDs have no case."""
        return cls(request_id or "", ignoring_case(str(vm_id)) if vm_id else None)


@dataclass(frozen=True, slots=True)
class Request:
    """A message and the outcomes that it has to have."""

    message: Message
    expected: tuple[Expected, ...]


def fleet_requests(vm_ids: Sequence[str], new_id: Callable[[], str]) -> list[Request]:
    """Returns requests for all VMs in mixed forms, and one message that has to be rejected.

    A VM gets its form by its place: its resource ID, its three names, a place in a list of IDs, a
    CloudEvent in structured mode, one in binary mode.

    Args:
        vm_ids: The VMs' resource IDs.
        new_id: Makes IDs.
    """
    by_form = [list(vm_ids[form::_FORMS]) for form in range(_FORMS)]
    plain, named, listed, structured, binary = by_form
    return [
        *(vm_request(vm_id, new_id()) for vm_id in plain),
        *(_by_names(vm_id, new_id()) for vm_id in named),
        *(_by_list(some, new_id()) for some in _chunks(listed)),
        *(_structured(vm_id, new_id()) for vm_id in structured),
        *(_binary(vm_id, new_id()) for vm_id in binary),
        *([_not_a_vm(vm_ids[0], new_id())] if vm_ids else []),
    ]


def vm_request(vm_id: str, message_id: str) -> Request:
    """Returns a request for one VM by its ID; the message's ID stands in for a request ID."""
    return _request({"vmId": vm_id, **_ABOUT}, message_id, message_id, [vm_id])


def _by_names(vm_id: str, message_id: str) -> Request:
    _, _, subscription, _, group, *_, name = vm_id.split("/")
    request_id = f"names-{message_id}"
    names = {"subscriptionId": subscription, "resourceGroupName": group, "vmName": name}
    return _request({**names, "requestId": request_id}, message_id, request_id, [vm_id])


def _by_list(vm_ids: list[str], message_id: str) -> Request:
    request_id = f"list-{message_id}"
    return _request({"vmIds": vm_ids, "requestId": request_id}, message_id, request_id, vm_ids)


def _structured(vm_id: str, message_id: str) -> Request:
    request_id = f"event-{message_id}"
    event = {
        **_CLOUD_EVENT,
        "id": message_id,
        "datacontenttype": "application/json",
        "data": {"vmId": vm_id, "requestId": request_id},
    }
    return _request(
        event, message_id, request_id, [vm_id], content_type="application/cloudevents+json"
    )


def _binary(vm_id: str, message_id: str) -> Request:
    request_id = f"event-{message_id}"
    attributes = {**_CLOUD_EVENT, "id": message_id}
    return _request(
        {"vmId": vm_id, "requestId": request_id},
        message_id,
        request_id,
        [vm_id],
        properties={f"cloudEvents:{name}": value for name, value in attributes.items()},
    )


def _not_a_vm(vm_id: str, message_id: str) -> Request:
    """Names a disk, and a requester that is not a text."""
    disk = vm_id.replace("/virtualMachines/", "/disks/")
    return _request({"vmId": disk, "requestedBy": 7}, message_id, message_id, [None])


def _request(  # noqa: PLR0913 - the parts of one message
    body: dict[str, Any],
    message_id: str,
    request_id: str,
    vm_ids: Sequence[str | None],
    *,
    content_type: str = "application/json",
    properties: dict[str, str] | None = None,
) -> Request:
    return Request(
        Message(json.dumps(body).encode(), message_id, content_type, properties or {}),
        tuple(Expected.of(request_id, vm_id) for vm_id in vm_ids),
    )


def _chunks(vm_ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(vm_ids), _VMS_A_MESSAGE):
        yield vm_ids[start : start + _VMS_A_MESSAGE]
