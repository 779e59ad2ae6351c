"""One line of JSON of whatever a message can hold, that any reader of JSON takes."""

import base64
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from plain_text import one_line

_LONGEST_BITS: Final = 4096
"""The longest integer that is written in decimal: Python refuses to from 4,300 digits on."""
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_FLAT: Final = frozenset({str, bool, type(None)})
_DEEPEST: Final = 100
"""Deeper JSON is given as text: readers, Python's own among them, give up at some depth."""


def json_line(value: object) -> str:
    """Returns `value` as one line of JSON by RFC 8259, without its end or any control character.

    What JSON has no form for is text: times by RFC 3339, bytes in UTF-8 or else base64, numbers
    that are none (`NaN`, `Infinity`), and anything else as Python writes it.
    """
    plain = value if _is_flat(value) else _plain(value, 0)
    return one_line(_ENCODER.encode(plain))


def _is_flat(value: object) -> bool:
    """Whether it is an object of texts and the like, as rows are: then JSON has a form for all."""
    return (
        type(value) is dict
        and _FLAT.issuperset(map(type, value.values()))
        and all(type(name) is str for name in value)
    )


def _plain(  # noqa: PLR0911 - one return for each kind of value
    value: object, depth: int
) -> Any:  # noqa: ANN401 - any JSON
    match value:
        case None | bool() | str():
            return value
        case int():
            return int(value) if value.bit_length() <= _LONGEST_BITS else hex(value)
        case float() if math.isfinite(value):
            return value
        case bytes():
            return text_of(value)
        case datetime():
            return value.isoformat()
        case Mapping() if depth < _DEEPEST:
            return {_name(name): _plain(each, depth + 1) for name, each in value.items()}
        case list() | tuple() if depth < _DEEPEST:
            return [_plain(each, depth + 1) for each in value]
        case Mapping() | list() | tuple():
            return "(too deep)"
        case float():
            return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
        case _:
            return str(value)


def _name(name: object) -> str:
    return text_of(name) if isinstance(name, bytes) else str(name)


def text_of(value: bytes) -> str:
    """Returns bytes as the text that they are in UTF-8, else in base64."""
    try:
        return value.decode()
    except ValueError:
        return base64.b64encode(value).decode()
