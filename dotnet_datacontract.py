"""A text as .NET's DataContractSerializer wrote it, in .NET's binary XML.

What the retired WindowsAzure.ServiceBus package made of `new BrokeredMessage(text)`; the Service
Bus extension still reads it. Only this one document is read: an element `string` with text.

Records: [MC-NBFX] .NET Binary Format: XML Data Structure, section 2.
"""

from typing import Final

_START: Final = b"\x40\x06string\x08"
_NAMESPACE: Final = b"http://schemas.microsoft.com/2003/10/Serialization/"
_END_ELEMENT: Final = 0x01
_EMPTY: Final = 0xA8
# Of each text record: how many bytes its length has, and its encoding. One more ends the element.
_TEXTS: Final = {
    0x98: (1, "utf-8"),
    0x9A: (2, "utf-8"),
    0x9C: (4, "utf-8"),
    0xB6: (1, "utf-16-le"),
    0xB8: (2, "utf-16-le"),
    0xBA: (4, "utf-16-le"),
}


def read_string(data: bytes) -> str | None:
    """Read such a document.

    Returns:
        The text; None when the bytes are no such document.
    """
    start = _START + bytes((len(_NAMESPACE),)) + _NAMESPACE
    if not data.startswith(start):
        return None
    at, text = len(start), ""
    while at < len(data):
        kind, at = data[at], at + 1
        record, ends = kind & ~1, bool(kind & 1)
        if kind == _END_ELEMENT:
            return text
        if record != _EMPTY:
            if record not in _TEXTS:
                return None
            width, encoding = _TEXTS[record]
            begin = at + width
            at = begin + int.from_bytes(data[at:begin], "little")
            try:
                text += data[begin:at].decode(encoding)
            except UnicodeDecodeError:
                return None
        if ends:
            return text
    return None
