"""The artefact loads where it will run: with requirements.txt alone, in the worker runtime."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.package import write_package
from tests.support.deployments import DEPLOYMENTS

pytestmark = [pytest.mark.integration, pytest.mark.deep]

_ROOT = Path(__file__).parents[2]
_INSTALL_SECONDS = 300
_LOAD_SECONDS = 120
_INDEX = """
import json, os, pathlib
from localcloud.host import runtime
runtime.start()
functions = runtime.index(pathlib.Path.cwd())
print(json.dumps([[each.name, *each.raw_bindings] for each in functions]), flush=True)
os._exit(0)  # without a last try to reach Application Insights, which is not there
"""


def _run(*command: str | Path, seconds: float, **options: object) -> str:
    done = subprocess.run(  # noqa: S603 - the test's own commands
        [str(each) for each in command],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        **options,  # type: ignore[call-overload] # cwd and env
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return str(done.stdout)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, unpacked as Azure unpacks it."""
    folder = tmp_path_factory.mktemp("artefact")
    write_package(_ROOT, folder / "app.zip")
    with zipfile.ZipFile(folder / "app.zip") as package:
        package.extractall(folder / "wwwroot")
    return folder / "wwwroot"


@pytest.fixture(scope="module")
def python(artefact: Path) -> Path:
    """A Python with the artefact's requirements, which have the worker runtime from 3.13 on."""
    home = artefact.parent / "python"
    _run(sys.executable, "-m", "venv", "--without-pip", home, seconds=_LOAD_SECONDS)
    pip = (sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install")
    quietly = ("--quiet", "--disable-pip-version-check", "--no-compile")
    requirements = artefact / "requirements.txt"
    _run(*pip, *quietly, "--requirement", requirements, seconds=_INSTALL_SECONDS)
    if sys.version_info < (3, 13):
        worker = ("--no-deps", "--ignore-requires-python", "-r", _ROOT / "requirements-worker.txt")
        _run(*pip, *quietly, *worker, seconds=_INSTALL_SECONDS)
    return home / "bin" / "python"


def _settings() -> dict[str, str]:
    """The app settings that the deployment sets, with values such as Azure fills in."""
    literal = {
        name: value
        for name, value in DEPLOYMENTS["default"].app_settings.items()
        if not value.startswith("[")
    }
    return literal | {
        "ServiceBus__fullyQualifiedNamespace": "example.servicebus.windows.net",
        "ServiceBus__clientId": "00000000-0000-0000-0000-000000000001",
        "AZURE_CLIENT_ID": "00000000-0000-0000-0000-000000000001",
        "PostureStorage__tableServiceUri": "https://example.table.core.windows.net/",
        "PostureStorage__clientId": "00000000-0000-0000-0000-000000000001",
        "ARM_CLOUD": "AZURE_PUBLIC_CLOUD",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": (
            "InstrumentationKey=00000000-0000-0000-0000-000000000002;"
            "IngestionEndpoint=https://127.0.0.1:9/"
        ),
    }


def test_every_function_loads_with_the_deployments_settings(artefact: Path, python: Path) -> None:
    """Nothing that the app imports is missing, and the worker finds every function."""
    host = artefact.parent / "host"
    host.mkdir()
    (host / "localcloud").symlink_to(_ROOT / "localcloud")  # of the repository this and no more
    out = _run(
        python,
        "-c",
        _INDEX,
        seconds=_LOAD_SECONDS,
        cwd=artefact,
        env=_settings() | {"PYTHONPATH": f"{artefact}:{host}", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    functions = {
        name: [json.loads(each) for each in bindings] for name, *bindings in json.loads(out)
    }
    declared = {
        line.split('"')[1]
        for path in (artefact / "handlers").glob("*.py")
        for line in path.read_text().splitlines()
        if ".function_name(" in line
    }
    assert functions.keys() == declared
    assert {"start_assessment", "resume_assessment"} <= functions.keys()
    for bindings in functions.values():
        assert len(bindings) == 1, "a trigger, and no other binding"
