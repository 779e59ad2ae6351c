"""The app's ARM token goes to ARM's origin alone, whichever answer or token a URL came from.

The SDK and the app's pipeline are the real ones; the transport answers in memory and notes calls.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.core.rest import HttpRequest

from assessor.arm.access_token import Origin, UrlRefusedError, operation_name, problem_with_origin
from assessor.arm.client import ArmClient
from assessor.arm.continuation import TokenRefusedError, check, for_operation
from assessor.arm.errors import ArmError, Verdict, judge
from assessor.settings import ArmCloud
from tests.support.builders import ACTIVITY_ID, OTHER_SUBSCRIPTION, SUBSCRIPTION, VM_ID
from tests.support.recorded_arm import Credential, RecordedArm

ENDPOINT = "https://management.azure.com"
CLOUD = ArmCloud(ENDPOINT, f"{ENDPOINT}/.default")
ORIGIN = Origin(ENDPOINT, SUBSCRIPTION, ACTIVITY_ID)
OPERATIONS = f"{ENDPOINT}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations"
ELSEWHERE = (
    "https://evil.example/x",
    "http://management.azure.com/x",
    "https://management.azure.com.evil.example/x",
    "https://management.azure.com@evil.example/x",
    "https://management.azure.com:8443/x",
    "//evil.example/x",
    "https://[evil/x",
)


def answer(status: int, body: Mapping[str, Any], **headers: str) -> Mapping[str, Any]:
    """Returns what ARM answers."""
    named = {name.replace("_", "-"): [text] for name, text in headers.items()}
    return {
        "StatusCode": status,
        "ResponseHeaders": {"content-type": ["application/json"], **named},
        "ResponseBody": json.dumps(body),
    }


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_url_that_is_not_https_on_arms_origin_is_refused(url: str) -> None:
    """Whatever it looks like."""
    assert problem_with_origin(url, ENDPOINT) is not None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://[evil/x", "a URL can't be read"),
        ("https://management.azure.com:x/", "a URL can't be read"),
        ("http://management.azure.com:443/x", "a URL is not https"),
        ("https://management.azure.com/x y", "a URL has characters that no URL has"),
        (
            "https://x@management.azure.com/x",
            "a URL leads away from the configured ARM endpoint",
        ),
        (
            "https://management.azure.com:444/x",
            "a URL leads away from the configured ARM endpoint",
        ),
        (
            f"{ENDPOINT}/subscriptions/{OTHER_SUBSCRIPTION}/x",
            "a URL is not in the subscription of its request",
        ),
        (
            f"{ENDPOINT}/subscriptions/{SUBSCRIPTION}/../x",
            "a URL's path leads out of its subscription",
        ),
        (f"{ENDPOINT}{VM_ID}", "a URL is not that of an operation of Microsoft.Compute"),
        (f"{OPERATIONS}/eastus/operations/other", "a URL is that of another operation"),
    ],
)
def test_a_refusal_says_what_is_wrong_without_the_urls_text(url: str, problem: str) -> None:
    """It goes into outcomes and logs, and the URL may be anybody's."""
    assert ORIGIN.problem_with_operation(url) == problem


def test_where_no_operation_is_named_none_may_be_polled() -> None:
    """Any other URL of the subscription may be called."""
    url = f"{OPERATIONS}/eastus/operations/{ACTIVITY_ID}"
    nowhere = Origin(ENDPOINT, SUBSCRIPTION.upper())
    assert nowhere.problem_with(url) is None
    assert nowhere.problem_with_operation(url) == "a URL is that of another operation"
    assert Origin(ENDPOINT, SUBSCRIPTION, ACTIVITY_ID.upper()).problem_with_operation(url) is None


def test_the_port_that_https_has_may_be_written_or_left_out() -> None:
    """In the URL as in the endpoint."""
    assert problem_with_origin(f"{ENDPOINT}:443/x", ENDPOINT) is None
    assert problem_with_origin(f"{ENDPOINT}/x", f"{ENDPOINT}:443") is None
    assert problem_with_origin(f"{ENDPOINT}:8443/x", f"{ENDPOINT}:8443") is None


def test_an_operations_url_tells_its_name() -> None:
    """In lower case, escaped or not; a URL that can't be read tells none."""
    assert operation_name(f"{OPERATIONS}/East%20US/operations/A%2db?x=/y") == "a-b"
    assert operation_name("https://[evil/x") is None
    assert operation_name(f"{OPERATIONS}/eastus/operations/a/b") is None


@pytest.mark.parametrize(
    "path", ["a/../b", "a/./b", "a//b", "a%2f%2e%2e%2fb", "a%5cb", "a%2541b", "a%00b", "a%0ab"]
)
def test_a_path_that_a_server_might_read_otherwise_leads_out_of_its_subscription(path: str) -> None:
    """By dots, an empty name, a backslash, what is escaped twice, or what can't be printed."""
    url = f"{ENDPOINT}/subscriptions/{SUBSCRIPTION}/{path}"
    assert ORIGIN.problem_with(url) == "a URL's path leads out of its subscription"
    assert ORIGIN.problem_with(url.replace(path, "a%20b-%C3%A9")) is None


@pytest.mark.parametrize("url", ELSEWHERE[:5])
async def test_no_call_of_the_pipeline_leaves_arms_origin(url: str) -> None:
    """The policy stands before authentication: neither the token nor the call goes out."""
    transport = RecordedArm([])
    client = ArmClient(Credential(), CLOUD, transport).client(SUBSCRIPTION)
    with pytest.raises(UrlRefusedError) as refused:
        await client.send_request(HttpRequest("GET", url))
    assert transport.calls == []
    assert refused.value.problem == problem_with_origin(url, ENDPOINT)
    assert str(refused.value) == f"the call is refused, for {refused.value.problem}"


@pytest.mark.parametrize("url", ELSEWHERE[:5])
async def test_a_resource_location_elsewhere_is_not_followed_and_ends_the_assessment(
    url: str,
) -> None:
    """It stands in the body of an operation's status, which no check of a token sees."""
    transport = RecordedArm([answer(200, {"status": "Succeeded", "resourceLocation": url})])
    arm = ArmClient(Credential(), CLOUD, transport)
    token = for_operation(ENDPOINT, VM_ID, "eastus", ACTIVITY_ID, "2026-04-01")
    with pytest.raises(ArmError) as refused:
        await arm.poll(VM_ID, token, ACTIVITY_ID)
    assert refused.value.error.code == "UrlRefused"
    assert "example" not in refused.value.error.message
    assert judge(refused.value).verdict is Verdict.FINAL
    assert {urlsplit(called).netloc for _, called in transport.calls} == {"management.azure.com"}


@pytest.mark.parametrize("header", ["Azure_AsyncOperation", "Location"])
async def test_a_link_elsewhere_in_a_polls_answer_is_not_followed(header: str) -> None:
    """ARM may name another URL to poll at each poll, and the SDK takes it up."""
    transport = RecordedArm(
        [
            answer(202, {"status": "InProgress"}, **{header: "https://evil.example/x"}),
            answer(200, {"status": "Succeeded"}),
        ]
    )
    arm = ArmClient(Credential(), CLOUD, transport)
    token = for_operation(ENDPOINT, VM_ID, "eastus", ACTIVITY_ID, "2026-04-01")
    with suppress(ArmError):
        await arm.poll(VM_ID, token, ACTIVITY_ID)
    assert {urlsplit(called).netloc for _, called in transport.calls} == {"management.azure.com"}


@pytest.mark.parametrize(
    "url",
    [
        f"{ENDPOINT}{VM_ID}?api-version=2026-04-01&$expand=userData",
        f"{ENDPOINT}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/eastus",
        f"{OPERATIONS}/eastus/operations/b".replace("Compute", "KeyVault"),
        f"{OPERATIONS}/eastus/operations/{ACTIVITY_ID}".replace(SUBSCRIPTION, OTHER_SUBSCRIPTION),
        f"{OPERATIONS}/eastus/operations/{ACTIVITY_ID}/more",
        f"{OPERATIONS}/eastus/operations/{ACTIVITY_ID.replace('1', '2')}",
        f"{OPERATIONS}/eastus/operations/a%2Fb",
        f"{OPERATIONS}/eastus/operations/../../x",
    ],
)
def test_a_token_leads_to_an_operation_of_its_own_subscription_or_nowhere(url: str) -> None:
    """Not to user data, another provider, another subscription, nor another operation."""
    assert ORIGIN.problem_with_operation(url) is not None


def test_an_operation_of_compute_may_be_polled() -> None:
    """In any case, with whatever query ARM gave it."""
    url = f"{OPERATIONS}/EastUS/operations/{ACTIVITY_ID}?p=1&monitor=true&api-version=2026-04-01"
    assert ORIGIN.problem_with_operation(url) is None


def test_a_token_that_reads_a_vm_with_its_user_data_is_refused() -> None:
    """The VM lies in the request's own subscription, and is no operation."""
    user_data = f"{ENDPOINT}{VM_ID}?api-version=2026-04-01&$expand=userData"
    own = json.loads(b64decode(for_operation(ENDPOINT, VM_ID, "eastus", ACTIVITY_ID, "2026-04-01")))
    own["data"]["response"]["headers"] = {"Location": user_data}
    token = b64encode(json.dumps(own).encode()).decode()
    with pytest.raises(TokenRefusedError, match="not that of an operation"):
        check(token, ORIGIN)
