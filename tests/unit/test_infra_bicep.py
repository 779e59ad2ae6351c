"""The Bicep files hang together: they parse, and whatever one names of another is there.

The Bicep compiler would say more (types, the providers' schemas); these are the mistakes that can
be found without it.
"""

import json
import re
from pathlib import Path

import pytest

from tests.support.bicep import (
    DECORATORS,
    FUNCTIONS,
    BicepFile,
    properties,
    source,
    text,
    walk,
)

_INFRA = Path(__file__).parents[2] / "infra"
_FILES = {path: BicepFile(path) for path in sorted(_INFRA.rglob("*.bicep"))}
_MAIN = _FILES[_INFRA / "main.bicep"]
_each_file = pytest.mark.parametrize(
    "file", _FILES.values(), ids=[str(path.relative_to(_INFRA)) for path in _FILES]
)


def _called(file: BicepFile, path: str) -> BicepFile:
    return _FILES[(file.path.parent / path).resolve()]


def _loop_names(file: BicepFile) -> set[str]:
    kinds = ("loop_variable", "loop_enumerator")
    names = {source(node) for node in walk(file.root) if node.type in kinds}
    for node in walk(file.root):
        initial = node.child_by_field_name("initializer") if node.type == "for_statement" else None
        if initial is not None:
            names.add(source(initial))
        if node.type == "lambda_expression":
            names.add(source(node.named_children[0]))
    return names


@_each_file
def test_a_file_parses(file: BicepFile) -> None:
    """The grammar is tree-sitter's."""
    assert file.errors == []


@_each_file
def test_every_name_means_something(file: BicepFile) -> None:
    """A reference is to a parameter, variable, resource, module, loop variable or function."""
    known = (
        file.parameters.keys()
        | file.variables.keys()
        | file.resources.keys()
        | file.modules.keys()
        | file.types
        | _loop_names(file)
        | FUNCTIONS
        | DECORATORS
    )
    assert {source(node) for node in file.references} - known == set()


@_each_file
def test_nothing_is_declared_for_nothing(file: BicepFile) -> None:
    """Every parameter and variable is used."""
    used = {source(node) for node in file.references}
    assert (file.parameters.keys() | file.variables.keys()) - used == set()


@_each_file
def test_a_module_is_given_its_parameters_and_no_others(file: BicepFile) -> None:
    """What is required is passed, and what is passed is there."""
    for module in file.modules.values():
        wanted = _called(file, module.target).parameters
        body = module.property("params")
        passed = properties(body).keys() if body is not None else set()
        required = {each.name for each in wanted.values() if each.required}
        assert passed - wanted.keys() == set(), module.name
        assert required - passed == set(), module.name


@_each_file
def test_an_output_that_is_used_is_there(file: BicepFile) -> None:
    """`module.outputs.name` names an output of that module's file."""
    for name, output in re.findall(r"\b(\w+)!?\.outputs\.(\w+)", file.text):
        assert output in _called(file, file.modules[name].target).outputs, f"{name}.{output}"


@_each_file
def test_a_file_that_is_loaded_is_there(file: BicepFile) -> None:
    """Contents are read when the Bicep is compiled, relative to the file that names them."""
    for path in file.loaded_files():
        content = path.read_text()
        if path.suffix == ".json":
            json.loads(content)


@_each_file
def test_a_resource_names_its_type_and_version(file: BicepFile) -> None:
    """`Provider/type@version`; a resource within another leaves the start of it out."""
    for resource in file.resources.values():
        assert re.fullmatch(
            r"Microsoft\.\w+(/\w+)+@\d{4}-\d\d-\d\d(-preview)?|\w+", resource.target
        ), resource.target


def test_every_file_is_called() -> None:
    """Nothing lies about that main.bicep does not lead to."""
    reached, waiting = set(), [_MAIN]
    while waiting:
        file = waiting.pop()
        reached.add(file.path)
        waiting += [_called(file, module.target) for module in file.modules.values()]
    assert reached == _FILES.keys()


def test_one_version_is_used_for_each_resource_type() -> None:
    """Two versions of one type are two truths."""
    versions: dict[str, set[str]] = {}
    for file in _FILES.values():
        for resource in file.resources.values():
            if "@" in resource.target:
                kind, version = resource.target.split("@")
                versions.setdefault(kind, set()).add(version)
    assert {kind: found for kind, found in versions.items() if len(found) > 1} == {}


def test_the_parameter_file_gives_every_parameter_of_main() -> None:
    """Each comes from the environment, which is azd's or the shell's."""
    content = (_INFRA / "main.bicepparam").read_text()
    assert "using 'main.bicep'" in content
    # The grammar knows no parameter files; their assignments read as variables do.
    as_variables = re.sub(r"^param (\w+) =", r"var \1 =", content, flags=re.MULTILINE)
    given = BicepFile(_INFRA / "main.bicepparam", as_variables.replace("using 'main.bicep'", ""))
    assert given.errors == []
    assert given.variables.keys() == _MAIN.parameters.keys()
    for name, value in given.variables.items():
        assert "readEnvironmentVariable(" in source(value), name


def test_the_values_that_the_parameter_file_falls_back_to_are_mains_defaults() -> None:
    """Whether main.bicep is deployed with or without the file makes no difference."""
    content = (_INFRA / "main.bicepparam").read_text()
    for name, fallback in re.findall(
        r"^param (\w+) = (?:\w+\()?readEnvironmentVariable\('\w+', '([^']*)'\)",
        content,
        re.MULTILINE,
    ):
        declaration = re.search(rf"^param {name} \S+ = (.+)$", _MAIN.text, re.MULTILINE)
        assert declaration, name
        assert declaration[1].strip("'") == fallback, name


def test_the_site_is_the_one_that_azd_deploys_to() -> None:
    """The service in azure.yaml has the name that the site carries as its tag."""
    manifest = (_INFRA.parent / "azure.yaml").read_text()
    module = _MAIN.modules["functionApp"]
    service = module.property("params", "serviceName")
    assert service is not None
    assert re.search(rf"^services:\n  {text(service)}:\n", manifest, re.MULTILINE)
    for hook in re.findall(r"run: \./(\S+)", manifest):
        assert (_INFRA.parent / hook).is_file()
