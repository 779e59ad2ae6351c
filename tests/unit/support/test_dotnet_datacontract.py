"""Texts of .NET's retired Service Bus package, as its serialiser wrote them."""

import pytest

from dotnet_datacontract import read_string

_START = b"\x40\x06string\x083http://schemas.microsoft.com/2003/10/Serialization/"
_JSON = '{"vmId": "ü"}'


@pytest.mark.parametrize(
    ("records", "text"),
    [
        (b"\x99\x0e" + _JSON.encode(), _JSON),
        (b"\x98\x02ab\x99\x02cd", "abcd"),
        (b"\x98\x02ab\x01", "ab"),
        (b"\x9b\x2c\x01" + b"x" * 300, "x" * 300),
        (b"\x9d\x03\x00\x00\x00abc", "abc"),
        (b"\xb7\x04a\x00b\x00", "ab"),
        (b"\xa9", ""),
    ],
)
def test_a_serialised_text_is_read(records: bytes, text: str) -> None:
    """Text records of every width, alone or one after another, up to the element's end."""
    assert read_string(_START + records) == text


@pytest.mark.parametrize("data", [b"", b"plain", _START, _START + b"\x99\x02\xff\xff", _START[:9]])
def test_anything_else_is_no_such_text(data: bytes) -> None:
    """Other bytes, and a document that is cut or broken."""
    assert read_string(data) is None
