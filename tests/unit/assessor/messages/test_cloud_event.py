"""CloudEvents over AMQP: found in either mode, written for others to read."""

import base64
import codecs
import json
from typing import Any

import pytest
from cloudevents.core.bindings.amqp import AMQPMessage, from_structured_event
from hypothesis import given
from hypothesis import strategies as st

from assessor.events.event import read_event
from assessor.messages.envelope import (
    CONTENT_TYPE,
    SOURCE,
    CloudEventError,
    IncomingEvent,
    find,
    structured,
)
from tests.support.builders import NOW, TRACEPARENT, json_values

_ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/tests", "type": "test.Event"}
_DATA = {"vmId": "…"}


def _event(**changes: Any) -> bytes:  # noqa: ANN401 - any attribute
    return json.dumps(_ATTRIBUTES | {"data": _DATA} | changes).encode()


def _binary(prefix: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any attribute
    return {f"{prefix}{name}": value for name, value in (_ATTRIBUTES | changes).items()}


@pytest.mark.parametrize(
    "content_type",
    [
        CONTENT_TYPE,
        "application/cloudevents+json; charset=utf-8",
        "Application/CloudEvents+JSON",
        "application/cloudevents",
    ],
)
def test_structured_mode_is_told_by_the_content_type(content_type: str) -> None:
    """In any case and with any parameter; the event's data and trace come out."""
    assert find(_event(traceparent=TRACEPARENT), content_type, {}) == IncomingEvent(
        _DATA, TRACEPARENT
    )


@pytest.mark.parametrize("content_type", [None, "", "application/json", "text/plain"])
def test_a_body_with_specversion_is_an_event_whatever_its_content_type(
    content_type: str | None,
) -> None:
    """Senders often forget the content type, or name the format only."""
    assert find(_event(), content_type, {}) == IncomingEvent(_DATA, None)


@pytest.mark.parametrize("prefix", ["cloudEvents_", "cloudEvents:"])
def test_binary_mode_is_told_by_either_prefix(prefix: str) -> None:
    """The AMQP binding allows both; the body is the data, byte for byte."""
    body = json.dumps(_DATA).encode()
    properties = _binary(prefix, traceparent=TRACEPARENT) | {"other": 1}
    assert find(body, "application/json", properties) == IncomingEvent(body, TRACEPARENT)


@pytest.mark.parametrize("time", [1_577_836_800_000, "2020-01-01T00:00:00.1234567Z"])
def test_binary_mode_takes_the_time_as_timestamp_or_text(time: object) -> None:
    """Receivers must accept both forms of the AMQP binding."""
    assert find(b"{}", None, _binary("cloudEvents:", time=time)) == IncomingEvent(b"{}", None)


def test_data_in_base64_comes_out_as_the_bytes_it_stands_for() -> None:
    """`data_base64` is the JSON format's other way to carry data."""
    body = json.dumps(
        _ATTRIBUTES | {"data_base64": base64.b64encode(b'{"a": 1}').decode()}
    ).encode()
    assert find(body, CONTENT_TYPE, {}) == IncomingEvent(b'{"a": 1}', None)


def test_an_event_behind_a_byte_order_mark_is_read() -> None:
    """.NET writes one where it is not told otherwise."""
    assert find(codecs.BOM_UTF8 + _event(), None, {}) == IncomingEvent(_DATA, None)
    assert find(codecs.BOM_UTF8 + _event(), CONTENT_TYPE, {}) == IncomingEvent(_DATA, None)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'"specversion"', b'["specversion"]'])
def test_what_does_not_say_it_is_an_event_is_none(body: bytes) -> None:
    """Plain JSON, and what is no JSON at all, is left to whoever reads it next."""
    assert find(body, "application/json", {"specversion": "1.0"}) is None


@pytest.mark.parametrize("suffix", ["", "+json", "+json; charset=utf-8"])
def test_a_batch_is_refused(suffix: str) -> None:
    """One message is one request; a batch would need one answer for each event."""
    with pytest.raises(CloudEventError) as refused:
        find(b"[]", f"application/cloudevents-batch{suffix}", {})
    assert refused.value.problems == (("body", "must be one event, not a batch of them"),)


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
def test_a_required_attribute_that_is_missing_is_named(name: str) -> None:
    """In both modes the error names the attribute, so that the sender can mend it."""
    event = {k: v for k, v in _ATTRIBUTES.items() if k != name} | {"data": _DATA}
    if name not in {"specversion", "id"}:  # the SDK fills these in
        with pytest.raises(CloudEventError) as refused:
            find(json.dumps(event).encode(), CONTENT_TYPE, {})
        assert [each[0] for each in refused.value.problems] == [name]
    with pytest.raises(CloudEventError) as refused:
        find(b"{}", None, _binary("cloudEvents:") | {f"cloudEvents:{name}": ""})
    assert [each[0] for each in refused.value.problems] == [name]


def test_every_attribute_that_is_wrong_is_named_at_once() -> None:
    """Nobody mends a message one error at a time."""
    with pytest.raises(CloudEventError) as refused:
        find(_event(id="", type=7, Upper="x", subject=""), CONTENT_TYPE, {})
    assert {name for name, _ in refused.value.problems} == {"id", "type", "Upper", "subject"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\x01avro",
        _event(time="yesterday"),
        _event(time=5),
        _event(time="9999-12-31T24:00:00Z"),
        _event(time="2020-01-01T00:00:00+99:00"),
        _event(data_base64="%%%"),
        _event(data_base64=5),
        _event(specversion="2.0"),
        _event(specversion=["1.0"]),
        _event(datacontenttype=5),
        _event().replace(b"test.Event", b"\\ud800"),
        b'{"specversion":"1.0","data":' + b"[" * 5000,
    ],
)
def test_an_event_that_is_none_is_refused_and_nothing_else_is_raised(body: bytes) -> None:
    """Whatever the SDK raises for it, the caller sees one kind of error, with at least one line."""
    with pytest.raises(CloudEventError) as refused:
        find(body, CONTENT_TYPE, {})
    assert refused.value.problems


@pytest.mark.parametrize(
    "time",
    [
        2**63,
        -(2**63),
        10**400,
        "soon",
        "9999-12-31T24:00:00Z",
        1.5,
        67768036191676796929,
        2**63 - 1,
    ],
)
def test_a_time_that_no_clock_shows_is_refused_in_binary_mode_too(time: object) -> None:
    """AMQP's timestamp reaches further than any date does."""
    with pytest.raises(CloudEventError):
        find(b"{}", None, _binary("cloudEvents_", time=time))


@given(st.dictionaries(st.text(min_size=1), json_values(5), max_size=5), st.none() | st.text())
def test_what_is_written_is_a_valid_event_with_the_same_data(
    data: dict[str, Any], subject: str | None
) -> None:
    """The SDK reads the event back, with the attributes that the contract names."""
    subject = subject or None  # CloudEvents has no empty subject
    body = structured(event_type="t", event_id="i", subject=subject, time=NOW, data=data)
    event = from_structured_event(AMQPMessage({"content-type": CONTENT_TYPE}, {}, body))
    assert event.get_data() == data
    assert event.get_attributes() == {
        "specversion": "1.0",
        "type": "t",
        "id": "i",
        "source": SOURCE,
        "time": NOW,
        "datacontenttype": "application/json",
    } | ({"subject": subject} if subject else {})


def test_what_is_written_is_found_again() -> None:
    """What the app sends, the app would understand."""
    body = structured(event_type="t", event_id="i", subject=None, time=NOW, data=_DATA)
    assert find(body, CONTENT_TYPE, {}) == IncomingEvent(_DATA, None)


@pytest.mark.parametrize(
    "name", ["subject", "time", "dataschema", "datacontenttype", "traceparent"]
)
def test_an_optional_attribute_that_is_null_counts_as_absent(name: str) -> None:
    """In both modes (CloudEvents' JSON format, section 2.2)."""
    assert find(_event(**{name: None}), CONTENT_TYPE, {}) == IncomingEvent(_DATA, None)
    assert find(b"{}", None, _binary("cloudEvents:", **{name: None})) == IncomingEvent(b"{}", None)


@pytest.mark.parametrize("name", ["id", "source", "type"])
def test_a_required_attribute_that_is_null_is_missing(name: str) -> None:
    """And named."""
    with pytest.raises(CloudEventError) as refused:
        find(_event(**{name: None}), CONTENT_TYPE, {})
    assert name in dict(refused.value.problems)


@pytest.mark.parametrize("time", ["yesterday", 5, "", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_told_by_its_name(time: object) -> None:
    """Whoever sent it learns which attribute to mend."""
    with pytest.raises(CloudEventError) as refused:
        find(_event(time=time), CONTENT_TYPE, {})
    assert [name for name, _ in refused.value.problems] == ["time"]


@pytest.mark.parametrize(
    "time",
    ["2026-01-05T12:00:00", "2026-01-05T12:00:00.1234567+05:30", "2026-01-05t12:00:00z"],
)
def test_a_time_with_any_offset_or_none_is_taken(time: str) -> None:
    """One without is in UTC, as everywhere else."""
    assert find(_event(time=time), CONTENT_TYPE, {}) == IncomingEvent(_DATA, None)
    assert find(b"{}", None, _binary("cloudEvents:", time=time)) == IncomingEvent(b"{}", None)


def test_a_specversion_that_is_null_makes_no_cloud_event() -> None:
    """It counts as absent at the queue; an event of Event Grid's own schema stays one."""
    assert find(json.dumps({"specversion": None, "vmId": "x"}).encode(), None, {}) is None
    event: dict[str, object] = {
        "specversion": None,
        "id": "1",
        "eventType": "t",
        "topic": "s",
        "data": {},
    }
    assert read_event(json.dumps(event)).problem is None
