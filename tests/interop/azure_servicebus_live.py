"""azure-servicebus's own live tests, from its source distribution, against the local Service Bus.

The version is the one that is installed. Left out: what is about sessions or the administration
API, and three that wait four to six minutes for the service to close what is idle.

Prints a line of JSON for each test that ran, as `make interop` reads them.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.interop.live_plugin import REPORT

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = "azure-servicebus"
PROCESSES: Final = 10
"""At a time: the tests wait for most of their time."""
_SUBJECTS: Final = ("queues", "sb_client", "topic", "subscriptions")
FILES: Final = (
    *(f"test_{subject}.py" for subject in _SUBJECTS),
    *(f"async_tests/test_{subject}_async.py" for subject in _SUBJECTS),
    "test_message.py",
)
_WAITS: Final = "keep_conn_alive or resume_after_link_timeout"


def _sources(folder: Path) -> Path:
    """The unpacked source distribution, by way of pip."""
    name = f"{PACKAGE}-{version(PACKAGE)}"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
    what = ["--no-deps", "--no-binary", PACKAGE, f"{PACKAGE}=={version(PACKAGE)}"]
    subprocess.run([*pip, *what, "--dest", str(folder)], check=True)  # noqa: S603 - our own pip
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / name.replace("-", "_", 1)


def main() -> None:
    """Runs them all."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report"
        subprocess.run(  # noqa: S603 - our own interpreter
            [
                *(sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", ".", "--quiet"),
                *("--noconftest", "-p", "tests.interop.live_plugin", "-p", "no:cacheprovider"),
                *("-p", "no:randomly", f"--numprocesses={PROCESSES}", "--dist=worksteal"),
                *("-m", "liveTest", "-k", f"not ({_WAITS})", *FILES),
            ],
            cwd=_sources(Path(directory)) / "tests",
            env={**os.environ, "PYTHONPATH": str(ROOT), REPORT: str(report)},
            stdout=sys.stderr,
            check=False,  # what failed is in the report
        )
        for line in report.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            if "skipped" not in told:
                sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
