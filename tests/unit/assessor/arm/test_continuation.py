"""Continuation tokens: the SDK's own are used, forged ones never, and nothing leads elsewhere.

The SDK here is the real one; its transport answers in memory, and notes every call.
"""

import base64
import json
import pickle
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.core.polling._utils import _decode_continuation_token
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.access_token import Origin
from assessor.arm.continuation import TokenRefusedError, check, for_operation, name_in
from assessor.resource_id import VirtualMachineId
from tests.support.builders import (
    ACTIVITY_ID,
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    VM_ID,
    json_values,
    recorded_result,
    recording,
)
from tests.support.recorded_arm import API_VERSION, RecordedArm, begin

_ENDPOINT = "https://management.azure.com"
_ORIGIN = Origin(_ENDPOINT, SUBSCRIPTION, ACTIVITY_ID)
_OPERATION = (
    f"{_ENDPOINT}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute"
    f"/locations/eastus/operations/{ACTIVITY_ID}"
)


async def _sdk_token() -> str:
    """Returns the token that the SDK writes after the 202 of the recording."""
    poller = await begin(RecordedArm([recording()[0]]))
    return poller.continuation_token()


def _state() -> dict[str, Any]:
    """Returns what stands in a token of the SDK, as JSON to change."""
    return {
        "request": {
            "method": "POST",
            "url": f"{_ENDPOINT}{VM_ID}/assessPatches?api-version={API_VERSION}",
            "headers": {"x-ms-client-request-id": ACTIVITY_ID},
        },
        "response": {
            "status_code": 202,
            "headers": {
                "location": f"{_OPERATION}?monitor=true&api-version={API_VERSION}",
                "azure-asyncoperation": f"{_OPERATION}?api-version={API_VERSION}",
            },
            "content": "",
        },
        "context": {"deserialized_data": None},
    }


def _token(state: object, version: object = 1) -> str:
    return base64.b64encode(json.dumps({"version": version, "data": state}).encode()).decode()


def _content(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def _changed(path: str, value: object) -> dict[str, Any]:
    """Returns a token's state with one of its values set, by a path of names."""
    state = _state()
    *way, last = path.split(".")
    node = state
    for name in way:
        node = node[name]
    node[last] = value
    return state


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, each in value.items():
                yield name
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)
        case _:
            return


def _leads_nowhere_else(token: str) -> bool:
    """Whether all that looks like a URL in a token lies under the origin and subscription."""
    state = _decode_continuation_token(token)
    assert state["response"]["content"] == ""
    urls = [text for text in _texts(state) if "/" in text or "\\" in text]
    parts = [urlsplit(url) for url in urls]
    return bool(urls) and all(
        part.scheme == "https"
        and part.netloc in {"management.azure.com", "management.azure.com:443"}
        and part.path.startswith(f"/subscriptions/{SUBSCRIPTION}/")
        for part in parts
    )


async def test_the_sdks_own_token_is_accepted_and_means_the_same() -> None:
    """Checked and put together again, it holds what the SDK wrote."""
    token = await _sdk_token()
    checked = check(token, _ORIGIN)
    assert _decode_continuation_token(checked) == _decode_continuation_token(token)
    assert check(checked, _ORIGIN) == checked


async def test_a_checked_token_is_followed_by_the_sdk_to_the_recorded_result() -> None:
    """The SDK polls the operation, then gets the result, from the recording's own URLs."""
    status, result = recording()[-2:]
    arm = RecordedArm([status, result])
    poller = await begin(arm, check(await _sdk_token(), _ORIGIN))
    assert (await poller.result()).as_dict() == recorded_result()
    assert arm.calls == [
        ("GET", f"{_OPERATION}?api-version={API_VERSION}"),
        ("GET", f"{_OPERATION}?monitor=true&api-version={API_VERSION}"),
    ]


async def test_a_token_made_from_the_operations_name_is_what_the_sdk_would_have_written() -> None:
    """For the recorded operation both are the same but for the case of header names."""
    made = for_operation(_ENDPOINT, VM_ID, "eastus", ACTIVITY_ID, API_VERSION)
    ours = _decode_continuation_token(made)
    theirs = _decode_continuation_token(await _sdk_token())
    for state in (ours, theirs):
        headers = state["response"]["headers"]
        state["response"]["headers"] = {name.lower(): url for name, url in headers.items()}
    assert ours == theirs


async def test_a_token_made_from_the_operations_name_is_followed_to_the_end() -> None:
    """A worker that was not there at the 202 gets the same result from the same URLs."""
    made = for_operation(_ENDPOINT, VM_ID, "eastus", ACTIVITY_ID, API_VERSION)
    status, result = recording()[-2:]
    arm = RecordedArm([status, result])
    poller = await begin(arm, check(made, _ORIGIN))
    assert (await poller.result()).as_dict() == recorded_result()
    assert [url for _, url in arm.calls] == [
        f"{_OPERATION}?api-version={API_VERSION}",
        f"{_OPERATION}?monitor=true&api-version={API_VERSION}",
    ]


def test_a_resource_group_with_letters_of_any_script_has_a_token_too() -> None:
    """They are escaped in the URL, as the SDK does."""
    vm_id = VirtualMachineId(SUBSCRIPTION, "Gruppe-é(1)", "vm")
    token = for_operation(_ENDPOINT, vm_id, "eastus", ACTIVITY_ID, API_VERSION)
    assert "Gruppe-%C3%A9" in _decode_continuation_token(check(token, _ORIGIN))["request"]["url"]


def test_an_endpoint_of_ones_own_is_held_to_its_port() -> None:
    """A local ARM listens on another port: that one only is its origin."""
    local = Origin("https://127.0.0.1:8443", SUBSCRIPTION)
    path = f"/subscriptions/{SUBSCRIPTION}/x"
    assert local.problem_with(f"https://127.0.0.1:8443{path}") is None
    for other in ("https://127.0.0.1", "https://127.0.0.1:8444", "http://127.0.0.1:8443"):
        assert local.problem_with(f"{other}{path}") is not None


_PATH = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/eastus/operations/x"
_FORGED_URLS = [
    "",
    "operations/x",
    _PATH,
    f"//management.azure.com{_PATH}",
    f"//evil.example{_PATH}",
    f"https://evil.example{_PATH}",
    f"https://evil.example/?{_ENDPOINT}{_PATH}",
    f"https://evil.example/{_ENDPOINT}{_PATH}",
    f"http://management.azure.com{_PATH}",
    f"ftp://management.azure.com{_PATH}",
    f"https:management.azure.com{_PATH}",
    f"https:/management.azure.com{_PATH}",
    f"https:///management.azure.com{_PATH}",
    f"https://management.azure.com@evil.example{_PATH}",
    f"https://user@management.azure.com{_PATH}",
    f"https://user:word@management.azure.com{_PATH}",
    f"https://@management.azure.com{_PATH}",
    f"https://evil.example\\@management.azure.com{_PATH}",
    f"https://management.azure.com\\.evil.example{_PATH}",
    f"https:\\\\management.azure.com{_PATH}",
    f"https://evil.example#@management.azure.com{_PATH}",
    f"https://management.azure.com.evil.example{_PATH}",
    f"https://management.azure.com.{_PATH}",
    f"https://evilmanagement.azure.com{_PATH}",
    f"https://management.azure.com:8443{_PATH}",
    f"https://management.azure.com:0{_PATH}",
    f"https://management.azure.com:99999{_PATH}",
    f"https://management.azure.com:x{_PATH}",
    f"https://[management.azure.com{_PATH}",
    f"https://management%2eazure.com{_PATH}",
    f"https://manageme\u0438t.azure.com{_PATH}",
    f"https://management.azure.com\uff0f.evil.example{_PATH}",
    f"https://management.azure.com\u3002evil.example{_PATH}",
    f"https://management.azure.com/subscriptions/{OTHER_SUBSCRIPTION}/x",
    "https://management.azure.com/",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}2/x",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}?/x",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}#/x",
    f"https://management.azure.com//subscriptions/{SUBSCRIPTION}/x",
    f"https://management.azure.com/x/../subscriptions/{SUBSCRIPTION}/x",
    f"https://management.azure.com/subscriptions%2f{SUBSCRIPTION}/x",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/../{OTHER_SUBSCRIPTION}/x",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/./x",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}//x",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/%2e%2e/{OTHER_SUBSCRIPTION}/x",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/.%2E/{OTHER_SUBSCRIPTION}/x",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/..%2f{OTHER_SUBSCRIPTION}/x",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/..%5c{OTHER_SUBSCRIPTION}/x",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/%252e%252e/x",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/%00/x",
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/%0d%0aHost:evil/x",
    f" https://management.azure.com{_PATH}",
    f"https://management.azure.com{_PATH} ",
    f"https://management.azure.com{_PATH}\n",
    f"https://management.azure.com{_PATH}\r\nHost: evil.example",
    f"ht\ttps://management.azure.com{_PATH}",
    f"\x00https://management.azure.com{_PATH}",
]


@pytest.mark.parametrize("url", _FORGED_URLS)
@pytest.mark.parametrize(
    "place", ["request.url", "response.headers.location", "response.headers.azure-asyncoperation"]
)
def test_a_url_that_leads_elsewhere_is_refused_wherever_the_sdk_would_look(
    url: str, place: str
) -> None:
    """Other hosts, schemes, ports and subscriptions, with each trick to look like the right one."""
    with pytest.raises(TokenRefusedError):
        check(_token(_changed(place, url)), _ORIGIN)


@pytest.mark.parametrize("header", ["Location", "LOCATION", "Operation-Location"])
def test_a_second_header_of_the_same_meaning_is_checked_too(header: str) -> None:
    """Names of headers differ in case, and the SDK knows three of them."""
    with pytest.raises(TokenRefusedError):
        check(_token(_changed(f"response.headers.{header}", "https://evil.example/x")), _ORIGIN)


@pytest.mark.parametrize(
    "state",
    [
        _changed("extra", 1),
        _changed("request.extra", 1),
        _changed("request.body", "x"),
        _changed("request.method", "GET"),
        _changed("request.method", "PUT"),
        _changed("request.method", "DELETE"),
        _changed("request.method", "post"),
        _changed("request.headers", {}),
        _changed("request.headers.Authorization", "Bearer x"),
        _changed("request.headers.x-ms-client-request-id", "x\r\nHost: evil.example"),
        _changed("response.extra", 1),
        _changed("response.status_code", 302),
        _changed("response.status_code", "202"),
        _changed("response.headers", {}),
        _changed("response.headers", {"content-type": "application/json"}),
        _changed("response.headers.set-cookie", "x"),
        _changed("response.headers.location", ["x"]),
        _changed("response.content", "%%%"),
        _changed("response.content", "no JSON"),
        _changed("response.content", _content({"resourceLocation": "https://evil.example/x"})),
        _changed("response.content", _content([[{"a": "//evil.example"}]])),
        _changed("context.extra", 1),
        _changed("context.deserialized_data", {"resourceLocation": "https://evil.example/x"}),
        _changed("context.deserialized_data", [["http://evil.example"]]),
        _changed("context", None),
        {},
        [],
        None,
        "x",
    ],
)
def test_what_the_sdk_would_not_have_written_is_refused(state: object) -> None:
    """Other methods, fields and headers, and URLs hidden where only a body should be."""
    with pytest.raises(TokenRefusedError):
        check(_token(state), _ORIGIN)


@pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
def test_another_version_of_the_format_is_refused(version: object) -> None:
    """What it would mean is not known."""
    with pytest.raises(TokenRefusedError):
        check(_token(_state(), version), _ORIGIN)


class _Exploit:
    """Would run code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return pytest.fail, ("a token was unpickled",)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "é",
        "AAAA",
        "===",
        base64.b64encode(pickle.dumps(_Exploit())).decode(),
        base64.b64encode(pickle.dumps(_Exploit(), protocol=0)).decode(),
        base64.b64encode(b"[" * 20_000).decode(),
        base64.b64encode(b"9" * 20_000).decode(),
        _token(_state()) + "\n",
        "A" * 40_000,
    ],
)
def test_what_is_no_token_is_refused_and_never_unpickled(token: str) -> None:
    """The formats of older SDKs among them."""
    with pytest.raises(TokenRefusedError):
        check(token, _ORIGIN)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: base64.b64encode(b).decode()))
def test_any_text_is_refused_and_nothing_else_is_raised(text: str) -> None:
    """The one error says what is wrong, without the token's own text."""
    with pytest.raises(TokenRefusedError) as refused:
        check(text, _ORIGIN)
    assert refused.value.problem


_CHARSETS = ["utf-7", "utf-16", "utf-16-le", "utf-32", "cp037", "unicode_escape", "latin-1"]


@pytest.mark.parametrize("charset", _CHARSETS)
async def test_an_answer_in_another_charset_sends_the_sdk_nowhere(charset: str) -> None:
    """The SDK decodes a body by the charset that its content type names.

    In UTF-7 `+AC8ALw-` is `//`. A body with a status and a further URL in such a charset would
    make the SDK call that URL, with the app's token, at once.
    """
    evil = '{"status": "Succeeded", "resourceLocation": "https://evil.example/x"}'
    body = evil.encode(charset) if charset != "utf-7" else evil.replace("//", "+AC8ALw-").encode()
    state = _changed("response.content", base64.b64encode(body).decode())
    state["response"]["headers"]["content-type"] = f"application/json; charset={charset}"
    arm = RecordedArm([*recording()[-2:]])
    try:
        token = check(_token(state), _ORIGIN)
    except TokenRefusedError:
        return
    assert (await (await begin(arm, token)).result()).as_dict() == recorded_result()
    assert {urlsplit(url).netloc for _, url in arm.calls} == {"management.azure.com"}


@pytest.mark.parametrize(
    "location", ["https:evil.example/x", "https:/\\evil.example/x", "\\\\evil.example/x", "x"]
)
async def test_a_result_that_the_token_brings_along_is_not_believed(location: str) -> None:
    """The operation is asked for its end, whatever a token says of it."""
    answer = recorded_result() | {"resourceLocation": location}
    state = _changed("response.content", _content(answer))
    state["context"]["deserialized_data"] = answer
    arm = RecordedArm([*recording()[-2:]])
    poller = await begin(arm, check(_token(state), _ORIGIN))
    assert not poller.done()
    await poller.result()
    assert len(arm.calls) == 2


_HOSTS = st.sampled_from(["management.azure.com", "evil.example", "management.azure.com:444"])
_PIECES = st.sampled_from(
    [
        *("/", "//", "\\", "@", ":", "#", "?", "..", "%2e", "%2f", "%5c", "x", "\u2215"),
        "evil.example",
        f"/subscriptions/{SUBSCRIPTION}/",
        f"/subscriptions/{OTHER_SUBSCRIPTION}/",
    ]
)
_URLS = st.builds(
    lambda scheme, host, pieces: f"{scheme}{host}{''.join(pieces)}",
    st.sampled_from(["https://", "https:", "http://", "//", "HTTPS://", " https://"]),
    _HOSTS,
    st.lists(_PIECES, max_size=6),
) | st.just(f"{_OPERATION}?api-version=1")


@given(
    st.fixed_dictionaries(
        {
            "request.url": _URLS,
            "response.headers.location": _URLS,
            "response.headers.azure-asyncoperation": _URLS,
        }
    ),
    st.builds(_content, json_values(6) | _URLS | st.dictionaries(st.text(), _URLS, max_size=2)),
    json_values(6) | _URLS,
)
def test_whatever_is_accepted_leads_to_the_origin_and_subscription_only(
    urls: dict[str, str], content: str, data: object
) -> None:
    """Of any mixture of URLs, in all the places of a token at once."""
    state = _changed("response.content", content)
    state["context"]["deserialized_data"] = data
    state["request"]["url"] = urls["request.url"]
    state["response"]["headers"] = {
        "location": urls["response.headers.location"],
        "azure-asyncoperation": urls["response.headers.azure-asyncoperation"],
    }
    try:
        checked = check(_token(state), _ORIGIN)
    except TokenRefusedError:
        return
    assert _leads_nowhere_else(checked)


@given(st.integers(100, 5000), st.sampled_from(["context.deserialized_data", "response.content"]))
def test_data_that_is_nested_deep_is_no_trouble(depth: int, place: str) -> None:
    """Read or refused; nothing else is raised."""
    try:
        checked = check(_nested(depth, place), _ORIGIN)
    except TokenRefusedError:
        return
    assert _leads_nowhere_else(checked)


def test_data_that_is_nested_too_deep_is_refused() -> None:
    """Python 3.11 does not decode it; later ones do."""
    with pytest.raises(TokenRefusedError) as refused:
        check(_nested(2000, "context.deserialized_data"), _ORIGIN)
    assert refused.value.problem in {"it can't be decoded", "the data in it is nested too deep"}


def _nested(depth: int, place: str) -> str:
    nested = "[" * depth + "]" * depth
    value = base64.b64encode(nested.encode()).decode() if place == "response.content" else "NESTED"
    text = json.dumps({"version": 1, "data": _changed(place, value)}).replace('"NESTED"', nested)
    return base64.b64encode(text.encode()).decode()


def test_the_problem_is_told_without_the_tokens_text() -> None:
    """It goes into the outcome and the log, and the URL may be anybody's."""
    with pytest.raises(TokenRefusedError) as refused:
        check(_token(_changed("request.url", "https://evil.example/secret")), _ORIGIN)
    assert refused.value.problem == "a URL leads away from the configured ARM endpoint"
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("x", "it can't be decoded"),
        (base64.b64encode(b"{").decode(), "it can't be decoded"),
        ("A" * 32 * 1024, "it can't be decoded"),
        ("A" * 32 * 1024 + "A", "it is longer than any token of the SDK"),
        (_token(_state(), 2), "it is not one of this SDK's (version)"),
        (
            _token(_changed("request.method", "GET") | {"extra": 1}),
            "it is not one of this SDK's (data.extra, data.request.method)",
        ),
        (
            _token(_changed("response.headers.set-cookie", "x")),
            "it holds a header that the SDK does not keep",
        ),
        (_token(_changed("response.content", "%")), "the response in it can't be decoded"),
        (
            _token(_changed("response.content", f"%{_content({})}")),
            "the response in it can't be decoded",
        ),
        (_token(_changed("response.headers", {})), "it names no operation"),
        (
            _token(_changed("response.headers.location", f"{_ENDPOINT}{VM_ID}")),
            "a URL is not that of an operation of Microsoft.Compute",
        ),
    ],
    ids=lambda text: str(text)[:20],
)
def test_a_refusal_says_what_is_wrong_with_a_token(token: str, problem: str) -> None:
    """Down to the fields that are not the SDK's."""
    with pytest.raises(TokenRefusedError) as refused:
        check(token, _ORIGIN)
    assert refused.value.problem == problem
    assert str(refused.value) == f"the continuation token is refused: {problem}"


def test_urls_of_the_right_origin_in_a_body_are_no_harm() -> None:
    """They are left out with it; a token keeps the operation's own alone, and its status."""
    body = {"properties": [f"{_ENDPOINT}/subscriptions/{SUBSCRIPTION}/x", {"n": 5, "t": "text"}]}
    state = _changed("response.content", _content(body))
    state["context"]["deserialized_data"] = body
    state["response"]["headers"] |= {"Content-Type": "application/json", "Retry-After": "5"}
    state["response"]["status_code"] = 200
    kept = _changed("response.status_code", 200)
    assert json.loads(base64.b64decode(check(_token(state), _ORIGIN))) == {
        "version": 1,
        "data": kept,
    }


def test_an_operation_is_called_what_its_urls_call_it() -> None:
    """In lower case, whichever header has it; nothing where they differ, or where there is none."""
    upper = _changed("response.headers", {"LOCATION": _OPERATION.upper()})
    assert name_in(_token(_state())) == name_in(_token(upper)) == ACTIVITY_ID
    other = _changed("response.headers.location", _OPERATION.replace(ACTIVITY_ID, "other"))
    assert name_in(_token(other)) is None
    assert name_in(_token(_changed("response.headers", {"retry-after": _OPERATION}))) is None
    assert name_in("no token") is None


def test_a_token_made_from_the_operations_name_holds_what_arms_202_would_have_named() -> None:
    """Under its headers' names; the request's ID, which the SDK needs, is the activity ID."""
    made = for_operation(_ENDPOINT, VM_ID, "eastus", ACTIVITY_ID, API_VERSION)
    links = _state()["response"]["headers"]
    assert json.loads(base64.b64decode(made)) == {
        "version": 1,
        "data": _changed(
            "response.headers",
            {"Location": links["location"], "Azure-AsyncOperation": links["azure-asyncoperation"]},
        ),
    }
