"""Other operations on a VM, and wishes to wait, replayed through the whole app.

Those that were found lie in `../shared/cases` beside this repository, where they are at hand; each
has a like value of our own here.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tests.support.conversations import (
    ACTIVITY,
    BEGUN,
    ENDED,
    FOREIGN,
    NOT_FOUND,
    REQUEST,
    THROTTLED,
    conversation,
    found,
    ok,
    rule,
    summary,
    vm_body,
)
from tests.support.replay import Replay

AT_ONCE: Final = timedelta(minutes=30)

INSTALLED: Final = {
    "status": "Succeeded",
    "installationActivityId": FOREIGN,
    "installedPatchCount": 4,
    "patches": [{"patchId": "k", "installationState": "Installed"}],
}
OWN: Final = {
    "an installation that is over": conversation(
        rule("GET", f"{FOREIGN}?monitor=true", ok(INSTALLED)),
        rule(
            "GET",
            FOREIGN,
            ok({"status": "Succeeded", "name": FOREIGN, "properties": {"output": INSTALLED}}),
        ),
        vm=vm_body(summary("Succeeded", "2026-01-05T12:10:00Z")),
    ),
    "one that failed": conversation(
        rule(
            "GET",
            FOREIGN,
            ok({"status": "Failed", "name": FOREIGN, "error": {"code": "X", "message": "x"}}),
        ),
        vm=vm_body(summary("InProgress", "2026-01-05T11:59:00Z")),
    ),
    "a summary that is stuck": conversation(
        rule("GET", FOREIGN, NOT_FOUND), vm=vm_body(summary("InProgress", "2026-01-05T11:58:00Z"))
    ),
    "an assessment of the VM's own": conversation(
        rule("GET", FOREIGN, NOT_FOUND), vm=vm_body(summary("Succeeded", "2026-01-05T12:30:00Z"))
    ),
    "an operation that may not be read": conversation(
        rule("GET", FOREIGN, {"status": 403, "body": {"error": {"code": "AuthorizationFailed"}}}),
        vm=vm_body(summary("InProgress", "2026-01-05T11:58:00Z")),
    ),
    **{
        f"the location {location!r}": conversation(
            rule("GET", FOREIGN, NOT_FOUND),
            vm=vm_body(summary("InProgress", "2026-01-05T11:58:00Z"), location),
        )
        for location in ("North Europe", "", None, 5, "no/where")
    },
    **{
        f"the activity ID {activity!r}": conversation(
            vm=vm_body(summary("InProgress", "2026-01-05T11:58:00Z", activity))
        )
        for activity in ("", "{}", "a b", 5, None, ["x"])
    },
}


def assert_own_assessment(world: Replay, since: datetime) -> None:
    """One POST, and its result with its list, within minutes."""
    (event,) = world.events()
    assert event["type"] == "PatchAssessor.AssessmentCompleted"
    assert len(event["data"]["availablePatches"]) == 1
    assert event["data"]["criticalAndSecurityPatchCount"] == 1
    assert world.arm.begins == 1
    assert world.clock.now() - since < AT_ONCE


@pytest.mark.parametrize("name", OWN)
async def test_what_is_no_assessment_of_ones_own_is_replaced_by_one(name: str) -> None:
    """Whatever else ran on the VM, and whatever its instance view makes of it."""
    now = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
    world = Replay(OWN[name], now)
    await world.request(REQUEST)
    assert_own_assessment(world, now)


@pytest.mark.parametrize("name", ["01", "02", "03", "04"])
async def test_the_operations_that_were_found_are_replaced(name: str) -> None:
    """Installations, stuck summaries, the VM's own assessments, a location with a space."""
    case = found(name)
    now = datetime.fromisoformat(case.get("now", "2026-01-05T12:00:00+00:00"))
    world = Replay(case["arm"], now)
    await world.request(case["request"])
    assert_own_assessment(world, now)


WISHES: Final = (
    "99999999999999", "inf", "nan", "-5", "1e9", "soon", "", "120, 120", "PT30S", "P1D", "0x10",
    "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2099 07:28:00", "Mon, 05 Jan 2026 12:00:30 -0000",
    "9" * 5000, "٣٠", "1;2", "Sun Nov  6 08:49:37 1994",
)  # fmt: skip


@pytest.mark.parametrize(
    ("place", "wish"),
    [("202", wish) for wish in WISHES]  # where the SDK's own reading of it raises
    + [
        (place, wish)
        for place in ("read", "begin", "poll", "busy poll")
        for wish in ("99999999999999", "soon", "Wed, 21 Oct 2099 07:28:00")
    ],
)
async def test_no_wish_to_wait_is_more_than_a_wait(place: str, wish: str) -> None:
    """At each place where ARM can ask for it; then the outcome comes, before the deadline."""
    asked = {"Retry-After": wish}
    throttled = {"status": 429, "headers": asked, "body": THROTTLED}
    running = {"status": 200, "headers": asked, "body": {"status": "InProgress"}}
    busy = {"status": 503, "headers": asked}
    begun = {"status": 202, "headers": {**BEGUN["headers"], **asked}}
    rules = {
        "read": conversation(rule("GET", "/virtualMachines/web-07", busy, ok(vm_body()))),
        "begin": conversation(begins=(throttled, BEGUN)),
        "202": conversation(begins=(begun,)),
        "poll": conversation(rule("GET", f"{ACTIVITY}?api", running, ok(ENDED))),
        "busy poll": conversation(rule("GET", f"{ACTIVITY}?api", busy, ok(ENDED))),
    }
    world = Replay(rules[place])
    await world.request(REQUEST)
    (event,) = world.events()
    assert event["type"] == "PatchAssessor.AssessmentCompleted"


async def test_the_wish_that_was_found_is_waited_out() -> None:
    """A 429 that asks for three million years."""
    case = found("15")
    world = Replay(case["arm"])
    await world.request(case["request"])
    (event,) = world.events()
    assert event["type"] == "PatchAssessor.AssessmentCompleted"
    assert world.arm.begins == 2
