"""Messages: what the SDK encodes is understood, and delivered as it was."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus._pyamqp._decode import decode_payload
from hypothesis import given
from hypothesis import strategies as st

from localcloud.servicebus import wire
from localcloud.servicebus.entry import Delivery, MessageState
from localcloud.servicebus.errors import InvalidRequestError
from localcloud.servicebus.message import parse, split_batch, text_properties
from localcloud.tests.unit.servicebus_messages import encoded, message


def test_what_the_bus_must_know_is_read_from_the_sdks_bytes() -> None:
    """ID, time to live, scheduled time, standard and application properties."""
    when = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    parsed = message(
        message_id="m-1",
        time_to_live=timedelta(seconds=90),
        scheduled_enqueue_time_utc=when,
        correlation_id="c-1",
        subject="label",
        application_properties={"type": "A", "count": 3, "ok": True},
    )
    assert parsed.message_id == "m-1"
    assert parsed.time_to_live == 90_000
    assert parsed.scheduled_for == int(when.timestamp() * 1000)
    assert parsed.system_property("correlation_id") == "c-1"
    assert parsed.system_property("subject") == "label"
    assert parsed.system_property("reply_to") is None
    assert parsed.application == {"type": "A", "count": 3, "ok": True}


def test_a_message_that_nobody_changes_keeps_its_bytes() -> None:
    """Parsing and encoding an untouched message is the identity."""
    payload = encoded(
        message_id="m-1",
        time_to_live=timedelta(minutes=1),
        scheduled_enqueue_time_utc=datetime(2030, 1, 1, tzinfo=UTC),
        application_properties={"a": "b"},
    )
    assert parse(payload).encode() == payload


def test_a_delivery_has_the_services_annotations_and_the_senders_body() -> None:
    """The SDK's own decoder finds the sequence number, the times and the delivery count."""
    delivery = Delivery(
        sequence_number=7,
        message=message("body", application_properties={"n": 1}),
        enqueued_at=1000,
        delivery_count=2,
        state=MessageState.DEFERRED,
        lock=None,
        enqueued_sequence_number=5,
    )
    decoded = decode_payload(memoryview(delivery.encode()))
    assert decoded.message_annotations is not None
    assert decoded.header is not None
    assert decoded.message_annotations[b"x-opt-sequence-number"] == 7
    assert decoded.message_annotations[b"x-opt-enqueue-sequence-number"] == 5
    assert decoded.message_annotations[b"x-opt-enqueued-time"] == 1000
    assert decoded.message_annotations[b"x-opt-message-state"] == 1
    assert decoded.header.delivery_count == 2
    assert list(decoded.data or []) == [b"body"]
    assert decoded.application_properties == {b"n": 1}


def test_setting_properties_leaves_the_others_their_types() -> None:
    """A dead-letter reason is added; a boolean stays a boolean and a long a long."""
    original = message(application_properties={"ok": True, "n": 5, "DeadLetterReason": "old"})
    changed = original.with_application_properties(text_properties({"DeadLetterReason": "new"}))
    assert changed.application == {"ok": True, "n": 5, "DeadLetterReason": "new"}
    assert changed.body == original.body
    assert changed.properties == original.properties


def test_a_batch_is_split_into_its_messages() -> None:
    """Each comes out as if it had been sent alone, whatever the envelope's own sections say."""
    messages = [encoded("one", message_id="1"), encoded("two" * 200, message_id="2")]
    envelope = wire.described(0x73, wire.listing([wire.string("1")]))
    payload = envelope + b"".join(wire.described(0x75, wire.binary(each)) for each in messages)
    assert split_batch(payload) == messages


@pytest.mark.parametrize("payload", [b"", b"\x00\x53\x77\xa1\x01x"])
def test_a_batch_without_messages_is_refused(payload: bytes) -> None:
    """A batch is made of Data sections."""
    with pytest.raises(InvalidRequestError):
        split_batch(payload)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_message_are_refused_as_such(payload: bytes) -> None:
    """Whatever a client sends, parsing gives a message or the client's error."""
    try:
        parsed = parse(payload)
    except InvalidRequestError:
        return
    assert isinstance(parsed.encode(delivery_count=1), bytes)


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_damaged_message_is_refused_or_read(position: int, value: int) -> None:
    """One wrong byte anywhere never causes any other error."""
    payload = bytearray(encoded(message_id="m-1", application_properties={"type": "A"}))
    payload[position % len(payload)] = value
    try:
        parsed = parse(bytes(payload))
    except InvalidRequestError:
        return
    assert isinstance(parsed.encode(delivery_count=1), bytes)
