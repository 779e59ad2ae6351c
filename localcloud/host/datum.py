"""The worker's typed values, and how they go over the socket as JSON.

Of the real protocol's TypedData only the kinds that a Service Bus trigger uses; left out are
streams, http, collections, doubles and model binding data.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Literal, assert_never, get_args

from localcloud.host.errors import FrameError

Kind = Literal["string", "json", "bytes"]


@dataclass(frozen=True, slots=True)
class Datum:
    """A value with its TypedData kind: text, JSON text, or bytes."""

    kind: Kind
    value: str | bytes

    @classmethod
    def string(cls, text: str) -> "Datum":
        """Wrap plain text."""
        return cls("string", text)

    @classmethod
    def json(cls, value: object) -> "Datum":
        """Wrap a value that the real host would serialise, compactly, as it does."""
        return cls("json", json.dumps(value, separators=(",", ":"), ensure_ascii=False))

    @classmethod
    def binary(cls, data: bytes) -> "Datum":
        """Wrap bytes."""
        return cls("bytes", data)


def to_wire(datum: Datum) -> list[str]:
    """Make a datum fit for JSON.

    Returns:
        Its kind and its value; bytes in base64.
    """
    match datum.value:
        case bytes() as data:
            return [datum.kind, base64.b64encode(data).decode("ascii")]
        case str() as text:
            return [datum.kind, text]
        case never:
            assert_never(never)


def from_wire(value: object) -> Datum:
    """Read what `to_wire` made.

    Returns:
        The datum.

    Raises:
        FrameError: It is nothing that `to_wire` makes.
    """
    match value:
        case ["bytes", str(text)]:
            try:
                return Datum.binary(base64.b64decode(text, validate=True))
            except binascii.Error as error:
                raise FrameError("a datum that is not base64") from error
        case ["string", str(text)]:
            return Datum("string", text)
        case ["json", str(text)]:
            return Datum("json", text)
        case _:
            raise FrameError(f"a datum that is none of {', '.join(get_args(Kind))}")
