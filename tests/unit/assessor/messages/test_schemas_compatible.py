"""The schemas are made from the models, and promise what version 0.1.0's promised.

tests/recorded/schemas keeps those as they were written by hand.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from scripts.schemas import ROOT, files
from tests.support.schemas import SCHEMAS, examples, names, registry, schema, validator

RECORDED: Final = Path(__file__).parents[3] / "recorded" / "schemas"
FIRST: Final = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text("utf-8"))
    for path in sorted(RECORDED.glob("*.schema.json"))
}
MESSAGES: Final = sorted(
    name for name in FIRST.keys() - {"common"} if schema(name)["$id"] == FIRST[name]["$id"]
)
"""Those that have had one version so far."""
EXAMPLES: Final = {
    name: which
    for which in ("assessment-", "request-rejected", "scan-completed")
    for name in examples(which)
}
Fact = tuple[object, ...]
WITHDRAWN: Final = {
    ("request", "field", ("scanId",)): "a stranger must not join a scan, and falsify its sum",
    ("request", "field", ("freshSince",)): "nor have somebody else answered with what is stale",
    ("request", "description", ("requestId",)): "it promised one answer for each ID for good",
}
"""What the first schemas said and these don't, and why."""


def first_registry() -> Registry[Any]:
    """Returns the first schemas by their `$id`s."""
    found: Registry[Any] = Registry().with_resources(
        (each["$id"], Resource.from_contents(each)) for each in FIRST.values()
    )
    return found.crawl()


_WORDS: Final = (
    "description",
    "const",
    "enum",
    "pattern",
    "format",
    "minimum",
    "minLength",
    "maxLength",
)


def facts(
    part: Mapping[str, Any], schemas: Registry[Any], base: str, path: tuple[str, ...] = ()
) -> Iterator[Fact]:
    """Yields what a schema promises of each field, whatever the way in which it is written.

    That is its name, whether it has to be there, what it is for people, and the lists of values
    that are closed. What depends on a value is left out: the examples and the app's own messages
    are held against that.
    """
    yield from ((word, path, json.dumps(part[word])) for word in _WORDS if word in part)
    yield from (("required", (*path, name)) for name in part.get("required", ()))
    yield from (("field", (*path, name)) for name in part.get("properties", {}))
    for each, place in _within(part, path):
        yield from facts(each, schemas, base, place)
    reference = part.get("$ref", "#/$defs/has")
    if not reference.rpartition("/")[2].startswith("has"):
        found = schemas.resolver(base).lookup(reference)
        yield from facts(found.contents, schemas, reference.partition("#")[0] or base, path)


def _within(
    part: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[Mapping[str, Any], tuple[str, ...]]]:
    """Yields each schema in a schema that holds without a condition, with the way to it."""
    for name, each in part.get("properties", {}).items():
        yield each, (*path, name)
    for word, name in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(part.get(word), Mapping):
            yield part[word], (*path, name)
    for each in part.get("allOf", ()):
        if "if" not in each:
            yield each, path
    for each in (*part.get("anyOf", ()), *part.get("oneOf", ())):
        if "type" in each or "$ref" in each:
            yield each, path


def test_the_schemas_are_what_the_models_make() -> None:
    """To write them anew: `make schemas`."""
    for path, text in files().items():
        assert (ROOT / path).read_text("utf-8") == text, f"{path} is not what `make schemas` makes"


def test_there_are_no_other_schemas() -> None:
    """What no model makes would grow old."""
    there = {str(path.relative_to(ROOT)) for path in SCHEMAS.rglob("*.schema.json")}
    assert there == {path for path in files() if path.startswith("schemas/")}


@pytest.mark.parametrize("name", MESSAGES)
def test_each_schema_promises_what_the_first_did(name: str) -> None:
    """Fields, which of them have to be there, closed lists, patterns, and what is said of each.

    A field that is new promises what it likes.
    """
    before = set(facts(FIRST[name], first_registry(), FIRST[name]["$id"]))
    now = set(facts(schema(name), registry(), schema(name)["$id"]))
    more = {each for each in now - before if each[0] in {"required", "enum", "pattern"}}
    assert {
        each
        for each in more
        if ("field", each[1]) in before and ("required", each[1]) not in before
    } == set()
    gone = {each for each in before - now if not _is_said(each, now)}
    kept = {
        each
        for each in gone
        if (name, *each[:2]) not in WITHDRAWN and (name, "field", each[1]) not in WITHDRAWN
    }
    assert kept == set()


def _is_said(fact: Fact, now: set[Fact]) -> bool:
    """Whether a fact is said in other words.

    A description stands within a longer one, or a message's own in place of it; a list of values is
    one value.
    """
    word, path, *rest = fact
    if word == "enum":
        return any(each[:2] == ("const", path) and str(each[2]) in str(rest[0]) for each in now)
    if word != "description":
        return False
    texts = [str(each[2]) for each in now if each[:2] == (word, path)]
    return path == ("subject",) or any(str(rest[0]).strip('"') in each for each in texts)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_each_example_is_valid_by_the_first_schemas_too(name: str) -> None:
    """So whoever validates by an older copy takes what the app publishes now."""
    example = examples(EXAMPLES[name])[name]
    which = example["dataschema"].split(":")[3]
    Draft202012Validator(
        FIRST[which], registry=first_registry(), format_checker=FormatChecker()
    ).validate(example)
    validator(which).validate(example)


BUNDLED = sorted((SCHEMAS / "bundled").glob("*.schema.json"))


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.name)
def test_each_bundled_schema_stands_alone(path: Path) -> None:
    """In draft 7's words; it takes the examples that the modular one takes."""
    bundled = json.loads(path.read_text("utf-8"))
    Draft7Validator.check_schema(bundled)
    text = json.dumps(bundled)
    assert "urn:patch-assessor:message" not in text
    assert "$defs" not in text
    assert set(_references(bundled)) <= {
        f"#/definitions/{name}" for name in bundled.get("definitions", {})
    }
    name = path.name.removesuffix(".schema.json")
    for example in examples("request-" if name == "request" else name).values():
        is_event = "specversion" in example
        if is_event == (name != "request"):
            Draft7Validator(bundled).validate(example)


def test_each_message_has_a_bundled_schema() -> None:
    """And what only others refer to has none."""
    assert {path.name.removesuffix(".schema.json") for path in BUNDLED} == set(names()) - {
        "common",
        "alert-azure-monitor",
    }


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "$ref":
                yield each
            else:
                yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)
