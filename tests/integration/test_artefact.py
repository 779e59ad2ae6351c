"""The artefact loads where it will run: Python 3.13 with requirements.txt alone."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.package import write_package
from tests.support.deployments import DEPLOYMENTS

pytestmark = [pytest.mark.integration, pytest.mark.deep]

_ROOT = Path(__file__).parents[2]
_INSTALL_SECONDS = 300
_LOAD_SECONDS = 120
_VERSION = "3.13"
"""What infra/app/function-app.bicep deploys on."""
_INDEX = """
import json, os, pathlib, sys
import azure.functions
from localcloud.host import runtime
runtime.start()
functions = runtime.index(pathlib.Path.cwd())
print(json.dumps({
    "python": sys.version.split()[0],
    "library": azure.functions.__file__,
    "functions": [[each.name, *each.raw_bindings] for each in functions],
}), flush=True)
os._exit(0)  # without a last try to reach Application Insights, which is not there
"""
_FILLED_IN = {
    "ServiceBus__fullyQualifiedNamespace": "example.servicebus.windows.net",
    "ServiceBus__clientId": "00000000-0000-0000-0000-000000000001",
    "AZURE_CLIENT_ID": "00000000-0000-0000-0000-000000000001",
    "AzureWebJobsStorage__blobServiceUri": "https://example.blob.core.windows.net/",
    "AzureWebJobsStorage__queueServiceUri": "https://example.queue.core.windows.net/",
    "AzureWebJobsStorage__tableServiceUri": "https://example.table.core.windows.net/",
    "AzureWebJobsStorage__clientId": "00000000-0000-0000-0000-000000000001",
    "PostureStorage__tableServiceUri": "https://example.table.core.windows.net/",
    "PostureStorage__clientId": "00000000-0000-0000-0000-000000000001",
    "ARM_CLOUD": "AZURE_PUBLIC_CLOUD",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": (
        "InstrumentationKey=00000000-0000-0000-0000-000000000002;"
        "IngestionEndpoint=https://127.0.0.1:9/"
    ),
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": (
        "ClientId=00000000-0000-0000-0000-000000000001;Authorization=AAD"
    ),
}
"""Values such as Azure fills in where the template has an expression."""


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


def _candidates() -> Iterator[str]:
    """Yields what may be the Python that Azure runs: this one, the PATH's, and pyenv's."""
    yield sys.executable
    on_path = shutil.which(f"python{_VERSION}")
    if on_path is not None:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for folder in sorted(pyenv.glob(f"{_VERSION}.*"), reverse=True):
        yield str(folder / "bin" / f"python{_VERSION}")


def _starts(python: str) -> bool:
    """Returns whether it is that version and starts: a shim on the PATH may refuse."""
    asked = "import sys, venv; print('{}.{}'.format(*sys.version_info))"
    try:
        done = subprocess.run(  # noqa: S603 - a Python of this machine's
            [python, "-c", asked], capture_output=True, text=True, timeout=30, check=False
        )
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == _VERSION


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
    """A Python as Azure runs it, with the artefact's requirements and nothing else."""
    base = next(filter(_starts, _candidates()), None)
    if base is None:
        pytest.skip(f"no Python {_VERSION} starts here; Azure runs the app on it")
    home = artefact.parent / "python"
    _run(base, "-m", "venv", "--without-pip", home, seconds=_LOAD_SECONDS)
    pip = (sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install")
    quietly = ("--quiet", "--disable-pip-version-check", "--no-compile", "--only-binary=:all:")
    requirements = artefact / "requirements.txt"
    _run(*pip, *quietly, "--requirement", requirements, seconds=_INSTALL_SECONDS)
    return home / "bin" / "python"


def _settings() -> dict[str, str]:
    """The app settings of the default deployment, with values for what Azure fills in."""
    return {
        name: _FILLED_IN[name] if text.startswith("[") else text
        for name, text in DEPLOYMENTS["default"].app_settings.items()
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
        env={
            **_settings(),
            "ALERT_OVERDUE_HOURS": "26",  # one function is there only where it is set
            "PYTHONPATH": f"{artefact}:{host}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    loaded = json.loads(out)
    assert loaded["python"].startswith(f"{_VERSION}.")
    assert Path(loaded["library"]).is_relative_to(artefact.parent / "python")
    functions = {
        name: [json.loads(each) for each in bindings] for name, *bindings in loaded["functions"]
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
