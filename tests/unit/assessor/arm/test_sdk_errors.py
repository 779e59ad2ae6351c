"""What the SDK raises, as errors of ARM's: a refusal with its words, or no answer, never a body."""

from collections.abc import AsyncIterator, Mapping
from json import JSONDecodeError
from typing import Any

import pytest
from azure.core.exceptions import (
    AzureError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
)

from assessor.arm.access_token import IdentityError, UrlRefusedError
from assessor.arm.errors import ArmError, Phase
from assessor.arm.reading import document, json_object, streamed_object
from assessor.arm.result import ApiError
from assessor.arm.sdk_errors import arm_errors, error_fields


class Answer:
    """An answer, as the transport hands it to the SDK."""

    request: object = None
    content_type = "application/json"

    def __init__(
        self,
        status: int,
        body: str | Exception = "",
        headers: Mapping[str, str] | None = None,
        reason: str | None = "Reason",
    ) -> None:
        self.status_code = status
        self.headers = headers or {}
        self.reason = reason
        self._body = body

    def text(self, encoding: str | None = None) -> str:
        """Returns the body, or raises what reading it does."""
        del encoding
        if isinstance(self._body, Exception):
            raise self._body
        return self._body

    def body(self) -> bytes:
        """Returns the body's bytes."""
        return b""


def raised_for(error: Exception) -> ArmError:
    """Returns what comes of an error of the SDK's."""
    with pytest.raises(ArmError) as raised, arm_errors(Phase.POLL):
        raise error
    return raised.value


def fields(error: ArmError) -> tuple[Any, ...]:
    """Returns all that an error says."""
    return error.phase, error.status, error.error, error.retry_after, error.request_id


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UrlRefusedError("a URL is not https"), "UrlRefused", "the call is refused, for {error}."),
        (IdentityError("no token"), "IdentityUnavailable", "no token"),
        (ServiceRequestError("no route"), "ServiceRequestError", "no route"),
        (AzureError(""), "AzureError", "no answer in time"),
        (TimeoutError(), "TimeoutError", "no answer in time"),
        (HttpResponseError("no answer"), "HttpResponseError", "no answer"),
        (ValueError("secret"), "UnreadableAnswer", "ValueError in reading"),
        (DecodeError("bad JSON", response=Answer(200)), "DecodeError", "bad JSON"),
        (DecodeError("bad JSON", response=Answer(399)), "DecodeError", "bad JSON"),
        (HttpResponseError("odd", response=Answer(399)), "HttpResponseError", "odd"),
        (
            HttpResponseError("odd", response=Answer(200, '{"status": "Running"}')),
            "HttpResponseError",
            "odd",
        ),
        (
            HttpResponseError("odd", response=Answer(200, '{"status": 5}')),
            "HttpResponseError",
            "odd",
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_answer_says_what_happened(error: Exception, code: str, message: str) -> None:
    """Without a status; an exception's own words only where they can't repeat a body."""
    said = message.format(error="a URL is not https")
    got = raised_for(error)
    assert got.status is None
    assert got.error.code == code
    assert got.error.message.splitlines()[0] == said
    assert (got.phase, got.retry_after, got.request_id) == (Phase.POLL, None, None)
    assert got.__cause__ is error


def test_an_error_of_arms_stays_what_it_is() -> None:
    """It has its phase already."""
    error = ArmError(Phase.BEGIN, None, ApiError("NoOperation", "x"))
    assert raised_for(error) is error


def test_a_refusal_is_kept_whole() -> None:
    """Status, words, the wish to wait, and ARM's own ID of the call."""
    body = '{"error": {"code": "A", "message": "b", "details": [{"code": "c"}]}}'
    headers = {"Retry-After": "7", "x-ms-request-id": "call-1"}
    error = HttpResponseError(response=Answer(429, body, headers))
    said = ApiError("A", "b", details=({"code": "c"},))
    assert fields(raised_for(error)) == (Phase.POLL, 429, said, 7.0, "call-1")


@pytest.mark.parametrize("code", [200, 202, 399])
@pytest.mark.parametrize("status", ["Failed", "failed", "Canceled", "Cancelled"])
def test_an_operation_that_did_not_succeed_is_a_refusal_under_a_200(status: str, code: int) -> None:
    """Or a 202; with its own words, or those that its status makes."""
    bare = HttpResponseError(response=Answer(code, f'{{"status": "{status}"}}', reason=None))
    assert fields(raised_for(bare)) == (
        Phase.POLL,
        code,
        ApiError(f"Operation{status}", "ARM gave no reason."),
        None,
        None,
    )
    body = f'{{"status": "{status}", "error": {{"code": "A", "message": "b"}}}}'
    assert raised_for(HttpResponseError(response=Answer(code, body))).error == ApiError("A", "b")


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "BadRequest"), (404, "NotFound"), (599, "Http599"), (500, "InternalServerError")],
)
@pytest.mark.parametrize(
    "body",
    ["", "<html>", LookupError("charset"), ValueError("x"), RecursionError(), AzureError("x")],
    ids=repr,
)
def test_a_refusal_without_words_has_those_of_its_status(
    status: int, code: str, body: str | Exception
) -> None:
    """Whatever is the matter with its body, also where the SDK can't decode it."""
    for kind in (HttpResponseError, DecodeError):
        answer = Answer(status, "", reason="Reason")
        error = kind("x", response=answer)
        answer._body = body
        assert fields(raised_for(error))[1:3] == (status, ApiError(code, "Reason"))


def test_a_refusals_words_come_in_any_form() -> None:
    """ARM's names where both are there; a gateway's and OAuth's under ARM's."""
    assert error_fields({"error": {"code": "A"}}) == {"code": "A"}
    assert error_fields({"Message": "b"}) == {"message": "b", "Message": "b"}
    assert error_fields({"Code": "B", "code": "A"})["code"] == "A"
    assert error_fields({"error": "A", "error_description": "b", "message": "c"}) == {
        "code": "A",
        "message": "b",
    }
    assert error_fields({"error": "A", "message": "c"}) == {"code": "A", "message": "c"}
    assert error_fields({"error": ["A"]}) == {}


class Streamed:
    """An answer that is read as a stream."""

    def __init__(self, *parts: bytes) -> None:
        self.headers = {"Content-Type": "application/json"}
        self.parts = list(parts)
        self.is_closed = False

    async def iter_raw(self) -> AsyncIterator[bytes]:
        """Gives the body's parts."""
        while self.parts:
            yield self.parts.pop(0)

    async def close(self) -> None:
        """Closes the connection."""
        self.is_closed = True


async def test_a_streamed_object_is_read_from_all_of_its_parts() -> None:
    """However it is cut."""
    assert await streamed_object(Streamed(b'{"a": "\xc3', b'\xa9"}')) == {"a": "é"}


async def test_a_stream_without_end_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """At what a body may have at the most; one of just that size is read."""
    monkeypatch.setattr("assessor.arm.reading.MOST_BYTES", 8)
    endless = Streamed(b'{"a":', b"12}", b" ", b"never", b"read")
    with pytest.raises(JSONDecodeError):
        await streamed_object(endless)
    assert endless.is_closed
    assert endless.parts == [b"never", b"read"]
    largest = Streamed(b'{"a":', b"12}")
    assert await streamed_object(largest) == {"a": 12}
    assert not largest.is_closed


async def test_what_holds_no_object_is_told_without_its_text() -> None:
    """It may be secret, and errors are logged."""
    with pytest.raises(JSONDecodeError) as streamed:
        await streamed_object(Streamed(b'"secret"'))
    with pytest.raises(JSONDecodeError) as read:
        document("[5]")
    for error in (streamed.value, read.value):
        assert (error.msg, error.doc, error.pos) == ("no JSON object", "", 0)


def test_no_text_is_an_empty_document() -> None:
    """As a 202 has none; what can't be read is an empty object where nothing depends on it."""
    assert document("") == json_object("") == json_object("[5]") == {}
    assert document('{"a": 1}') == json_object('{"a": 1}') == {"a": 1}
