"""What is asked for, as the query of an address, so that it can be kept and passed on."""

from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import urlencode

from patch_assessor_console.model.fleet import Column, Query, Show

_DEFAULT: Final = Query()
_LONGEST: Final = 500
Word = TypeVar("Word", Column, Show)


def to_query(parameters: Mapping[str, str]) -> Query:
    """Returns what an address asks for; what it does not say, or says wrongly, is as by default."""

    def text(name: str) -> str:
        return parameters.get(name, "")[:_LONGEST]

    return Query(
        text=text("q"),
        show=_word(text("show"), _DEFAULT.show),
        subscription=text("subscription"),
        system=text("system"),
        tag=text("tag"),
        patch=text("patch"),
        sort=_word(text("sort").removeprefix("-"), _DEFAULT.sort),
        descending=text("sort").startswith("-"),
    )


def to_address(query: Query, **more: str) -> str:
    """Returns the query as an address carries it, with its `?`; empty where nothing is asked for.

    Args:
        query: What is asked for.
        more: Further parameters; an empty one is left out.
    """
    sort = f"{'-' if query.descending else ''}{query.sort}"
    parameters = {
        "q": query.text,
        "show": "" if query.show is _DEFAULT.show else str(query.show),
        "subscription": query.subscription,
        "system": query.system,
        "tag": query.tag,
        "patch": query.patch,
        "sort": "" if sort == _DEFAULT.sort else sort,
        **more,
    }
    encoded = urlencode({name: text for name, text in parameters.items() if text})
    return f"?{encoded}" if encoded else ""


def _word(text: str, default: Word) -> Word:
    try:
        return type(default)(text)
    except ValueError:
        return default
