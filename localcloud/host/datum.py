"""The worker's typed values, and how they go over the socket as JSON.

Of the real protocol's TypedData only the kinds that a Service Bus trigger uses; left out are
streams, http, collections and doubles.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Literal, assert_never, get_args

from localcloud.host.errors import FrameError

Kind = Literal["string", "json", "bytes", "model_binding_data"]


@dataclass(frozen=True, slots=True)
class ModelBindingData:
    """The protocol's ModelBindingData: what an extension hands to a binding that is deferred.

    Attributes:
        content: What it is made of, as `source` has it.
        source: Which extension's form that is.
        version: The form's version.
        content_type: The content's media type.
    """

    content: bytes
    source: str
    version: str = "1.0"
    content_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Datum:
    """A value with its TypedData kind: text, JSON text, bytes, or model binding data."""

    kind: Kind
    value: str | bytes | ModelBindingData

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

    @classmethod
    def model(cls, data: ModelBindingData) -> "Datum":
        """Wrap what a deferred binding gets."""
        return cls("model_binding_data", data)


def to_wire(datum: Datum) -> list[str]:
    """Make a datum fit for JSON.

    Returns:
        Its kind and its value; bytes in base64.
    """
    match datum.value:
        case ModelBindingData(content, source, version, content_type):
            encoded = base64.b64encode(content).decode("ascii")
            return [datum.kind, encoded, source, version, content_type]
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
            return Datum.binary(_from_base64(text))
        case ["model_binding_data", str(text), str(source), str(version), str(content_type)]:
            return Datum.model(ModelBindingData(_from_base64(text), source, version, content_type))
        case ["string", str(text)]:
            return Datum("string", text)
        case ["json", str(text)]:
            return Datum("json", text)
        case _:
            raise FrameError(f"a datum that is none of {', '.join(get_args(Kind))}")


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise FrameError("a datum that is not base64") from error
