"""What ARM answers, read tolerantly: headers that say when to ask again, and JSON."""

import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import AsyncPipeline
from azure.core.pipeline.transport import HttpRequest
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.errors import ArmError, Phase
from assessor.arm.reading import object_in, object_of, objects_of, read_object, text_of
from assessor.arm.sdk_errors import arm_errors
from assessor.arm.throttling import MOST_SECONDS, PlainWaitPolicy, asked_to_wait, retry_after
from assessor.http import MOST_BYTES
from tests.support.scripted_wire import Answer, Wire

NOW = datetime(2026, 10, 21, 7, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15", 15.0),
        (" 2.5 ", 2.5),
        ("0", 0.0),
        ("120, 120", 120.0),
        ("30, 90", 90.0),
        ("PT30S", 30.0),
        ("pt1m30s", 90.0),
        ("P1DT1S", MOST_SECONDS),
        ("PT1H", MOST_SECONDS),
        ("PT59M1.5S", 3541.5),
        ("P0D", 0.0),
        ("P", None),
        ("PT", None),
        ("PT5", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT, 90", 90.0),
        ("90, Wed, 21 Oct 2026 07:28:00 GMT", 90.0),
        ("3601", MOST_SECONDS),
        ("soon, 5", 5.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60.0),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", 60.0),
        ("Wed Oct 21 07:28:00 2026", 60.0),
        ("Wed, 21 Oct 2026 07:28:00 -0000", 60.0),
        ("Wed, 21 Oct 2026 07:28:00", 60.0),
        ("Wed, 21 Oct 2026 09:28:00 +0200", 60.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT, Wed, 21 Oct 2026 07:29:00 GMT", 120.0),
        ("Wed, 21 Oct 2025 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2099 07:28:00", MOST_SECONDS),
        ("99999999999999", MOST_SECONDS),
        ("9" * 41, None),
        ("-5", None),
        ("inf", None),
        ("nan", None),
        ("1e9", None),
        ("soon", None),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
        ("\u0663", None),
        ("", None),
        (None, None),
    ],
)
def test_a_wish_to_wait_is_read_and_bounded(text: str | None, expected: float | None) -> None:
    """A number, a date in each of its forms, a duration, the header twice; no nonsense."""
    assert retry_after(text, NOW) == expected


@pytest.mark.parametrize("date", ["Wed, 21 Oct 2026 07:25:30 GMT", "Tue, 20 Oct 2099 10:00:00 GMT"])
def test_a_date_counts_from_the_answers_own(date: str) -> None:
    """This machine's clock may be minutes off, or years."""
    moment = parsedate_to_datetime(date) + timedelta(seconds=90)
    headers = {"Retry-After": format_datetime(moment, usegmt=True), "Date": date}
    assert asked_to_wait(headers) == 90.0


def test_without_a_date_of_its_own_an_answers_wish_counts_from_now() -> None:
    """Also where its date is none."""
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True)
    for headers in ({"Retry-After": later}, {"Retry-After": later, "Date": "yesterday"}):
        assert 900 < (asked_to_wait(headers) or 0.0) <= 1000
    assert asked_to_wait({}) is None


@given(st.text() | st.from_regex(r"(-?[0-9]{1,20}|[A-Z][a-z]{2}, [0-9 :A-Za-z+-]*)(, .*)?"))
def test_no_wish_is_an_exception(text: str) -> None:
    """And none is beyond the bound."""
    seconds = retry_after(text, NOW)
    assert seconds is None or 0 <= seconds <= MOST_SECONDS


def test_dates_without_a_zone_are_in_utc_wherever_the_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An answer's wish and its own date alike."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert retry_after("Wed, 21 Oct 2026 07:28:00", NOW) == 60.0
        headers = {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "21 Oct 2026 07:27:30"}
        assert asked_to_wait(headers) == 30.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        (None, None),
        ("15", "15"),
        ("000000015", "000000015"),
        (" 15", "15"),
        ("2.1", "3"),
        ("7, 9", "9"),
        ("PT30S", "30"),
        ("1234567890", "3600"),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "30"),
        ("soon", None),
        ("", None),
    ],
)
async def test_the_sdk_is_told_whole_seconds_or_nothing(
    said: str | None, plain: str | None
) -> None:
    """It raises for any other wish, and a begin that succeeded would seem to have no answer."""
    headers = {} if said is None else {"Retry-After": said}
    answer = Answer(202, {"Date": "Wed, 21 Oct 2026 07:27:30 GMT", **headers}, "")
    pipeline: AsyncPipeline[Any, Any] = AsyncPipeline(Wire(answer), [PlainWaitPolicy()])
    seen = (await pipeline.run(HttpRequest("POST", "https://x"))).http_response.headers
    assert seen.getall("Retry-After", []) == ([] if plain is None else [plain])


def _read(body: bytes, **headers: str) -> object:
    return read_object(body, {name.replace("_", "-"): text for name, text in headers.items()})


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"a": "\xc3\xa9"}', {}),
        (b'\xef\xbb\xbf{"a": "\xc3\xa9"}', {"Content_Type": "application/json; charset=utf-8"}),
        ('{"a": "é"}'.encode("utf-16"), {"Content_Type": "application/json; charset=utf-16"}),
        ('{"a": "é"}'.encode("utf-16-le"), {"Content_Type": "application/json"}),
        (b'{"a": "\xe9"}', {"Content_Type": "application/json; charset=iso-8859-1"}),
        (b'{"a": "\xc3\xa9"}', {"Content_Type": "application/json; charset=no-such"}),
        (b'{"a": "\xc3\xa9"}', {"Content_Encoding": "gzip"}),  # and it is none
        (gzip.compress(b'{"a": "\xc3\xa9"}', mtime=0), {"content_encoding": "GZip"}),
        (gzip.compress(b'{"a": "\xc3\xa9"}', mtime=0), {"Content_Encoding": " x-gzip "}),
        (zlib.compress(b'{"a": "\xc3\xa9"}'), {"Content_Encoding": "deflate"}),
        (zlib.compress(b'{"a": "\xc3\xa9"}', wbits=-15), {"Content_Encoding": "deflate"}),
        (b'{"a": "\xc3\xa9"}', {"Content_Encoding": "identity"}),
        (b'{"a": "\xe9"}', {"CONTENT_TYPE": 'text/plain; Charset = "ISO-8859-1"; x=y'}),
        (b'{"a": "\xc3\xa9"}', {"Content_Type": "application/json; charset=cp037"}),
    ],
)
def test_an_object_is_read_whatever_its_encoding(body: bytes, headers: dict[str, str]) -> None:
    """Where the headers lie, the bytes themselves say what they are."""
    assert _read(body, **headers) == {"a": "é"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b"\xff\xfe\x00",
        b'{"a": ' * 100_000,
        b"[" * 1_000_000,
    ],
)
def test_what_holds_no_object_is_no_answer(body: bytes) -> None:
    """Not an exception, however deep it goes."""
    assert _read(body) is None


def test_what_is_too_large_is_no_answer() -> None:
    """Before or after decompression: it is not decompressed to its end."""
    assert _read(b" " * MOST_BYTES + b"{}") is None
    assert _read(gzip.compress(b" " * (MOST_BYTES + 1) + b"{}"), Content_Encoding="gzip") is None
    assert _read(b"{}", Content_Encoding="br") is None


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
def test_a_body_may_have_just_what_is_the_most(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """And no byte more, as it comes or inflated."""
    monkeypatch.setattr("assessor.arm.reading.MOST_BYTES", 1000)
    packs: Mapping[str, Callable[[bytes], bytes]] = {
        "": bytes,
        "gzip": gzip.compress,
        "deflate": zlib.compress,
    }
    pack = packs[encoding]
    most = b'{"a": 1}'.ljust(1000)
    assert _read(pack(most), Content_Encoding=encoding) == {"a": 1}
    assert _read(pack(most + b" "), Content_Encoding=encoding) is None


def test_what_would_fill_the_memory_is_not_inflated_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five kilobytes may make five megabytes."""
    monkeypatch.setattr("assessor.arm.reading.MOST_BYTES", 10_000)
    bomb = gzip.compress(bytes(5_000_000))
    tracemalloc.start()
    try:
        assert _read(bomb, Content_Encoding="gzip") is None
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_what_another_encoding_packed_is_no_object() -> None:
    """The header names gzip, and the body is deflate's; or it is one that nobody knows."""
    assert _read(zlib.compress(b"{}"), Content_Encoding="gzip") is None
    assert _read(gzip.compress(b"{}"), Content_Encoding="deflate") is None
    assert _read(gzip.compress(b"{}")) is None


def test_a_number_may_have_as_many_digits_as_a_float_has_room_for() -> None:
    """Its readers may well make a float of it."""
    most = "9" * 300
    read = object_in(f'{{"a": {most}, "b": {most}9, "c": 1.5, "d": [{{"e": "x"}}]}}')
    assert read == {"a": int(most), "b": None, "c": 1.5, "d": [{"e": "x"}]}


def test_a_value_of_another_type_is_not_there() -> None:
    """Texts, objects and lists of objects alike."""
    values: list[object] = ["x", "", 5, None, ["x"], {"a": 1}]
    assert [text_of(each) for each in values] == ["x", "", None, None, None, None]
    assert [object_of(each) for each in values] == [{}, {}, {}, {}, {}, {"a": 1}]
    assert objects_of([{"a": 1}, 5, {}]) == objects_of(({"a": 1}, {})) == [{"a": 1}, {}]
    assert objects_of({"a": {}}) == objects_of("x") == []


def test_what_json_has_no_place_for_is_null() -> None:
    """Numbers that are not finite, or of thousands of digits; half a pair is a replacement."""
    text = '{"a": NaN, "b": -Infinity, "c": 1e999, "d": %s, "\\ud83d": ["x\\udc00"]}' % ("9" * 5000)
    read = object_in(text)
    assert read == {"a": None, "b": None, "c": None, "d": None, "\ufffd": ["x\ufffd"]}
    assert json.dumps(read, allow_nan=False, ensure_ascii=False).encode()


@given(st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate", "br", "x"]), st.text())
def test_no_body_is_an_exception(body: bytes, encoding: str, content_type: str) -> None:
    """Whatever the headers say of it."""
    _read(body, Content_Encoding=encoding, Content_Type=content_type)


class Refusal:
    """A refusal, as the transport hands it to the SDK."""

    status_code = 400
    reason = "Bad Request"
    request: object = None
    content_type = "application/json"

    def __init__(self, body: str, **headers: str) -> None:
        self._body = body
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}

    def text(self, encoding: str | None = None) -> str:
        """Returns the body; raises LookupError for a charset that nobody knows."""
        del encoding
        if "no-such" in self.headers.get("Content-Type", ""):
            raise LookupError("unknown encoding")
        return self._body

    def body(self) -> bytes:
        """Returns the body's bytes."""
        return self._body.encode()


def _refused(body: str, **headers: str) -> ArmError:
    with pytest.raises(ArmError) as refused, arm_errors(Phase.READ):
        raise HttpResponseError(response=Refusal(body, **headers))
    return refused.value


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ('{"error": {"code": "A", "message": "b"}}', "A", "b"),
        ('{"code": "A", "message": "b"}', "A", "b"),
        ('{"Code": "A", "Message": "b"}', "A", "b"),
        ('{"Message": "The resource is locked."}', "BadRequest", "The resource is locked."),
        ('{"error": {"Code": "A", "Message": "b"}}', "A", "b"),
        ('{"error": "invalid_request", "error_description": "b"}', "invalid_request", "b"),
        ('{"error": "A"}', "A", "Bad Request"),
        ('{"error": 5}', "BadRequest", "Bad Request"),
        ("[]", "BadRequest", "Bad Request"),
        ("<html>", "BadRequest", "Bad Request"),
        ('{"error": ' * 100_000, "BadRequest", "Bad Request"),
    ],
)
def test_a_refusal_keeps_its_words_whatever_its_form(body: str, code: str, message: str) -> None:
    """ARM's own, ASP.NET's, OAuth's, or none."""
    error = _refused(body).error
    assert (error.code, error.message) == (code, message)


def test_a_refusal_whose_charset_lies_is_a_refusal() -> None:
    """With the words of its status, and its wish to wait."""
    refused = _refused("{}", Content_Type="application/json; charset=no-such", Retry_After="7, 7")
    assert (refused.status, refused.error.code, refused.retry_after) == (400, "BadRequest", 7.0)
