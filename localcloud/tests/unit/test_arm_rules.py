"""The local ARM's rules, without HTTP: times, routes, rights, tokens, limits, faults, scenarios."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.arm import errors
from localcloud.arm.access import ASSESSOR_ACTIONS, AccessControl, RoleAssignment
from localcloud.arm.buckets import DOCUMENTED, RECORDED, Buckets, Subject
from localcloud.arm.clock import TICKS_PER_SECOND, compact, seconds, timestamp
from localcloud.arm.faults import Answer, FaultPlan, Match, Reset, Rule, Slow, parse_rules
from localcloud.arm.model import Power
from localcloud.arm.routing import Kind, resolve
from localcloud.arm.scenario import ScenarioError, apply, parse_change, parse_scenario, parse_vm
from localcloud.identity import SYSTEM_ASSIGNED, TokenError, TokenSigner

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
VM_ID = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute"
    "/virtualMachines/vm-1"
)
ARM = frozenset({"https://management.azure.com"})


@given(st.integers(0, 4 * 10**16), st.sampled_from([-420, -240, 0, 330, 480]))
def test_times_keep_every_tick_and_name_the_same_moment(at: int, offset: int) -> None:
    """Seven digits and an offset; Python reads the moment back, but for the seventh digit."""
    text = timestamp(at, offset)
    assert len(text) == len("2020-08-26T09:22:19.8590728-04:00")
    assert int(text[20:27]) == at % TICKS_PER_SECOND
    assert int(datetime.fromisoformat(text).timestamp()) == at // TICKS_PER_SECOND


def test_a_recorded_time_is_written_as_recorded() -> None:
    """The start of the recorded operation, in eastus and as a routing ID has it."""
    at = 1598448139_8590728
    assert timestamp(at, -240) == "2020-08-26T09:22:19.8590728-04:00"
    assert compact(at) == "20200826T132219Z"


@pytest.mark.parametrize(
    ("method", "path", "kind", "action"),
    [
        ("GET", VM_ID, Kind.GET_VM, "virtualMachines/read"),
        ("GET", f"{VM_ID}/instanceView", Kind.INSTANCE_VIEW, "virtualMachines/instanceView/read"),
        ("POST", f"{VM_ID}/assessPatches", Kind.ASSESS, "virtualMachines/assessPatches/action"),
        ("PATCH", VM_ID, Kind.OTHER, "virtualMachines/write"),
        ("DELETE", VM_ID, Kind.OTHER, "virtualMachines/delete"),
        ("POST", f"{VM_ID}/restart", Kind.OTHER, "virtualMachines/restart/action"),
        ("GET", VM_ID.rpartition("/")[0], Kind.LIST_GROUP, "virtualMachines/read"),
    ],
)
@pytest.mark.parametrize("recase", [str, str.upper, str.lower])
def test_paths_are_read_in_any_case(
    method: str, path: str, kind: Kind, action: str, recase: Callable[[str], str]
) -> None:
    """What is asked for and the right it needs do not depend on casing."""
    route = resolve(method, recase(path), monitor=False, api_version="1")
    assert route.kind is kind
    assert route.action.lower() == f"Microsoft.Compute/{action}".lower()


def test_monitor_tells_location_from_the_operation() -> None:
    """One path, two documents."""
    path = (
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/eastus/operations/x"
    )
    kinds = [resolve("GET", path, monitor=m, api_version="1").kind for m in (False, True)]
    assert kinds == [Kind.OPERATION, Kind.LOCATION]


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("/", True),
        (f"/subscriptions/{SUBSCRIPTION}", True),
        (f"/SUBSCRIPTIONS/{SUBSCRIPTION}/resourcegroups/RG/", True),
        (VM_ID, True),
        (VM_ID + "1", False),
        (VM_ID[:-1], False),
        (f"/subscriptions/{SUBSCRIPTION[:-1]}", False),
    ],
)
def test_a_scope_covers_itself_and_what_is_under_it(scope: str, granted: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Whole segments count, not prefixes of names."""
    assignment = RoleAssignment(scope, ASSESSOR_ACTIONS)
    assert assignment.grants("p", "Microsoft.Compute/virtualMachines/read", VM_ID) is granted


def test_actions_match_with_stars_and_for_their_principal() -> None:
    """As role definitions have it."""
    reader = RoleAssignment("/", ("*/read",), principal_id="P")
    assert reader.grants("p", "Microsoft.Compute/virtualMachines/read", VM_ID)
    assert not reader.grants("q", "Microsoft.Compute/virtualMachines/read", VM_ID)
    assert not reader.grants("p", "Microsoft.Compute/virtualMachines/write", VM_ID)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda token: token, None),
        (lambda token: token[:-3], TokenError.SIGNATURE),
        (lambda token: "x" + token, TokenError.SIGNATURE),
        (lambda _: "", TokenError.SIGNATURE),
        (lambda _: "a.b.c", TokenError.MALFORMED),
        (lambda token: token.replace(".", "!"), TokenError.MALFORMED),
        (lambda token: "\udc80" + token, TokenError.SIGNATURE),
    ],
)
def test_a_token_is_good_only_as_it_was_made(
    spoil: Callable[[str], str], reason: str | None
) -> None:
    """Any change is found, and said what it is."""
    signer = TokenSigner(b"secret")
    token = spoil(signer.issue(SYSTEM_ASSIGNED, "https://management.azure.com/", now=0, lifetime=9))
    if reason is None:
        assert signer.verify(token, audiences=ARM, now=8).client_id == SYSTEM_ASSIGNED.client_id
        return
    with pytest.raises(TokenError) as refused:
        signer.verify(token, audiences=ARM, now=8)
    assert refused.value.reason == reason


@given(st.text(max_size=60))
def test_no_text_passes_for_a_token(text: str) -> None:
    """Whatever is sent is refused with 401, never an error of ours."""
    with pytest.raises(errors.ArmError) as refused:
        AccessControl(TokenSigner(b"secret")).authenticate(f"Bearer {text}", now=0)
    assert refused.value.status == 401


def test_an_expired_token_is_told_from_one_for_another_audience() -> None:
    """Each has its code, as ARM's."""
    signer = TokenSigner(b"secret")
    access = AccessControl(signer)
    codes = []
    for resource, now in (("https://management.azure.com", 10), ("https://vault.azure.net", 1)):
        token = signer.issue(SYSTEM_ASSIGNED, resource, now=0, lifetime=10)
        with pytest.raises(errors.ArmError) as refused:
            access.authenticate(f"Bearer {token}", now=now)
        codes.append(refused.value.code)
    assert codes == ["ExpiredAuthenticationToken", "InvalidAuthenticationTokenAudience"]


class Time:
    """A clock that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@given(st.lists(st.tuples(st.floats(0, 120), st.booleans()), max_size=60))
def test_no_bucket_gives_more_than_its_size_and_refill(steps: list[tuple[float, bool]]) -> None:
    """Over any stretch of time, at most 6 plus 2 a minute pass for one VM."""
    time = Time()
    buckets = Buckets(DOCUMENTED, time, enforce=True)
    passed = {"a": 0, "b": 0}
    for wait, first in steps:
        time.now += seconds(wait)
        vm = "a" if first else "b"
        overdraw = buckets.take(Kind.ASSESS, Subject("s", "r", vm))
        if overdraw is None:
            passed[vm] += 1
        else:
            assert 0 < overdraw.wait_seconds <= 30
            time.now += seconds(overdraw.wait_seconds + 0.001)
            assert buckets.take(Kind.ASSESS, Subject("s", "r", vm)) is None
            passed[vm] += 1
    for count in passed.values():
        assert count <= 6 + 2 * time.now / TICKS_PER_SECOND / 60 + 1e-6


def test_recorded_policies_count_but_never_refuse() -> None:
    """The header goes down to zero and stays there."""
    buckets = Buckets(RECORDED, Time(), enforce=False)
    subject = Subject("s", "r", "vm")
    for _ in range(300):
        assert buckets.take(Kind.ASSESS, subject) is None
    remaining = "Microsoft.Compute/UpdateVM3Min;0,Microsoft.Compute/UpdateVM30Min;900"
    assert buckets.remaining(Kind.ASSESS, subject) == remaining


def test_faults_are_the_same_for_the_same_seed() -> None:
    """And about as frequent as asked for."""
    rule = Rule(Match(operation="assess"), Reset(), probability=0.3)
    runs = []
    for _ in range(2):
        plan = FaultPlan(seed=7)
        plan.add([rule])
        runs.append([plan.decide(Kind.ASSESS, "", "s") is not None for _ in range(400)])
    assert runs[0] == runs[1]
    assert 80 < sum(runs[0]) < 160


def test_the_first_rule_that_matches_and_has_uses_left_decides() -> None:
    """A spent rule lets the next one act; one for another VM never does."""
    answers: list[Any] = ["reset-after", 0.5, {"slow": 2}, 503, {"status": 429, "retryAfter": 3}]
    rules = parse_rules([{"answer": answer, "count": 1} for answer in answers])
    plan = FaultPlan()
    plan.add(parse_rules([{"match": {"vm": "vm-2"}, "answer": "reset"}]))
    plan.add(rules)
    decided = [plan.decide(Kind.GET_VM, VM_ID.lower(), "s") for _ in range(6)]
    slow, answer = [Slow(0.5), Slow(2.0)], Answer(429, retry_after=3)
    assert decided == [Reset(after=True), *slow, Answer(503), answer, None]


def test_the_429_is_computes() -> None:
    """Code, details and the JSON inside its message, as in public reports."""
    throttle = errors.Throttle("HighCostGet3Min", "start", "end", 162, 191)
    body = errors.too_many_requests(throttle, 7).body()["error"]
    assert body["code"] == "OperationNotAllowed"
    assert body["details"][0]["code"] == "TooManyRequests"
    assert json.loads(body["details"][0]["message"]) == {
        "operationGroup": "HighCostGet3Min",
        "startTime": "start",
        "endTime": "end",
        "allowedRequestCount": 162,
        "measuredRequestCount": 191,
    }
    assert body["innererror"] == {"internalErrorCode": "TooManyRequestsReceived"}


def test_a_scenario_states_a_vm_in_the_references_words() -> None:
    """What is stated is what the VM has; the rest is a healthy VM's."""
    error = {"code": "C", "message": "m", "details": [{"code": "D", "message": "n"}]}
    fleet = parse_scenario(
        {
            "vms": [
                {
                    "id": VM_ID,
                    "os": "windows-2019",
                    "location": "WestEurope",
                    "power": "stopped",
                    "durationSeconds": 3,
                    "status": "Failed",
                    "error": error,
                    "availablePatches": [{"name": "p", "classifications": ["Critical"]}],
                }
            ],
            "fleet": {"seed": 3, "vms": 4},
        }
    )
    vm = fleet.vms[0]
    assert len(fleet.vms) == 1 + 4 + 2
    assert (vm.id, vm.region.name, vm.region.offset_minutes) == (VM_ID, "westeurope", 120)
    assert (vm.power, vm.duration_seconds) == (Power.STOPPED, 3)
    assert vm.assessment.counts() == (1, 0)
    assert vm.assessment.error is not None
    assert vm.assessment.error.as_json() == error


def test_a_change_leaves_alone_what_it_does_not_name() -> None:
    """Only the reboot changes; new patches bring their own counts."""
    vm = parse_vm({"id": VM_ID, "behaviour": "counts-only"})
    rebooted = apply(vm, parse_change({"rebootPending": True}, vm))
    assert rebooted.assessment.counts() == vm.assessment.counts()
    assert rebooted.assessment.reboot_pending
    patched = apply(vm, parse_change({"availablePatches": []}, vm))
    assert patched.assessment.counts() == (0, 0)


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({}, "id"),
        ({"id": "/subscriptions/x"}, "id"),
        ({"id": VM_ID, "os": "cp/m"}, "os"),
        ({"id": VM_ID, "behaviour": "lazy"}, "behaviour"),
        ({"id": VM_ID, "power": "full"}, "power"),
        ({"id": VM_ID, "colour": "red"}, "vm"),
        ({"id": VM_ID, "availablePatches": [{}]}, "availablePatches"),
    ],
)
def test_a_scenario_that_is_wrong_names_the_part(entry: dict[str, Any], field: str) -> None:
    """So that it can be put right."""
    with pytest.raises(ScenarioError) as wrong:
        parse_vm(entry)
    assert wrong.value.field == field
