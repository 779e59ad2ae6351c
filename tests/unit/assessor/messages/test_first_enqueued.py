"""A scan, and a message without an ID, are known by when the queue took them; so are copies."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from azure.functions.meta import Datum
from hypothesis import given
from hypothesis import strategies as st

from assessor.messages.progress import scan_id_of
from assessor.messages.request import FIRST_ENQUEUED, FirstEnqueued, IncomingMessage, ScanRequest
from assessor.messages.request_body import parse_request
from handlers import requests
from handlers.received_message import ReceivedMessage, ReceivedMessageConverter
from localcloud.host.datum import ModelBindingData
from localcloud.host.messages import BusMessage
from localcloud.host.triggerdata import input_datum, trigger_metadata
from localcloud.servicebus import wire
from patch_assessor_cli.payload import Payload, copy_of

SENT_AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
SCAN = b'{"scope": "/subscriptions/e37510d7-33b6-4676-886f-ee75bcc01871"}'


def _sent(body: bytes = SCAN, *, message_id: str | None = None) -> BusMessage:
    return BusMessage(
        body=body,
        encoded=wire.described(0x75, wire.binary(body)),
        message_id=message_id,
        lock_token=str(UUID(int=1)),
        sequence_number=7,
        delivery_count=1,
        enqueued_at=SENT_AT,
    )


def _received(sent: BusMessage) -> IncomingMessage:
    """The message as the app gets it from a host that defers the binding."""
    bound = input_datum(sent, "message")
    assert isinstance(bound.value, ModelBindingData)
    received = ReceivedMessageConverter.decode(
        Datum(bound.value, bound.kind),
        trigger_metadata={
            key: Datum(each.value, each.kind) for key, each in trigger_metadata(sent, bound).items()
        },
        pytype=ReceivedMessage,
    )
    return requests.incoming(received)


def _resubmitted(dead: BusMessage) -> BusMessage:
    """The copy of a dead letter, as the command makes it, an hour later."""
    letter = (
        wire.described(
            0x72,
            wire.mapping(
                [
                    (wire.symbol("x-opt-sequence-number"), wire.long(dead.sequence_number)),
                    (
                        wire.symbol("x-opt-enqueued-time"),
                        wire.timestamp(round(dead.enqueued_at.timestamp() * 1000)),
                    ),
                ]
            ),
        )
        + wire.described(
            0x74,
            wire.mapping(
                [
                    (wire.string(name), wire.string(str(value)))
                    for name, value in dead.application_properties.items()
                ]
            ),
        )
        + wire.described(0x75, wire.binary(SCAN))
    )
    copied = Payload.of(copy_of(letter, None, says_when=True))
    return replace(
        dead,
        body=copied.body,
        application_properties=copied.application_properties,
        sequence_number=dead.sequence_number + 5,
        enqueued_at=dead.enqueued_at + timedelta(hours=1),
    )


def _scan_id(sent: BusMessage) -> str:
    scan = parse_request(_received(sent), ())
    assert isinstance(scan, ScanRequest)
    return scan_id_of(scan)


def test_messages_without_an_id_are_requests_of_their_own() -> None:
    """On a queue that was made anew too, which counts from the beginning once more."""
    first = _sent()
    made_anew = replace(first, enqueued_at=SENT_AT + timedelta(milliseconds=1))
    next_one = replace(first, sequence_number=8)
    assert len({_received(each).identity for each in (first, made_anew, next_one)}) == 3
    again = replace(first, delivery_count=2, lock_token=str(UUID(int=2)))
    assert _received(again).identity == _received(first).identity


@pytest.mark.parametrize("message_id", [None, "nightly"])
def test_a_resubmitted_dead_letter_stays_the_request_that_it_was(message_id: str | None) -> None:
    """A scan, and a message without an ID, which are known by when the queue took them."""
    sent = _sent(SCAN, message_id=message_id)
    once, again = _resubmitted(sent), _resubmitted(_resubmitted(sent))
    assert {_scan_id(each) for each in (once, again)} == {_scan_id(sent)}
    next_night = replace(sent, enqueued_at=SENT_AT + timedelta(days=1), sequence_number=99)
    assert _scan_id(next_night) != _scan_id(sent)
    assert _received(once).enqueued_at == once.enqueued_at, "an assessment has to be fresh"
    assert _received(again).message_id == _received(sent).message_id


@pytest.mark.parametrize("message_id", [None, "nightly"])
@given(
    at=st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants them naive
    number=st.integers(0, 2**63 - 1),
    body=st.sampled_from([SCAN, SCAN + b" "]),
    content_type=st.sampled_from([None, "application/json"]),
)
def test_a_forged_place_takes_no_other_messages_identity(
    message_id: str | None, at: datetime, number: int, body: bytes, content_type: str | None
) -> None:
    """Of no message to come, and of none that says anything else."""
    forged = replace(
        _sent(body, message_id=message_id),
        content_type=content_type,
        application_properties={FIRST_ENQUEUED: str(FirstEnqueued(at, number))},
    )
    to_come = replace(
        _sent(SCAN, message_id=message_id),
        enqueued_at=SENT_AT + timedelta(milliseconds=1),
        sequence_number=number,
    )
    assert _scan_id(forged) != _scan_id(to_come)
    gone_by = replace(to_come, enqueued_at=min(at, SENT_AT))
    if (body, content_type) != (SCAN, None):
        assert _scan_id(forged) != _scan_id(gone_by)
