"""How messages are modelled: frozen dataclasses, rendered as JSON here, described in schemas/.

A model says what each field is called, of what type it is, and in the docstring beneath it what it
means; `scripts/schemas.py` makes the JSON Schemas from that. Values are not checked when a model is
made: what comes from outside was parsed where it came in, and what ARM sent passes on as it is.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

from pydantic import ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

DateTime = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Uuid = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]


def one_of(*values: str) -> WithJsonSchema:
    """Returns what describes a text that is one of these: a closed list."""
    return WithJsonSchema(
        {"type": "string", "const": values[0]}
        if len(values) == 1
        else {"type": "string", "enum": list(values)}
    )


class Model:
    """What all models are: their fields are in camel case."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(alias_generator=to_camel)


@dataclass(frozen=True, slots=True)
class AbsentWhenNone:
    """Marks a field that a message has or has not: None is not rendered."""

    def __get_pydantic_core_schema__(
        self,
        source: Any,  # noqa: ANN401 - pydantic's own hook
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        """Describes the value that is there."""
        schema: Any = handler(source)
        inner: CoreSchema = schema["schema"] if schema["type"] == "nullable" else schema
        return inner


@dataclass(frozen=True, slots=True)
class DescribedBy:
    """Marks JSON that passes on as it came, and the model that describes what it should be."""

    model: type

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's own hook
        """Describes the model."""
        return handler.generate_schema(self.model)

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Leaves out that a list has to be one: only what is in it is described."""
        described = handler(core_schema)
        if "items" in described:
            described.pop("type")
        return described


def render(model: object) -> dict[str, Any]:
    """Returns the JSON object of a model, its fields under their names in the contract."""
    return {
        name: _plain(value)
        for name, attribute, is_optional in _names(type(model))  # type: ignore[arg-type] # mypy sees the __hash__ of what the class makes
        if (value := getattr(model, attribute)) is not None or not is_optional
    }


def to_json(value: object) -> bytes:
    """Returns JSON by RFC 8259: the one place where what leaves the app is written.

    Raises:
        ValueError: a number is infinite, or none. Such are refused where they come in.
    """
    return json.dumps(value, allow_nan=False).encode()


def field_name(attribute: str, hint: object) -> str:
    """Returns what the contract calls a field."""
    aliases = (each.alias for each in get_args(hint) if isinstance(each, FieldInfo) and each.alias)
    return next(aliases, to_camel(attribute))


@cache
def _names(model: type) -> tuple[tuple[str, str, bool], ...]:
    hints = get_type_hints(model, include_extras=True)
    return tuple(
        (
            field_name(field.name, hints[field.name]),
            field.name,
            any(isinstance(each, AbsentWhenNone) for each in get_args(hints[field.name])),
        )
        for field in dataclasses.fields(model)
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if dataclasses.is_dataclass(value):
        return render(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return dict(value)
    return value
