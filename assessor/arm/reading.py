"""ARM's answers as JSON objects, read from their bytes: an object, or no answer.

What arrives may be anything: another encoding than the headers say, compression that is none,
gigabytes once decompressed, arrays, numbers of thousands of digits, a thousand levels, NaN, halves
of surrogate pairs. What does no harm is read: a number that JSON or a program has no place for is
null, half a pair is U+FFFD. All else is no answer, and never an exception.
"""

import json
import math
import re
import zlib
from collections.abc import Mapping
from typing import Any, Final

from assessor.http import MOST_BYTES

_MOST_DIGITS: Final = 300
"""Of a whole number; a float has room for 308."""
_WINDOWS: Final = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS}
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_HALF: Final = re.compile(r"[\ud800-\udfff]")


def read_object(body: bytes, headers: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Returns the JSON object that a body holds; None where it holds none that can be read."""
    by_name = {name.lower(): value for name, value in headers.items()}
    plain = _decompressed(body, by_name.get("content-encoding", ""))
    if plain is None:
        return None
    text = _decoded(plain, by_name.get("content-type", ""))
    return None if text is None else object_in(text)


def object_in(text: str) -> Mapping[str, Any] | None:
    """Returns the JSON object in `text`; None where there is none."""
    try:
        value = json.loads(text, parse_constant=_nothing, parse_float=_float, parse_int=_int)
        return _whole(value) if isinstance(value, Mapping) else None
    except (ValueError, RecursionError):
        return None


async def streamed_object(answer: Any) -> Mapping[str, Any]:  # noqa: ANN401 - the transport's own
    """Returns the JSON object of an answer that was asked for as a stream, read from its bytes.

    Raises:
        JSONDecodeError: it holds none that can be read, or is too large: it counts as no answer.
    """
    body = bytearray()
    async for part in answer.iter_raw():
        body += part
        if len(body) > MOST_BYTES:
            await answer.close()
            break
    fields = read_object(bytes(body), answer.headers)
    if fields is None:
        raise json.JSONDecodeError("no JSON object", "", 0)  # without the body, which may be secret
    return fields


def document(text: str) -> Mapping[str, Any]:
    """Returns the JSON object in `text`, {} for no text.

    Raises:
        JSONDecodeError: it holds none that can be read, which counts as no answer.
    """
    fields = object_in(text) if text else {}
    if fields is None:
        raise json.JSONDecodeError("no JSON object", "", 0)  # without the body, which may be secret
    return fields


def json_object(text: str) -> Mapping[str, Any]:
    """Returns the JSON object in `text`; {} where there is none."""
    return object_in(text) or {}


def text_of(value: object) -> str | None:
    """Returns a value that is a text; None for any other."""
    return value if isinstance(value, str) else None


def object_of(value: object) -> Mapping[str, Any]:
    """Returns a value that is a JSON object; {} for any other."""
    return value if isinstance(value, Mapping) else {}


def objects_of(value: object) -> list[Mapping[str, Any]]:
    """Returns the JSON objects in a value that is a list; none for any other."""
    listed = value if isinstance(value, list | tuple) else ()
    return [each for each in listed if isinstance(each, Mapping)]


def _decompressed(body: bytes, encoding: str) -> bytes | None:
    if len(body) > MOST_BYTES:
        return None
    kind = encoding.strip().lower()
    if kind in {"", "identity"}:
        return body
    windows = (_WINDOWS[kind],) if kind in _WINDOWS else (zlib.MAX_WBITS, -zlib.MAX_WBITS)
    if kind not in {*_WINDOWS, "deflate"}:
        return None
    for window in windows:
        plain = _inflated(body, window)
        if plain is not None:
            return plain if len(plain) <= MOST_BYTES else None
    return body  # the header lies: the body is looked at as it is


def _inflated(body: bytes, window: int) -> bytes | None:
    inflater = zlib.decompressobj(window)
    try:
        return inflater.decompress(body, MOST_BYTES + 1)
    except zlib.error:
        return None


def _decoded(body: bytes, content_type: str) -> str | None:
    match = _CHARSET.search(content_type)
    for charset in ("utf-8-sig", *((match[1],) if match else ()), json.detect_encoding(body)):
        try:
            return body.decode(charset)
        except (LookupError, ValueError):
            continue
    return None


def _whole(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Returns the value without halves of surrogate pairs, which no encoding can write."""
    match value:
        case str():
            return _HALF.sub("\ufffd", value)
        case list():
            return [_whole(each) for each in value]
        case dict():
            return {_HALF.sub("\ufffd", name): _whole(each) for name, each in value.items()}
        case _:
            return value


def _nothing(_: str) -> None:
    """Returns null for NaN, Infinity and -Infinity."""


def _float(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _int(text: str) -> int | None:
    return int(text) if len(text) <= _MOST_DIGITS else None
