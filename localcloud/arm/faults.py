"""Faults on demand: answers that ARM gives under stress, and connections that break.

A rule matches requests and answers some of them. Rules are tried in the order they were added;
the first that matches, has uses left and wins its draw decides. Randomness is seeded, so a run
with the same requests in the same order breaks at the same places.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from dotnet_text import ignoring_case
from localcloud.arm.model import Json
from localcloud.arm.routing import Kind


class FaultError(ValueError):
    """A fault rule that can't be understood; ``field`` names the part."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True)
class Reset:
    """Breaks the connection.

    ``after`` breaks it once the request has taken effect: the caller can't know that it did.
    """

    after: bool = False


@dataclass(frozen=True)
class Slow:
    """Answers as usual, this many seconds later."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """Answers with an error in ARM's shape.

    Attributes:
        status: of HTTP.
        code: of the error; None gives the usual one for the status.
        message: of the error; None gives the usual one for the status.
        details: of the error.
        retry_after: for the ``Retry-After`` header, seconds or whatever a text says; None for none.
    """

    status: int
    code: str | None = None
    message: str | None = None
    details: Sequence[Json] = ()
    retry_after: int | str | None = None


@dataclass(frozen=True)
class Verbatim:
    """Answers with this and nothing of ARM's own: odd lists, bodies that are none, lying headers.

    Attributes:
        status: of HTTP.
        headers: beside those that every answer has; a name may come several times.
        body: its bytes.
    """

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""


Fault: TypeAlias = Reset | Slow | Answer | Verbatim


@dataclass(frozen=True)
class Match:
    """Which requests a rule is about; an empty field matches everything.

    ``vm`` is a resource ID or a VM's name; requests for an operation match by the VM it is about.
    """

    operation: str = ""
    vm: str = ""
    subscription: str = ""

    def covers(self, kind: Kind, vm_key: str, subscription_id: str) -> bool:
        """Returns whether a request matches."""
        wanted = ignoring_case(self.vm)
        return (
            self.operation in {"", kind.value}
            and wanted in {"", vm_key, vm_key.rpartition("/")[2]}
            and self.subscription.lower() in {"", subscription_id.lower()}
        )


@dataclass(frozen=True)
class Rule:
    """A fault, for which requests, how likely, and how often at most (None: always)."""

    match: Match
    fault: Fault
    probability: float = 1.0
    count: int | None = None


class FaultPlan:
    """The rules in force and how often each was used."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._rules: list[Rule] = []
        self._used: list[int] = []

    def add(self, rules: Sequence[Rule]) -> None:
        """Adds rules behind those in force."""
        self._rules.extend(rules)
        self._used.extend(0 for _ in rules)

    def clear(self) -> None:
        """Takes all rules away."""
        self._rules.clear()
        self._used.clear()

    def used(self) -> list[int]:
        """Returns how often each rule was used, in the order they were added."""
        return list(self._used)

    def decide(self, kind: Kind, vm_key: str, subscription_id: str) -> Fault | None:
        """Returns the fault for a request, None to answer as usual."""
        for index, rule in enumerate(self._rules):
            spent = rule.count is not None and self._used[index] >= rule.count
            if spent or not rule.match.covers(kind, vm_key, subscription_id):
                continue
            if self._random.random() < rule.probability:
                self._used[index] += 1
                return rule.fault
        return None


def parse_rules(document: Any) -> list[Rule]:  # noqa: ANN401 - JSON as it came
    """Returns the rules in a list such as ``POST /faults`` takes.

    Each has ``answer`` and optionally ``match``, ``probability`` and ``count``. An answer is
    ``"reset"``, ``"reset-after"``, a number (seconds to wait if below 100, else a status),
    ``{"slow": seconds}``, ``{"status", "code", "message", "details", "retryAfter"}``, where
    `retryAfter` may be any text, or ``{"status", "headers", "body"}``, which is sent as it is: a
    header that is a list comes several times, a body that is no text is written as JSON.

    Raises:
        FaultError: naming the part that is wrong.
    """
    if not isinstance(document, list):
        raise FaultError("body", "must be a list of rules")
    return [_rule(index, entry) for index, entry in enumerate(document)]


_LOWEST_STATUS = 100


def _rule(index: int, entry: Any) -> Rule:  # noqa: ANN401 - JSON as it came
    where = f"[{index}]"
    if not isinstance(entry, dict) or "answer" not in entry:
        raise FaultError(where, "must be an object with an answer")
    if unknown := entry.keys() - {"match", "answer", "probability", "count"}:
        raise FaultError(where, f"unknown fields {sorted(unknown)}")
    match = entry.get("match", {})
    if not isinstance(match, dict) or match.keys() - {"operation", "vm", "subscription"}:
        raise FaultError(f"{where}.match", "takes operation, vm and subscription")
    operation = match.get("operation", "")
    if operation and operation not in set(Kind):
        raise FaultError(f"{where}.match.operation", f"must be one of {[k.value for k in Kind]}")
    probability, count = entry.get("probability", 1.0), entry.get("count")
    if not isinstance(probability, (int, float)) or not 0 <= probability <= 1:
        raise FaultError(f"{where}.probability", "must be from 0 to 1")
    if count is not None and not isinstance(count, int):
        raise FaultError(f"{where}.count", "must be a whole number")
    return Rule(Match(**match), _fault(where, entry["answer"]), float(probability), count)


def _fault(  # noqa: PLR0911 - one return for each form
    where: str,
    answer: Any,  # noqa: ANN401 - JSON as it came
) -> Fault:
    match answer:
        case "reset":
            return Reset()
        case "reset-after":
            return Reset(after=True)
        case bool():
            raise FaultError(f"{where}.answer", "is no answer")
        case int() | float() if answer >= _LOWEST_STATUS:
            return Answer(int(answer))
        case int() | float():
            return Slow(float(answer))
        case {"slow": int() | float() as wait}:
            return Slow(float(wait))
        case {"status": int() as status} if answer.keys() & {"headers", "body"}:
            return _verbatim(where, status, answer)
        case {"status": int() as status}:
            return _answer(status, answer)
        case _:
            raise FaultError(f"{where}.answer", "is no answer")


def _answer(status: int, answer: Mapping[str, Any]) -> Answer:
    return Answer(
        status,
        answer.get("code"),
        answer.get("message"),
        tuple(answer.get("details", ())),
        answer.get("retryAfter"),
    )


def _verbatim(where: str, status: int, answer: Mapping[str, Any]) -> Verbatim:
    headers = answer.get("headers", {})
    if not isinstance(headers, dict) or answer.keys() - {"status", "headers", "body"}:
        raise FaultError(f"{where}.answer", "takes status, headers and body")
    body = answer.get("body", "")
    return Verbatim(
        status,
        tuple(
            (name, str(each))
            for name, said in headers.items()
            for each in (said if isinstance(said, list) else [said])
        ),
        (body if isinstance(body, str) else json.dumps(body)).encode(),
    )
