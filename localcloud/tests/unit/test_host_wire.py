"""Frames between host and worker, and the trace context that they carry."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.host.datum import Datum, ModelBindingData
from localcloud.host.errors import FrameError
from localcloud.host.tracecontext import continue_trace
from localcloud.host.wire import (
    Indexed,
    IndexedFunction,
    IndexingFailed,
    Invoke,
    Invoked,
    Message,
    decode,
    encode,
    read_message,
)

_texts = st.text(st.characters(codec="utf-8"), max_size=20)
_data = st.dictionaries(
    _texts,
    _texts.map(Datum.string)
    | st.binary(max_size=50).map(Datum.binary)
    | st.builds(ModelBindingData, st.binary(max_size=50), _texts, _texts, _texts).map(Datum.model)
    | st.dictionaries(_texts, st.integers(), max_size=3).map(Datum.json),
    max_size=3,
)
_messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Indexed,
        st.lists(
            st.builds(IndexedFunction, _texts, _texts, st.lists(_texts, max_size=2).map(tuple)),
            max_size=3,
        ).map(tuple),
    ),
    st.builds(IndexingFailed, _texts, _texts),
    st.builds(Invoke, _texts, _texts, _data, _data, _texts, _texts),
    st.builds(Invoked, _texts, st.none() | _texts),
)

NOT_BASE64 = (
    b'{"kind": "invoke", "id": "", "function": "", "inputs": {"a": ["bytes", "!"]},'
    b' "metadata": {}, "traceparent": "", "tracestate": ""}'
)
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def read_all(stream: bytes) -> list[Message]:
    """All messages in a byte stream that ends."""
    reader = asyncio.StreamReader()
    reader.feed_data(stream)
    reader.feed_eof()
    found = []
    while (message := await read_message(reader)) is not None:
        found.append(message)
    return found


@given(st.lists(_messages, max_size=3))
def test_messages_arrive_as_they_were_sent(messages: list[Message]) -> None:
    """Any sequence of messages comes out of the stream unchanged."""
    assert asyncio.run(read_all(b"".join(map(encode, messages)))) == messages


@given(_messages, st.data())
def test_broken_off_stream_ends_quietly(message: Message, data: st.DataObject) -> None:
    """A frame that was cut is the end, not half a message."""
    frame = encode(message)
    cut = data.draw(st.integers(0, len(frame) - 1))
    assert asyncio.run(read_all(frame[:cut])) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"kind": "other"}',
        b'{"kind": "indexed", "functions": [1]}',
        b'{"kind": "invoked", "id": 1, "error": null}',
        NOT_BASE64,
    ],
)
def test_other_frames_are_refused(body: bytes) -> None:
    """What is no message raises, whatever it is."""
    with pytest.raises(FrameError):
        decode(body)


def test_absurd_length_is_refused() -> None:
    """A length prefix of gigabytes is nonsense, not a reason to wait."""
    with pytest.raises(FrameError):
        asyncio.run(read_all(b"\xff\xff\xff\xff"))


@pytest.mark.parametrize("name", ["traceparent", "Diagnostic-Id"])
@given(flags=st.integers(0, 255), seed=st.integers())
def test_message_trace_continues_with_a_new_span(name: str, flags: int, seed: int) -> None:
    """Trace ID, flags and state stay; the span is the host's."""
    value = f"00-{TRACE}-{SPAN}-{flags:02x}"
    context = continue_trace({name: value, "tracestate": "a=b"}, random.Random(seed))
    version, trace, span, kept = context.parent.split("-")
    assert (version, trace, kept, context.state) == ("00", TRACE, f"{flags:02x}", "a=b")
    assert span not in (SPAN, "0" * 16)
    assert len(span) == 16


def test_traceparent_wins_over_diagnostic_id() -> None:
    """Both present: the standard's name counts."""
    both = {"Diagnostic-Id": f"00-{'1' * 32}-{SPAN}-01", "traceparent": f"00-{TRACE}-{SPAN}-00"}
    assert continue_trace(both, random.Random(1)).parent.startswith(f"00-{TRACE}-")


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_invalid_parent_begins_a_new_sampled_trace(value: object) -> None:
    """What W3C calls invalid is not continued, and its state is dropped."""
    context = continue_trace({"traceparent": value, "tracestate": "a=b"}, random.Random(1))
    version, trace, span, flags = context.parent.split("-")
    assert (version, flags, context.state) == ("00", "01", "")
    assert trace != TRACE
    assert int(trace, 16)
    assert int(span, 16)


def test_later_version_of_traceparent_is_understood() -> None:
    """Version 01 with more fields is read by its first four (W3C, section 3.2.4)."""
    later = {"traceparent": f"01-{TRACE}-{SPAN}-01-later"}
    assert continue_trace(later, random.Random(1)).parent.startswith(f"00-{TRACE}-")
