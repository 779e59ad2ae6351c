"""Text as .NET takes it, in which Azure Resource Manager is written.

Python agrees with .NET on ASCII and not beyond: what counts as a letter in a regular expression,
and what is equal when case does not count. Names of VMs and resource groups may be of any script,
so both matter. It stands by itself, without anything but the standard library, because the app and
the local ARM both need it and must not import each other.

That ARM compares resource IDs so is likely and not documented.
Sources: RegexCharClass.cs and OrdinalCasing (pal_casing.c) of dotnet/runtime.
Left out: pairs of surrogates, which no name may have; they are left as they are.
"""

import unicodedata
from functools import lru_cache
from typing import Final

_WORD: Final = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Nd", "Pc"})
_OWN_UPPER: Final = frozenset("\u0131\u017f")
"""Dotless i and long s, which Unicode writes as I and S; .NET does not."""
_LAST_OF_PLANE_0: Final = "\uffff"


def is_word(char: str) -> bool:
    r"""Whether .NET's `\w` takes this character.

    Letters, non-spacing marks, decimal digits and connectors: neither other marks nor other
    numbers, which Python's takes, and no character of two UTF-16 units.
    """
    return char <= _LAST_OF_PLANE_0 and unicodedata.category(char) in _WORD


def ignoring_case(text: str) -> str:
    """Returns what texts have in common that are equal by .NET's OrdinalIgnoreCase, and only they.

    ASCII comes out in lower case. The text is for comparing and keeping, not for showing.
    """
    return text.lower() if text.isascii() else "".join(map(_folded, text))


@lru_cache(maxsize=4096)
def _folded(char: str) -> str:
    upper = _upper(char)
    lower = upper.lower()
    # In lower case, as the rest of a key is, where that leads back to the same upper case.
    return lower if len(lower) == 1 and _upper(lower) == upper else upper


def _upper(char: str) -> str:
    """Returns the simple upper case: one character for one, so that the sharp s stays."""
    if char in _OWN_UPPER or char > _LAST_OF_PLANE_0:
        return char
    # Where Python's full mapping has more characters, as for the alpha with an iota below, the
    # simple one is the title case, or there is none.
    full = (char.upper(), char.title())
    return next((each for each in full if len(each) == 1), char)
