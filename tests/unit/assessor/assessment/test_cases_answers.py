"""Answers that are none, and odd lists, replayed through the whole app.

Those that were found lie in `../shared/cases` beside this repository, where they are at hand; each
has a like value of our own here.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.support.conversations import (
    ACTIVITY,
    BEGUN,
    CASES,
    ENDED,
    NOT_FOUND,
    REQUEST,
    RESULT,
    SUBSCRIPTION,
    VM,
    VMS,
    conversation,
    found,
    ok,
    rule,
    vm_body,
)
from tests.support.replay import Replay

ODD: Final[Mapping[str, Mapping[str, Any]]] = {
    "an array": ok("[]"),
    "a number": ok("5"),
    "a text": ok('"x"'),
    "null": ok("null"),
    "no JSON": ok("<html>502</html>"),
    "nothing": {"status": 200},
    "a status that is a number": ok({"status": 5}),
    "a status that is an object": ok({"status": {}}),
    "a thousand levels": ok("[" * 1000 + "]" * 1000),
    "many levels": ok('{"a":' * 5000 + "1" + "}" * 5000),
    "a long number": ok('{"status": ' + "9" * 5000 + "}"),
    "gzip that is none": {"status": 200, "headers": {"Content-Encoding": "gzip"}, "body": "{}"},
    "another charset": {
        "status": 200,
        "headers": {"Content-Type": "application/json; charset=x"},
        "body": "{",
    },
    "a page of another server": {
        "status": 404,
        "headers": {"Content-Type": "text/html"},
        "body": "<h1>",
    },
    "ASP.NET's form": {"status": 503, "body": {"Message": "busy"}},
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("place", ["read", "poll"])
async def test_no_answer_of_arms_leaves_a_handler_as_an_exception(place: str, name: str) -> None:
    """It is waited out, or ends the assessment as an outcome."""
    url = "/virtualMachines/web-07" if place == "read" else f"{ACTIVITY}?api"
    then = ok(vm_body()) if place == "read" else ok(ENDED)
    world = Replay(conversation(rule("GET", url, ODD[name], then)))
    await world.request(REQUEST)
    (event,) = world.events()
    kind = event["type"].partition(".")[2]
    if ODD[name]["status"] != 404:
        assert kind == "AssessmentCompleted"
    else:  # ARM's word for a VM or an operation that there is none of
        assert kind == "AssessmentFailed"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("F02-202-retry-after-date", "begin"),
        ("F02-503-retry-after-no-zone", "read"),
        ("F02-503-retry-after-no-zone", "poll"),
        ("F02-gzip-that-is-none", "poll"),
        ("F02-poll-array", "poll"),
    ],
)
async def test_the_answers_that_were_found_are_waited_out(name: str, place: str) -> None:
    """Each at the place where it was found."""
    answer = _answer(name)
    rules = {
        "begin": conversation(
            begins=({**BEGUN, "headers": {**answer["headers"], **BEGUN["headers"]}},)
        ),
        "read": conversation(rule("GET", "/virtualMachines/web-07", answer, ok(vm_body()))),
        "poll": conversation(rule("GET", f"{ACTIVITY}?api", answer, ok(ENDED))),
    }
    world = Replay(rules[place])
    await world.request(REQUEST)
    (event,) = world.events()
    assert event["type"] == "PatchAssessor.AssessmentCompleted"


def _answer(name: str) -> dict[str, Any]:
    path = CASES / f"{name}.http"
    if not path.is_file():
        pytest.skip(f"the case {name} is not at hand ({CASES})")
    head, _, body = path.read_text("utf-8").partition("\n\n")
    first, *lines = head.splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    return {"status": int(first.split()[1]), "headers": headers, "body": body.strip()}


@pytest.mark.parametrize("name", ["F02-summary-empty-activity-id", "F02-vm-location-with-space"])
async def test_the_vms_that_were_found_are_assessed(name: str) -> None:
    """What their instance view names can't be followed."""
    text = json.dumps(found(name)).replace("<now>", "2026-01-05T11:59:59Z")
    world = Replay(
        conversation(
            rule("GET", "/operations/14e074b4", NOT_FOUND), vm={**json.loads(text), "id": VM}
        )
    )
    await world.request(REQUEST)
    (event,) = world.events()
    assert event["type"] == "PatchAssessor.AssessmentCompleted"


async def test_a_result_whose_activity_id_is_a_number_has_an_outcome() -> None:
    """The one that was found, and a like one of our own."""
    for document in (
        {"status": "Succeeded", "properties": {"output": {**RESULT, "assessmentActivityId": [7]}}},
        found("F02-result-activity-id-5"),
    ):
        world = Replay(conversation(rule("GET", f"{ACTIVITY}?api", ok(document))))
        await world.request(REQUEST)
        assert len(world.events()) == 1


def _scan(entries: object, *more: object) -> list[Mapping[str, Any]]:
    """A subscription's list, and any VM of it."""
    any_vm = {**vm_body(), "id": None}
    return [
        rule(
            "GET",
            "/providers/Microsoft.Compute/virtualMachines?",
            ok({"value": entries}),
            *map(ok, more),
        ),
        *conversation()[:-1],
        rule("GET", "/virtualMachines/", ok(any_vm)),
    ]


async def test_vms_of_every_script_are_scanned() -> None:
    """By Compute's rule; what can't be asked for is counted by its reason, and the sum says so."""
    names = ["größe-1", "узел-2", "서버-3", "ş", "plain"]
    world = Replay(_scan([{"id": f"{VMS}/{name}", "location": "eastus"} for name in names]))
    await world.request({"scope": f"/subscriptions/{SUBSCRIPTION}", "requestId": "s"})
    (done,) = world.events("ScanCompleted")
    assert (done["data"]["status"], done["data"]["vms"]["requested"]) == ("Succeeded", 5)

    odd = [
        {"id": f"{VMS}/ok"},
        {"id": f"{VMS}/no?"},
        {"id": 5},
        5,
        {},
        {"id": f"{VMS}/t", "tags": {"a": {}}},
    ]
    world = Replay(_scan(odd))
    await world.request({"scope": f"/subscriptions/{SUBSCRIPTION}", "requestId": "s"})
    (done,) = world.events("ScanCompleted")
    assert done["data"]["status"] == "Incomplete"
    assert done["data"]["vms"]["unreadable"] == 4


async def test_the_scan_that_was_found_takes_all_three() -> None:
    """Names with an umlaut, and in Japanese."""
    case = found("07")
    rules = [*case["arm"], rule("GET", "/virtualMachines/", ok({**vm_body(), "id": None}))]
    world = Replay(rules)
    await world.request(case["request"])
    (done,) = world.events("ScanCompleted")
    assert (done["data"]["status"], done["data"]["vms"]["requested"]) == ("Succeeded", 3)


@pytest.mark.parametrize("entries", [None, []])
async def test_a_list_of_nothing_ends_its_scan(entries: object) -> None:
    """Also where its value is null."""
    world = Replay(_scan(entries))
    await world.request({"scope": f"/subscriptions/{SUBSCRIPTION}", "requestId": "s"})
    (done,) = world.events("ScanCompleted")
    assert done["data"]["vms"]["found"] == 0


@pytest.mark.parametrize("name", ["F02-list-tag-object", "F02-list-value-null"])
async def test_the_lists_that_were_found_end_their_scan(name: str) -> None:
    """A tag that is an object, and no list at all."""
    listed = found(name)
    scope = "/subscriptions/e37510d7-33b6-4676-886f-ee75bcc01871"
    rules = [
        rule("GET", "/providers/Microsoft.Compute/virtualMachines?", ok(listed)),
        *_scan([])[1:],
    ]
    world = Replay(rules)
    await world.request({"scope": scope, "requestId": "s"})
    (done,) = world.events("ScanCompleted")
    assert done["data"]["status"] == "Succeeded"
