"""Makes schemas/ from the models of assessor/messages, and what else is made of what is known once.

That is the commands' copy of the alert rules, and azd's file of parameters. `make schemas` runs it;
a test checks that what it makes is what is there.
"""

import ast
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from assessor.alerts.rules import RULES
from assessor.messages.alert_data import CommonAlert
from assessor.messages.contract import MESSAGES, Envelope, PublishedMessage
from assessor.messages.model import Model
from assessor.messages.outcome_data import About, Asked, Result
from assessor.messages.request_body import RequestBody
from assessor.messages.request_schema import FORMS
from assessor.messages.shapes import ApiErrorShape, PatchShape
from scripts.parameters import parameters

ROOT: Final = Path(__file__).parents[1]
SCHEMAS: Final = ROOT / "schemas"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_BUNDLED_DIALECT: Final = "http://json-schema.org/draft-07/schema#"
_PREFIX: Final = "urn:patch-assessor:message:"
_COMMON: Final[Mapping[str, type]] = {
    "event": Envelope,
    "request": Asked,
    "about": About,
    "result": Result,
    "patch": PatchShape,
    "apiError": ApiErrorShape,
}
"""What several messages have in common, by what common.schema.json calls it."""
_COMMON_NAMES: Final = {model.__name__: name for name, model in _COMMON.items()}

Schema = dict[str, Any]


class _Generator(GenerateJsonSchema):
    """Pydantic's, without the titles and defaults that it makes up."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401 - pydantic's own
        """No field has a title: its name says it."""
        del schema
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leaves out the default: a model's is what stands for a field that is not there."""
        return self.generate_inner(schema["schema"])


def files() -> dict[str, str]:
    """Returns the text of each file that is made, by its path from the repository's root."""
    made = {"common": _common(), "alert-azure-monitor": _azure_monitor(), "request": _request()}
    made |= {message.name: _modular(message) for message in MESSAGES}
    bundled = {message.name: _bundled_message(message) for message in MESSAGES}
    bundled["request"] = _bundle(_request_fields(), "Request")
    texts = {f"schemas/{name}.schema.json": _text(each) for name, each in made.items()}
    texts |= {f"schemas/bundled/{name}.schema.json": _text(each) for name, each in bundled.items()}
    path = "patch_assessor_cli/alert_rules.py"
    texts[path] = _alert_rules((ROOT / path).read_text("utf-8"))
    bicep = (ROOT / "infra" / "main.bicep").read_text("utf-8")
    return texts | {"infra/main.parameters.json": parameters(bicep)}


def _text(schema: Schema) -> str:
    return f"{json.dumps(schema, indent=2, ensure_ascii=False)}\n"


@cache
def _describe_all(model: Any) -> None:  # noqa: ANN401 - a type, which no cache takes for hashable
    """Gives the fields of a model, and of all beneath it, their docstrings for descriptions."""
    (definition,) = ast.parse(inspect.getsource(model)).body
    for field, said in pairwise(getattr(definition, "body", ())):
        match field, said:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(ast.Constant(str(text))):
                described = model.__dict__["__dataclass_fields__"][name]
                described.type = Annotated[described.type, Field(description=_on_one_line(text))]
    for each in model.__subclasses__():
        _describe_all(each)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _schema(model: type) -> Schema:
    """Returns a model's schema, with what it is called and what it says from its docstring."""
    _describe_all(Model)
    schema = TypeAdapter(model).json_schema(schema_generator=_Generator)
    definitions = {name: _told(each) for name, each in schema.pop("$defs", {}).items()}
    return _told(schema) | ({"$defs": definitions} if definitions else {})


def _told(schema: Schema) -> Schema:
    title, _, rest = str(schema.pop("description", "")).partition("\n\n")
    head = {"title": title.removesuffix(".")}
    if rest:
        head["description"] = _on_one_line(rest)
    schema.pop("title", None)
    return head | schema


def _modular(message: PublishedMessage) -> Schema:
    """Returns the schema of a message, which refers to what it has in common with others."""
    own = _data(message)
    definitions = own.pop("$defs", {})
    event = _event(message, {"$id": message.data_id, **own})
    kept = {_camel(name): each for name, each in definitions.items() if name not in _COMMON_NAMES}
    if kept:
        event["$defs"] = kept
    if len(message.types) > 1:
        event["allOf"] = [_fired_or_resolved()]
    whole = {"$schema": _DIALECT, "$id": message.message_id} | event
    return _renamed(whole, _absolute(message.message_id))


def _data(message: PublishedMessage) -> Schema:
    """Returns the schema of a message's data, with the alert rules that there are as examples."""
    schema = _schema(message.data)
    essentials = schema.get("$defs", {}).get("Essentials")
    if essentials is not None:
        essentials["properties"]["alertRule"]["examples"] = [rule.name for rule in RULES]
        severities = list(dict.fromkeys(rule.severity.value for rule in RULES))
        essentials["properties"]["severity"]["examples"] = severities
    return schema


def _event(message: PublishedMessage, data: Schema) -> Schema:
    envelope = _schema(Envelope)
    fields = dict(envelope["properties"])
    required = list(envelope["required"])
    types = list(message.types)
    fields["type"] |= {"const": types[0]} if len(types) == 1 else {"enum": types}
    if message.time is not None:
        fields["time"] = fields["time"] | {"description": message.time}
    if message.subject is not None:
        fields["subject"] = {"type": "string", "description": message.subject}
        required.insert(required.index("time") + 1, "subject")
    fields["dataschema"] |= {"const": message.data_id}
    fields["data"] = data
    return {
        "title": message.title,
        "description": message.description,
        "type": "object",
        "properties": fields,
        "required": required,
    }


def _fired_or_resolved() -> Schema:
    def alert(condition: str, change: Schema) -> Schema:
        essentials = {"properties": {"monitorCondition": {"const": condition}}}
        context = {"properties": {"change": change}}
        body = {"properties": {"essentials": essentials, "alertContext": context}}
        return {"properties": {"data": {"properties": {"data": body}}}}

    return {
        "if": {"properties": {"type": {"const": "PatchAssessor.AlertResolved"}}},
        "then": alert("Resolved", {"const": "Gone"}),
        "else": alert("Fired", {"enum": ["Appeared", "Grew", "Reminder"]}),
    }


def _common() -> Schema:
    definitions: Schema = {}
    for name, model in _COMMON.items():
        schema = _schema(model)
        for inner, each in schema.pop("$defs", {}).items():
            if inner not in _COMMON_NAMES:
                definitions[_camel(inner)] = each
        definitions[name] = schema
    head = {
        "$schema": _DIALECT,
        "$id": f"{_PREFIX}common:1",
        "title": "What several messages have in common",
    }
    return head | {"$defs": _renamed(definitions, _within)}


def _azure_monitor() -> Schema:
    head = {"$schema": _DIALECT, "$id": f"{_PREFIX}alert-azure-monitor:1"}
    schema = _schema(CommonAlert)
    names = {"CommonAlertData": "data", "CommonEssentials": "essentials"}
    schema["$defs"] = {names[name]: each for name, each in schema["$defs"].items()}
    return head | _renamed(schema, lambda name: f"#/$defs/{names[name]}")


def _request() -> Schema:
    return {"$schema": _DIALECT, "$id": f"{_PREFIX}request:1"} | _request_fields() | FORMS


def _request_fields() -> Schema:
    schema = TypeAdapter(RequestBody).json_schema(schema_generator=_Generator)
    description = _on_one_line(str(schema.pop("description")))
    for each in schema["properties"].values():
        if "description" in each:
            each["description"] = _on_one_line(each["description"])
    return {"title": schema.pop("title"), "description": description} | schema


def _bundled_message(message: PublishedMessage) -> Schema:
    own = _data(message)
    definitions = own.pop("$defs", {})
    return _bundle(_event(message, own) | {"$defs": definitions}, message.title)


def _bundle(schema: Schema, title: str) -> Schema:
    """Returns a schema that stands alone, in the words that generators of code know.

    Those are draft 7's: `definitions`, no reference beside other words, nothing that depends on a
    value, and a type for ARM's own objects and lists. What a validator would need beyond that, or
    less, the modular schema has.
    """
    definitions = {name: _plain(each) for name, each in schema.pop("$defs", {}).items()}
    head: Schema = {"$schema": _BUNDLED_DIALECT, "title": "".join(title.title().split())}
    head["description"] = schema.pop("description")
    bundled = head | _plain(schema)
    if definitions:
        bundled["definitions"] = definitions
    return _renamed(bundled, lambda name: f"#/definitions/{name}")


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return {"$ref": value["$ref"]}
    left_out = {"if", "then", "else"} | (
        {"title"} if isinstance(value.get("title"), str) else set()
    )
    kept = {name: _plain(each) for name, each in value.items() if name not in left_out}
    if "properties" in kept:
        kept["type"] = "object"
        kept["properties"] = {
            name: _or_null(each) if _is_as_sent(each) else each
            for name, each in kept["properties"].items()
        }
    return kept


def _is_as_sent(schema: Schema) -> bool:
    """Whether this describes a list or an object of ARM's, which passes on whatever it is.

    Generators and strict validators want a type; ARM's reference has one, or null.
    """
    return str(schema.get("$ref", "")).endswith("Shape") or (
        "items" in schema and "type" not in schema
    )


def _or_null(schema: Schema) -> Schema:
    """Returns the same for a value that may be null too, with the type that it has if not."""
    about = {name: schema.pop(name) for name in ("description",) if name in schema}
    described = {"type": "array", **schema} if "items" in schema else schema
    return about | {"anyOf": [described, {"type": "null"}]}


def _absolute(own: str) -> Callable[[str], str]:
    def refer(name: str) -> str:
        common = _COMMON_NAMES.get(name)
        return f"{own}#/$defs/{_camel(name)}" if common is None else _of_common(common)

    return refer


def _within(name: str) -> str:
    return f"#/$defs/{_COMMON_NAMES.get(name, _camel(name))}"


def _of_common(name: str) -> str:
    return f"{_PREFIX}common:1#/$defs/{name}"


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


def _renamed(schema: Schema, refer: Callable[[str], str]) -> Schema:
    """Returns the schema with each reference to a model as `refer` has it."""

    def renamed(value: Any) -> Any:  # noqa: ANN401 - any JSON
        match value:
            case dict():
                return {
                    name: refer(each.rpartition("/")[2]) if name == "$ref" else renamed(each)
                    for name, each in value.items()
                }
            case list():
                return [renamed(each) for each in value]
            case _:
                return value

    return {name: renamed(each) for name, each in schema.items()}


def _alert_rules(before: str) -> str:
    head, _, _ = before.partition("ALERT_RULES: Final = (\n")
    return f"{head}ALERT_RULES: Final = (\n{''.join(_rule_lines())})\n"


def _rule_lines() -> Iterator[str]:
    for rule in RULES:
        values = (rule.name, rule.severity.value, rule.column, rule.heading)
        yield f"    ShownRule({', '.join(map(json.dumps, values))}),\n"


def main() -> None:
    """Writes the files."""
    (SCHEMAS / "bundled").mkdir(exist_ok=True)
    for path, text in files().items():
        (ROOT / path).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
