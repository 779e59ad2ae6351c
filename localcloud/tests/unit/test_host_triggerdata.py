"""Input and metadata of an invocation, read back by azure.functions' own converter."""

import codecs
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import azure.functions as func
import pytest
from azure.functions.meta import Datum as FunctionsDatum
from azure.functions.servicebus import ServiceBusMessageInConverter
from hypothesis import given
from hypothesis import strategies as st

from localcloud.host.bindings import BodyForm
from localcloud.host.datum import Datum, ModelBindingData
from localcloud.host.errors import BindingError
from localcloud.host.messages import (
    Body,
    BusMessage,
    SequenceBody,
    UnreadableBody,
    ValueBody,
)
from localcloud.host.triggerdata import input_datum, trigger_metadata

NOW = datetime(2026, 3, 4, 5, 6, 7, 120000, tzinfo=UTC)

_texts = st.text(st.characters(codec="utf-8"), max_size=20)
_optional = st.none() | _texts
_moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.just(UTC),
)
_properties = st.dictionaries(
    _texts,
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    max_size=4,
)
messages = st.builds(
    BusMessage,
    body=st.binary(max_size=50),
    message_id=_texts,
    lock_token=st.uuids().map(str),
    sequence_number=st.integers(1, 2**62),
    delivery_count=st.integers(1, 2**31 - 1),
    enqueued_at=_moments,
    expires_at=st.none() | _moments,
    content_type=_optional,
    correlation_id=_optional,
    subject=_optional,
    reply_to=_optional,
    to=_optional,
    session_id=_optional,
    reply_to_session_id=_optional,
    partition_key=_optional,
    dead_letter_source=_optional,
    application_properties=_properties,
)


def message(**fields: Any) -> BusMessage:  # noqa: ANN401 - fields of several types
    """A message with these fields."""
    given_fields = {
        "body": b"hello",
        "message_id": "id",
        "lock_token": "token",
        "sequence_number": 1,
        "delivery_count": 1,
        "enqueued_at": NOW,
        **fields,
    }
    return BusMessage(**given_fields)


def decoded(received: BusMessage, form: BodyForm = "bytes") -> func.ServiceBusMessage:
    """What the app gets, by the real converter."""
    body = input_datum(received, form)
    metadata = trigger_metadata(received, body)
    result = ServiceBusMessageInConverter.decode(
        FunctionsDatum(body.value, body.kind),
        trigger_metadata={
            name: FunctionsDatum(each.value, each.kind) for name, each in metadata.items()
        },
    )
    assert isinstance(result, func.ServiceBusMessage)
    return result


@given(messages)
def test_every_field_reaches_the_app(sent: BusMessage) -> None:
    """All fields that the real host passes on arrive as they were; the rest is None."""
    seen = decoded(sent)
    assert seen.get_body() == sent.body
    assert seen.message_id == sent.message_id
    assert seen.lock_token == sent.lock_token
    assert seen.sequence_number == sent.sequence_number
    assert seen.delivery_count == sent.delivery_count
    assert seen.content_type == sent.content_type
    assert seen.correlation_id == sent.correlation_id
    assert seen.subject == seen.label == sent.subject
    assert seen.reply_to == sent.reply_to
    assert seen.to == sent.to
    assert seen.session_id == sent.session_id
    assert seen.reply_to_session_id == sent.reply_to_session_id
    assert seen.partition_key == sent.partition_key
    assert seen.dead_letter_source == sent.dead_letter_source
    assert seen.application_properties == seen.user_properties == sent.application_properties
    assert seen.enqueued_time_utc == sent.enqueued_at.replace(tzinfo=None)
    if sent.expires_at is not None:
        assert seen.expires_at_utc == sent.expires_at.replace(tzinfo=None)
    assert (seen.locked_until, seen.time_to_live, seen.state) == (None, None, None)


def test_times_read_as_dotnet_writes_them() -> None:
    """No offset on the …Utc names, no trailing zeros, DateTimeOffset beside them."""
    metadata = trigger_metadata(message(), Datum.binary(b""))
    assert metadata["EnqueuedTimeUtc"] == Datum("json", '"2026-03-04T05:06:07.12"')
    assert metadata["EnqueuedTime"] == Datum("json", '"2026-03-04T05:06:07.12+00:00"')
    whole = trigger_metadata(message(enqueued_at=NOW.replace(microsecond=0)), Datum.binary(b""))
    assert whole["EnqueuedTimeUtc"] == Datum("json", '"2026-03-04T05:06:07"')


def test_message_that_never_expires_has_the_largest_time() -> None:
    """DateTime.MaxValue, which azure.functions can read."""
    seen = decoded(message(expires_at=None), "bytes")
    assert seen.expires_at_utc == datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001 - naive on purpose


def test_nulls_are_left_out() -> None:
    """A field without a value is not in the metadata at all."""
    assert set(trigger_metadata(message(), Datum.binary(b""))) == {
        "LockToken",
        "MessageId",
        "DeliveryCount",
        "SequenceNumber",
        "ExpiresAtUtc",
        "ExpiresAt",
        "EnqueuedTimeUtc",
        "EnqueuedTime",
        "ApplicationProperties",
        "UserProperties",
    }


def test_text_binding_loses_bytes_that_are_not_utf8() -> None:
    """As in Azure: they are replaced; a binary binding keeps them."""
    received = message(body=b"\xff ok")
    assert decoded(received, "text").get_body() == "\N{REPLACEMENT CHARACTER} ok".encode()
    assert decoded(received, "bytes").get_body() == b"\xff ok"


def test_json_body_overwrites_metadata_of_a_text_binding() -> None:
    """Top-level members win over the message's own, arrays and nulls do not."""
    body = {"subject": "b", "LABEL": 5, "to": ["x"], "replyTo": None, "extra": {"a": 1}}
    received = message(body=json.dumps(body).encode(), subject="m", to="t", reply_to="r")
    seen = decoded(received, "text")
    assert (seen.subject, seen.label, seen.to, seen.reply_to) == ("b", "5", "t", "r")
    assert seen.metadata is not None
    assert seen.metadata["extra"] == {"a": 1}
    spared = decoded(received, "bytes")
    assert (spared.subject, spared.label) == ("m", "m")


@given(st.text(max_size=30).map(lambda text: "{" + text + "}"))
def test_body_that_only_looks_like_json_is_harmless(text: str) -> None:
    """Braces around anything never fail the metadata."""
    received = message(body=text.encode("utf-8", errors="replace"))
    assert "MessageId" in trigger_metadata(received, input_datum(received, "text"))


def test_amqp_values_become_json() -> None:
    """Property types that JSON lacks take the form that .NET's serialiser gives them."""
    unusual = {
        "bytes": b"\x00\x01",
        "when": NOW,
        "id": UUID(int=1),
        "amount": Decimal("1.5"),
        "never": float("inf"),
        "span": timedelta(seconds=1),
        "list": [b"a", {"k": NOW}],
    }
    assert decoded(message(application_properties=unusual), "bytes").application_properties == {
        "bytes": "AAE=",
        "when": "2026-03-04T05:06:07.12Z",
        "id": "00000000-0000-0000-0000-000000000001",
        "amount": 1.5,
        "never": "inf",
        "span": "00:00:01",
        "list": ["YQ==", {"k": "2026-03-04T05:06:07.12Z"}],
    }


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("ü".encode(), "ü"),
        (b"\xef\xbb\xbfx", "x"),
        (codecs.BOM_UTF16_LE + "ü".encode("utf-16-le"), "ü"),
        (codecs.BOM_UTF32_LE + "ü".encode("utf-32-le"), "ü"),
        (b"a\xff", "a\ufffd"),
        (
            b"\x40\x06string\x083http://schemas.microsoft.com/2003/10/Serialization/\x99\x02ab",
            "ab",
        ),
        (ValueBody("text"), "text"),
    ],
)
def test_a_body_becomes_text_as_in_the_extension(body: Body, text: str) -> None:
    """Byte order marks decide and go; an old .NET text is unwrapped; a value text is taken."""
    assert input_datum(message(body=body), "text") == Datum.string(text)


@pytest.mark.parametrize("form", ["bytes", "text"])
@pytest.mark.parametrize(
    "body", [ValueBody(b"bytes"), ValueBody(7), ValueBody({}), SequenceBody(), UnreadableBody("x")]
)
def test_a_body_that_the_extension_refuses_is_refused(body: Body, form: BodyForm) -> None:
    """Values that are no text, sequences, and what can't be read."""
    with pytest.raises(BindingError):
        input_datum(message(body=body), form)


def test_a_text_value_is_no_bytes() -> None:
    """What JMS makes of a TextMessage can't be bound to bytes."""
    with pytest.raises(BindingError, match="Value cannot be retrieved"):
        input_datum(message(body=ValueBody("text")), "bytes")


@pytest.mark.parametrize("body", [b"data", ValueBody("text"), ValueBody({}), SequenceBody()])
def test_a_deferred_binding_gets_the_whole_message_whatever_it_is(body: Body) -> None:
    """The lock token as .NET writes a GUID's bytes, then the message as the client encodes it."""
    received = message(
        body=body, encoded=b"encoded", lock_token="00112233-4455-6677-8899-aabbccddeeff"
    )
    token = bytes.fromhex("33221100554477668899aabbccddeeff")
    assert input_datum(received, "message") == Datum.model(
        ModelBindingData(
            token + b"encoded",
            source="AzureServiceBusReceivedMessage",
            version="1.0",
            content_type="application/octet-stream",
        )
    )


def test_no_body_overwrites_metadata_of_a_deferred_binding() -> None:
    """The host looks for JSON in texts alone."""
    received = message(
        body=b'{"MessageId": "forged"}', lock_token="00112233-4455-6677-8899-aabbccddeeff"
    )
    metadata = trigger_metadata(received, input_datum(received, "message"))
    assert metadata["MessageId"] == Datum.string("id")


def test_what_the_client_can_not_read_has_no_deferred_binding_either() -> None:
    """Such a message never gets as far as the extension."""
    with pytest.raises(BindingError):
        input_datum(message(body=UnreadableBody("x")), "message")
