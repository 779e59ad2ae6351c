"""What follows from an event: decided here, done by whoever asks."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

from assessor.events.event import Event, Meaning, rule_for
from assessor.messages.request import FieldError, name_based_id
from assessor.resource_id import (
    ResourceIdError,
    Scope,
    VirtualMachineId,
    check_name,
    is_allowed,
)


@dataclass(frozen=True, slots=True)
class Assess:
    """Assess a VM, once it has settled.

    Attributes:
        vm: the VM.
        identity: the same for all events of one change.
        due: when.
        fresh_since: an assessment that began after then has seen the change already.
        reason: what happened.
    """

    vm: VirtualMachineId
    identity: str
    due: datetime
    fresh_since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Close what is open about a VM that is gone."""

    vm: VirtualMachineId
    at: datetime


@dataclass(frozen=True, slots=True)
class Request:
    """Ask what a request of the contract asks.

    Its identity is the same at each delivery of the event.
    """

    fields: Mapping[str, Any]
    identity: str


@dataclass(frozen=True, slots=True)
class Ignore:
    """Nothing follows.

    Attributes:
        why: `unknown` events, or such of VMs that this app may not assess (`out of scope`).
    """

    why: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """The event says that it means something here, and lacks what it takes."""

    errors: tuple[FieldError, ...]


Decision = Assess | Retire | Request | Ignore | Malformed


def decide(  # noqa: PLR0911 - one return for each meaning
    event: Event, *, now: datetime, settle: timedelta, allowed: Sequence[Scope]
) -> Sequence[Decision]:
    """Returns what follows from an event; one or more, for a window touches several subscriptions.

    Nothing happened later than `now`; a VM is assessed `settle` after a change; no `allowed` scopes
    allow any.
    """
    if event.problem is not None:
        return (Malformed((FieldError("event", event.problem),)),)
    rule = rule_for(event)
    if rule is None:
        return (Ignore("unknown"),)
    # CloudEvents need no time, and only what is about a VM's state asks when that was.
    needs_time = rule.meaning in {Meaning.CHANGED, Meaning.DELETED}
    missing = tuple(
        FieldError(name, problem)
        for name, is_missing, problem in (
            ("id", not event.id, "is missing"),
            ("time", needs_time and event.time is None, "is missing, or no time by RFC 3339"),
        )
        if is_missing
    )
    if missing:
        return (Malformed(missing),)
    at = min(event.time or now, now)
    match rule.meaning:
        case Meaning.CHANGED | Meaning.DELETED:
            return (_about_vm(event, rule.meaning, at, settle, allowed),)
        case Meaning.MAINTAINED:
            return _maintained(event, allowed)
        case Meaning.REQUESTED:
            if not isinstance(event.data, Mapping):
                return (Malformed((FieldError("data", "must be a request, a JSON object"),)),)
            return (Request({"requestId": event.key, **event.fields}, event.key),)
        case _:
            assert_never(rule.meaning)


def _about_vm(
    event: Event, meaning: Meaning, at: datetime, settle: timedelta, allowed: Sequence[Scope]
) -> Decision:
    field, text = _vm_text(event)
    try:
        vm = VirtualMachineId.parse(str(text))
    except ResourceIdError as error:
        return Malformed((FieldError(field, f"must be {error.expected}", text),))
    if not is_allowed(vm, allowed):
        return Ignore("out of scope")
    if meaning is Meaning.DELETED:
        return Retire(vm, at)
    return _assess(event, vm, at, settle)


def _vm_text(event: Event) -> tuple[str, str | None]:
    resource = event.fields.get("resourceInfo")
    if isinstance(resource, Mapping) and isinstance(resource.get("id"), str):
        return "data.resourceInfo.id", resource["id"]
    return "subject", event.subject


def _assess(event: Event, vm: VirtualMachineId, at: datetime, settle: timedelta) -> Assess:
    """Returns the request that all events of one change share.

    Resource Manager tells one change in several events. Time is cut into slots of half the settling
    delay; the events of one slot have one message ID, and the bus keeps one of them. Events on both
    sides of a slot's end make two requests, and the second is answered by the assessment of the
    first, which begins after `fresh_since` of the second.
    """
    slot = settle / 2
    number = math.floor(at.timestamp() / slot.total_seconds())
    ends_at = datetime.fromtimestamp((number + 1) * slot.total_seconds(), UTC)
    return Assess(
        vm=vm,
        identity=name_based_id("event-request", vm.key, str(number)),
        due=ends_at + settle,
        fresh_since=ends_at + slot / 2,
        reason=event.name,
    )


def _maintained(event: Event, allowed: Sequence[Scope]) -> Sequence[Decision]:
    field = "data.resourceSubscriptionIds"
    listed = event.fields.get("resourceSubscriptionIds")
    if not isinstance(listed, list) or not listed:
        return (Malformed((FieldError(field, "must be a list of subscription IDs"),)),)
    errors: list[FieldError] = []
    scopes: dict[str, Scope] = {}
    for index, each in enumerate(listed):
        try:
            scope = Scope(check_name("subscriptionId", str(each)))
        except ResourceIdError:
            errors.append(FieldError(f"{field}[{index}]", "must be a GUID", json.dumps(each)))
        else:
            scopes |= {part.key: part for part in _allowed_parts(scope, allowed)}
    rejected = (Malformed(tuple(errors)),) if errors else ()
    scans = tuple(_scan(event, scope) for scope in scopes.values())
    return (*scans, *rejected) or (Ignore("out of scope"),)


def _allowed_parts(scope: Scope, allowed: Sequence[Scope]) -> tuple[Scope, ...]:
    """Returns the scope if it is allowed, else those of its resource groups that are."""
    if is_allowed(scope, allowed):
        return (scope,)
    return tuple(each for each in allowed if scope.covers(each) and each.vm_name is None)


def _scan(event: Event, scope: Scope) -> Request:
    window = name_based_id("maintenance", event.key, scope.key)
    return Request(
        {
            "scope": str(scope),
            "requestId": window,
            "requestedBy": "event-grid",
            "reason": event.name,
        },
        window,
    )
