"""The protocol between host and worker: length-prefixed JSON over a socket pair.

It carries what the real gRPC stream carries for these triggers: WorkerInit with the function
metadata, InvocationRequest and InvocationResponse. Left out: RpcLog (the worker's log goes to its
stderr), cancellation requests, environment reload, worker status, return values.
"""

import asyncio
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from localcloud.host.datum import Datum, from_wire, to_wire
from localcloud.host.errors import FrameError

_PREFIX = struct.Struct(">I")
_LARGEST = 256 * 1024 * 1024  # a guard against reading nonsense as a length; no message comes near


@dataclass(frozen=True, slots=True)
class IndexedFunction:
    """A function as the worker indexed it; each raw binding is a JSON text."""

    name: str
    function_id: str
    raw_bindings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Indexed:
    """Worker to host: the app is indexed and can be invoked."""

    functions: tuple[IndexedFunction, ...]


@dataclass(frozen=True, slots=True)
class IndexingFailed:
    """Worker to host: the app raised. The worker ends after this."""

    reason: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Invoke:
    """Host to worker: run a function."""

    invocation_id: str
    function_id: str
    inputs: Mapping[str, Datum]
    trigger_metadata: Mapping[str, Datum]
    trace_parent: str
    trace_state: str


@dataclass(frozen=True, slots=True)
class Invoked:
    """Worker to host: an invocation ended; `error` is the exception's text, or None."""

    invocation_id: str
    error: str | None


Message = Indexed | IndexingFailed | Invoke | Invoked


def encode(message: Message) -> bytes:
    """Put a message into a frame.

    Returns:
        The frame: four bytes of length, big-endian, then JSON.
    """
    body = json.dumps(_to_json(message), separators=(",", ":")).encode()
    return _PREFIX.pack(len(body)) + body


async def read_message(reader: asyncio.StreamReader) -> Message | None:
    """Read the next message.

    Returns:
        The message, or None when the other side has closed.

    Raises:
        FrameError: What came is not a message.
    """
    try:
        (length,) = _PREFIX.unpack(await reader.readexactly(_PREFIX.size))
        if length > _LARGEST:
            raise FrameError(f"a length of {length}")
        body = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return decode(body)


def decode(body: bytes) -> Message:
    """Read a frame's JSON.

    Returns:
        The message.

    Raises:
        FrameError: The JSON is none of the protocol's messages.
    """
    try:
        return _from_json(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FrameError(f"{type(error).__name__}: {error}") from error


def _to_json(message: Message) -> dict[str, object]:
    match message:
        case Indexed(functions):
            return {
                "kind": "indexed",
                "functions": [[f.name, f.function_id, list(f.raw_bindings)] for f in functions],
            }
        case IndexingFailed(reason, traceback):
            return {"kind": "indexingFailed", "reason": reason, "traceback": traceback}
        case Invoke():
            return {
                "kind": "invoke",
                "id": message.invocation_id,
                "function": message.function_id,
                "inputs": {name: to_wire(datum) for name, datum in message.inputs.items()},
                "metadata": {
                    name: to_wire(datum) for name, datum in message.trigger_metadata.items()
                },
                "traceparent": message.trace_parent,
                "tracestate": message.trace_state,
            }
        case Invoked(invocation_id, error):
            return {"kind": "invoked", "id": invocation_id, "error": error}
        case never:
            assert_never(never)


def _from_json(value: dict[str, object]) -> Message:
    match value:
        case {"kind": "indexed", "functions": list(functions)}:
            return Indexed(
                tuple(
                    IndexedFunction(str(name), str(function_id), tuple(map(str, raw)))
                    for name, function_id, raw in functions
                )
            )
        case {"kind": "indexingFailed", "reason": str(reason), "traceback": str(traceback)}:
            return IndexingFailed(reason, traceback)
        case {
            "kind": "invoke",
            "id": str(invocation_id),
            "function": str(function_id),
            "inputs": dict(inputs),
            "metadata": dict(metadata),
            "traceparent": str(trace_parent),
            "tracestate": str(trace_state),
        }:
            return Invoke(
                invocation_id,
                function_id,
                {name: from_wire(datum) for name, datum in inputs.items()},
                {name: from_wire(datum) for name, datum in metadata.items()},
                trace_parent,
                trace_state,
            )
        case {"kind": "invoked", "id": str(invocation_id), "error": None | str() as error}:
            return Invoked(invocation_id, error)
        case _:
            raise FrameError(f"kind {value.get('kind')!r}")
