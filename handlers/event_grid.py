"""Event Grid's binding, with the event as text.

The binding of azure-functions decodes an event before any code of the app sees it, and raises for
what it does not know: a time with an offset, a body that is no object. The invocation fails then,
Event Grid is told 500, and delivers the event again for a day. So the text goes through as it is,
and the app reads it. The library has no public way to take a binding's converter's place: that the
place is taken is tested, through the library's own registry.
"""

from typing import Any, Final

from azure.functions import eventgrid, get_binding_registry
from azure.functions.meta import Datum

_BINDING: Final = "eventGridTrigger"


class EventText(str):
    """An event as the host hands it over: JSON, presumably."""

    __slots__ = ()


class _AsText(eventgrid.EventGridEventInConverter, binding=None):
    """Hands the text through."""

    @classmethod
    def check_input_type_annotation(cls, pytype: type) -> bool:
        return issubclass(pytype, EventText)

    @classmethod
    def decode(cls, data: Datum, *, trigger_metadata: Any) -> Any:  # noqa: ANN401 - the library's
        del trigger_metadata
        value = data.value
        return EventText(value.decode(errors="replace") if isinstance(value, bytes) else value)


def hand_events_over_as_text() -> None:
    """Takes the place of the library's own decoding, for the whole process."""
    converters = get_binding_registry()._bindings  # noqa: SLF001 - the module's docstring says why
    converters[_BINDING] = _AsText
