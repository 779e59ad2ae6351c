"""Lists of VMs, through the real SDK: what is asked, what is read, and no link is followed blindly.

The transport answers in memory, and notes every call.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from assessor.arm.client import API_VERSION, ArmClient
from assessor.arm.errors import ArmError, Phase, Verdict, judge
from assessor.arm.listing import ListedVm, Page, PageLinkRefusedError
from assessor.arm.result import ApiError
from assessor.arm.vm_lister import ArmVmLister
from assessor.resource_id import Scope, VirtualMachineId
from tests.support.app import settings
from tests.support.builders import OTHER_SUBSCRIPTION, SUBSCRIPTION
from tests.support.recorded_arm import Credential, RecordedArm

CLOUD = settings().arm_cloud
SCOPE = Scope(SUBSCRIPTION)
GROUP = Scope(SUBSCRIPTION, "Gruppe-é")
LIST = f"{CLOUD.endpoint}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
GROUP_LIST = LIST.replace("/providers/", "/resourceGroups/Gruppe-%C3%A9/providers/")
VM = VirtualMachineId(SUBSCRIPTION, "Gruppe-é", "vm-1")
ENTRY = {
    "id": str(VM),
    "location": "eastus",
    "tags": {"env": "prod"},
    "properties": {"instanceView": {"statuses": [{"code": "PowerState/running"}]}},
}
LISTED = ListedVm(VM, "eastus", {"env": "prod"}, "running")


def answer(status: int, body: object, **headers: str) -> Mapping[str, Any]:
    """Returns what ARM answers."""
    named = {name.replace("_", "-"): [text] for name, text in headers.items()}
    return {
        "StatusCode": status,
        "ResponseHeaders": {"content-type": ["application/json"]} | named,
        "ResponseBody": body if isinstance(body, str | bytes) else json.dumps(body),
    }


def over(transport: RecordedArm) -> ArmVmLister:
    """Returns the lister as a worker has it, over a transport."""
    return ArmVmLister(ArmClient(Credential(), CLOUD, transport).client, CLOUD.endpoint)


@pytest.mark.parametrize(("scope", "url"), [(SCOPE, LIST), (GROUP, GROUP_LIST)])
async def test_a_scope_is_listed_by_its_own_list(scope: Scope, url: str) -> None:
    """With the link to the next page, and what can't be asked for counted by its reason."""
    link = f"{url}?$skiptoken=2&api-version={API_VERSION}"
    transport = RecordedArm([answer(200, {"value": [ENTRY, 5], "nextLink": link})])
    page = await over(transport).page(scope, None)
    assert page == Page((LISTED,), link, {"NotAnObject": 1})
    assert transport.calls == [("GET", f"{url}?api-version={API_VERSION}")]


@pytest.mark.parametrize("scope", [SCOPE, GROUP])
async def test_power_states_are_listed_by_subscription(scope: Scope) -> None:
    """ARM has that list for no less; what can't be asked for is counted by the other list alone."""
    transport = RecordedArm([answer(200, {"value": [ENTRY, 5]})])
    page = await over(transport).power_page(scope, None)
    assert page == Page((LISTED,), None, {})
    assert transport.calls == [("GET", f"{LIST}?statusOnly=true&api-version={API_VERSION}")]


@pytest.mark.parametrize("is_power", [False, True])
async def test_a_next_page_is_asked_for_by_its_link_alone(is_power: bool) -> None:  # noqa: FBT001 - which list
    """As ARM wrote it: it says which page of what it is."""
    link = f"{LIST}?$skiptoken=2&api-version=2020-01-01"
    transport = RecordedArm([answer(200, {"value": []})])
    lister = over(transport)
    await (lister.power_page if is_power else lister.page)(SCOPE, link)
    assert transport.calls == [("GET", link)]


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("https://evil.example/x", "a URL leads away from the configured ARM endpoint"),
        (
            LIST.replace(SUBSCRIPTION, OTHER_SUBSCRIPTION),
            "a URL is not in the subscription of its request",
        ),
    ],
)
async def test_a_link_elsewhere_is_refused_before_it_is_followed(link: str, problem: str) -> None:
    """From ARM's answer as from a message; the error says why without the link's text."""
    transport = RecordedArm([answer(200, {"value": [], "nextLink": link})])
    lister = over(transport)
    with pytest.raises(PageLinkRefusedError) as followed:
        await lister.page(SCOPE, link)
    assert transport.calls == []
    with pytest.raises(PageLinkRefusedError) as listed:
        await lister.page(SCOPE, None)
    assert followed.value.problem == listed.value.problem == problem
    assert str(listed.value) == f"the link to the next page is refused: {problem}"


@pytest.mark.parametrize(
    ("status", "verdict"), [(429, Verdict.WAIT), (403, Verdict.FINAL), (204, Verdict.WAIT)]
)
async def test_a_refused_list_is_judged_by_its_answer(status: int, verdict: Verdict) -> None:
    """Whatever is no 200 is no list; ARM's wish to wait comes with it."""
    said = {"error": {"code": "Code", "message": "Why."}} if status >= 400 else ""
    transport = RecordedArm([answer(status, said, Retry_After="7", x_ms_request_id="call-1")])
    with pytest.raises(ArmError) as refused:
        await over(transport).page(SCOPE, None)
    error = refused.value
    assert (error.phase, judge(error).verdict) == (Phase.LIST, verdict)
    if status >= 400:
        assert (error.status, error.error) == (status, ApiError("Code", "Why."))
        assert (error.retry_after, error.request_id) == (7.0, "call-1")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<html>", "it is no JSON object"),
        ({"value": 5}, "value is no array"),
        ({"nextLink": 5}, "nextLink is no text"),
    ],
)
async def test_what_is_no_list_is_no_answer(body: object, reason: str) -> None:
    """It is waited out; the error says what was wrong with it."""
    with pytest.raises(ArmError) as unread:
        await over(RecordedArm([answer(200, body)])).page(SCOPE, None)
    error = unread.value
    assert (error.phase, error.status) == (Phase.LIST, None)
    assert error.error == ApiError("UnreadableAnswer", f"ARM's list can't be read: {reason}")
    assert judge(error).verdict is Verdict.WAIT


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
async def test_a_list_is_read_in_the_charset_that_it_names(charset: str) -> None:
    """Letters that UTF-8 writes in two bytes among them."""
    listed = json.dumps({"value": [ENTRY | {"tags": {"ort": "Köln"}}]}, ensure_ascii=False)
    named = answer(200, listed.encode(charset), content_type=f"application/json; charset={charset}")
    page = await over(RecordedArm([named])).page(SCOPE, None)
    assert [dict(vm.tags) for vm in page.vms] == [{"ort": "Köln"}]


async def test_a_list_that_says_not_what_it_is_is_read_from_its_bytes() -> None:
    """A header that is missing is no reason to wait."""
    bare = {
        "StatusCode": 200,
        "ResponseHeaders": {},
        "ResponseBody": json.dumps({"value": [ENTRY]}),
    }
    assert await over(RecordedArm([bare])).page(SCOPE, None) == Page((LISTED,))


async def test_a_list_that_does_not_come_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call has its time, and what takes longer is no answer."""

    class Silent(RecordedArm):
        """Never answers."""

        async def send(self, request: Any, **options: Any) -> Any:  # noqa: ANN401 - SDK's
            """Waits."""
            del request, options
            await asyncio.Event().wait()

    monkeypatch.setattr("assessor.arm.vm_lister.CALL_SECONDS", 0.001)
    async with asyncio.timeout(5):
        with pytest.raises(ArmError) as unanswered:
            await over(Silent([])).page(SCOPE, None)
    assert unanswered.value.error == ApiError("TimeoutError", "no answer in time")
