"""Reads Bicep far enough to hold it against the app: what is declared, passed, and referred to.

The tree is tree-sitter's. Left out: types and the resource providers' schemas, which take the Bicep
compiler.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

_LANGUAGE = Language(tree_sitter_bicep.language())

FUNCTIONS = frozenset(
    """array base64 bool cidrHost cidrSubnet coalesce concat contains dateTimeAdd deployment empty
    endsWith environment extensionResourceId filter first flatten format guid indexOf int
    intersection items join json last length loadJsonContent loadTextContent managementGroup map max
    min newGuid range readEnvironmentVariable reduce reference replace resourceGroup resourceId skip
    sort split startsWith string subscription subscriptionResourceId substring take tenant toLower
    toObject toUpper trim union uniqueString uri utcNow""".split()  # noqa: SIM905 - a list to read
)
DECORATORS = frozenset(
    """allowed description export maxLength maxValue metadata minLength minValue sealed
    secure""".split()  # noqa: SIM905 - a list to read
)


@dataclass(frozen=True)
class Parameter:
    """A parameter; it must be passed unless it has a default."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True)
class Declaration:
    """A resource or a module.

    Attributes:
        name: its symbol.
        target: the resource's type and version, or the module's path.
        existing: whether it is only referred to.
        body: the object that describes it.
    """

    name: str
    target: str
    existing: bool
    body: Node

    def property(self, *path: str) -> Node | None:
        """The value at a path of property names; None if there is none."""
        node: Node | None = self.body
        for name in path:
            node = properties(node).get(name) if node is not None else None
        return node


class BicepFile:
    """One file, parsed."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        """Reads the file, or `text` in its place."""
        self.path = path
        self.text = path.read_text() if text is None else text
        self.root = Parser(_LANGUAGE).parse(self.text.encode()).root_node

    @cached_property
    def errors(self) -> list[str]:
        """The places that the parser could not read."""
        return [
            f"{self.path.name}:{node.start_point[0] + 1}: {source(node)[:60]!r}"
            for node in walk(self.root)
            if node.is_error or node.is_missing
        ]

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """What is passed in."""
        found = {}
        for node in self._all("parameter_declaration"):
            name, type_, *default = node.named_children
            found[source(name)] = Parameter(source(name), source(type_), not default)
        return found

    @cached_property
    def variables(self) -> dict[str, Node]:
        """Variables and their values."""
        return {
            source(node.named_children[0]): node.named_children[1]
            for node in self._all("variable_declaration")
        }

    @cached_property
    def outputs(self) -> dict[str, Node]:
        """What comes out, and the expressions of it."""
        return {
            source(node.named_children[0]): node.named_children[-1]
            for node in self._all("output_declaration")
        }

    @cached_property
    def resources(self) -> dict[str, Declaration]:
        """Resources, those within others included."""
        return {each.name: each for each in self._declarations("resource_declaration")}

    @cached_property
    def modules(self) -> dict[str, Declaration]:
        """Modules that this file calls."""
        return {each.name: each for each in self._declarations("module_declaration")}

    @cached_property
    def types(self) -> set[str]:
        """Types that this file declares."""
        return {source(node.named_children[0]) for node in self._all("type_declaration")}

    @cached_property
    def references(self) -> list[Node]:
        """Every identifier that must mean something, with where it stands."""
        return [
            node for node in walk(self.root) if node.type == "identifier" and not _introduces(node)
        ]

    def loaded_files(self) -> list[Path]:
        """The files that load…Content() names."""
        return [
            self.path.parent / text(arguments[0])
            for name, arguments in self.calls()
            if name in ("loadJsonContent", "loadTextContent")
        ]

    def calls(self) -> Iterator[tuple[str, list[Node]]]:
        """Every function call: its name and arguments."""
        for node in self._all("call_expression"):
            function, arguments = node.named_children[0], node.named_children[-1]
            yield source(function), arguments.named_children

    def _all(self, kind: str) -> Iterator[Node]:
        return (node for node in walk(self.root) if node.type == kind)

    def _declarations(self, kind: str) -> Iterator[Declaration]:
        for node in self._all(kind):
            name, target, value = node.named_children[:3]
            yield Declaration(
                source(name),
                text(target),
                any(child.type == "existing" for child in node.children),
                _body(value),
            )


def source(node: Node) -> str:
    """The text of a node, as written."""
    return (node.text or b"").decode()


def text(node: Node) -> str:
    """The content of a string without interpolation."""
    return source(node)[1:-1].replace("\\'", "'")


def walk(node: Node) -> Iterator[Node]:
    """A node and all beneath it."""
    yield node
    for child in node.children:
        yield from walk(child)


def properties(node: Node) -> dict[str, Node]:
    """The properties of an object and their values; empty for what is none."""
    if node.type != "object":
        return {}
    pairs = [child for child in node.named_children if child.type == "object_property"]
    return {
        source(pair.named_children[0]).strip("'"): pair.named_children[-1]
        for pair in pairs
        if len(pair.named_children) > 1
    }


def _body(value: Node) -> Node:
    """The object beneath a condition or a loop."""
    while value.type in ("if_statement", "for_statement"):
        value = value.named_children[-1]
    return value


def _introduces(node: Node) -> bool:
    """Whether an identifier gives a name, and does not use one."""
    parent = node.parent
    if parent is None:
        return False
    is_first = parent.named_children[0] == node
    match parent.type:
        case (
            "parameter_declaration"
            | "variable_declaration"
            | "output_declaration"
            | "resource_declaration"
            | "module_declaration"
            | "type_declaration"
            | "object_property"
            | "lambda_expression"
        ):
            return is_first
        case "for_statement":
            return parent.child_by_field_name("initializer") == node
        case "resource_expression":
            return not is_first  # a name within the resource before it
        case _:
            return False
