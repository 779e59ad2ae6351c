"""Who does the work: a function app in its host, or a program of its own.

Both are two processes: one receives and settles (the Functions host, or the program), the other
does the assessments (the language worker, or the program's). A function app is copied, so that its
host.json can be another one; its code is not changed.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from localcloud.cloud import LocalCloud
from localcloud.processes import Part, PartOptions, start_part

ROOT: Final = Path(__file__).resolve().parents[1]
APPS: Final = Path(__file__).with_name("apps")
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "TMPDIR")
_START_SECONDS: Final = 240.0
"""A host opens its receivers before it is ready: hundreds take a minute, more on a busy machine."""
_SETTLE_SECONDS: Final = 25.0
"""What a host may take to settle and to end its worker after the drain."""


@dataclass(frozen=True, slots=True)
class FunctionApp:
    """A function app.

    Attributes:
        directory: Where its function_app.py and host.json are.
        packages: The directories beside them that belong to it.
        calls: host.json's maxConcurrentCalls; None for what the app itself says.
        settings: App settings of its own.
    """

    directory: Path
    packages: tuple[str, ...] = ()
    calls: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def copy_to(self, place: Path) -> Path:
        """Copies the app with its changed host.json, and returns where it is now."""
        place.mkdir()
        for module in self.directory.glob("*.py"):  # function_app, and those that it imports
            shutil.copy(module, place)
        ignored = shutil.ignore_patterns("__pycache__")
        for package in self.packages:
            shutil.copytree(self.directory / package, place / package, ignore=ignored)
        config = json.loads((self.directory / "host.json").read_text())
        if self.calls is not None:
            calls = {"extensions": {"serviceBus": {"maxConcurrentCalls": self.calls}}}
            config = merged(config, calls)
        (place / "host.json").write_text(json.dumps(config))
        return place


@dataclass(frozen=True, slots=True)
class Program:
    """A module that is run, and says in its ready line which process is its `workerPid`.

    Attributes:
        module: The module.
        arguments: Its command line, but for `--exit-with-parent`.
        settings: App settings of its own.
    """

    module: str
    arguments: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


Crew = FunctionApp | Program


def assessor_app(root: Path = ROOT, calls: int | None = None) -> FunctionApp:
    """Returns this project's app.

    Args:
        root: Where it is.
        calls: host.json's maxConcurrentCalls; None for the app's own.
    """
    return FunctionApp(root, ("assessor", "handlers"), calls)


def sync_handler(calls: int | None = None) -> FunctionApp:
    """Returns the app that waits for the SDK's poller in a thread."""
    threads = {"PYTHON_THREADPOOL_THREAD_COUNT": "32"}
    return FunctionApp(APPS / "sync_handler", calls=calls, settings=threads)


def sdk_poller(calls: int | None = None) -> FunctionApp:
    """Returns the app that awaits the SDK's poller."""
    return FunctionApp(APPS / "sdk_poller", calls=calls)


async def start_crew(crew: Crew, cloud: LocalCloud, directory: Path, drain_seconds: float) -> Part:
    """Starts a crew with the app settings of the local cloud.

    Args:
        crew: Who is to work.
        cloud: Where.
        directory: Where a function app may be copied to.
        drain_seconds: How long a host may take for what is in flight when it is stopped.

    Returns:
        The crew's first process, ready; its ready line says more.

    Raises:
        PartError: It does not start.
    """
    if isinstance(crew, Program):
        module, arguments, patience = crew.module, crew.arguments, 0.0
    else:
        app, module, patience = crew.copy_to(directory / "app"), "localcloud.host", drain_seconds
        arguments = (f"--app={app}", f"--drain-seconds={drain_seconds:g}")
    inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return await start_part(
        PartOptions(
            name=module.rpartition(".")[2],
            module=module,
            arguments=(*arguments, "--exit-with-parent"),
            environment={**inherited, **cloud.app_settings},
            log=cloud.options.logs / "crew.log",
            start_seconds=_START_SECONDS,
            stop_seconds=patience + _SETTLE_SECONDS,
        )
    )


def merged(config: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a JSON object with another one's members: objects are merged, all else replaced."""
    both = dict(config)
    for name, value in change.items():
        old = both.get(name)
        inner = isinstance(old, Mapping) and isinstance(value, Mapping)
        both[name] = merged(old, value) if inner and old is not None else value
    return both
