"""Cold start: what a worker does before it can take a message, which is to import the app.

The app is held against the libraries that it can't do without, imported alone: what is above them
is its own. Each import is measured in a fresh process, in turns, so that what else the machine does
meets both. Bytecode is there beforehand, as in a deployed package. Left out: the start of the host
and of the interpreter, which no app decides.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

from benchmarks.readings import Reading, Readings, Verdict

FIGURE: Final = "coldstart"
SIZE: Final = 1
"""One worker."""
WAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "app": ("function_app",),
    "sdk": (
        "azure.functions",
        "azure.identity.aio",
        "azure.mgmt.compute.aio",
        "azure.servicebus.aio",
        "azure.data.tables.aio",
        "opentelemetry.sdk.trace",
        "opentelemetry.sdk.metrics",
        "opentelemetry.sdk._logs",
        "pydantic.main",
        "pydantic.dataclasses",
        "pydantic.type_adapter",
        "cloudevents.core.bindings.amqp",
        "aiohttp",
    ),
}
"""What each way imports. Of pydantic what the app uses: `import pydantic` alone imports nothing."""
PAIRS: Final = 15
"""On a busy machine one import takes a third more than another: a few pairs tell no ratio."""
CPU_RATIO: Final = 1.25
"""The most CPU time that the app's import may take, over that of the libraries."""
PEAK_RSS_MIB: Final = 120.0
"""The memory that the app's import has to stay under."""

_ROOT: Final = Path(__file__).resolve().parents[2]
_LIMIT_SECONDS: Final = 120.0
_SAID_CHARACTERS: Final = 1000
_ENVIRONMENT: Final = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "ServiceBus": (
        "Endpoint=sb://127.0.0.1;SharedAccessKeyName=RootManageSharedAccessKey;"
        "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
    ),
}
"""All of it. The app connects to nothing before the first message."""
_IMPORTER: Final = """
import importlib, resource, sys, time
start, clock = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
for name in sys.argv[1:]:
    importlib.import_module(name)
wall, end = time.perf_counter() - clock, resource.getrusage(resource.RUSAGE_SELF)
loaded = dict(sys.modules)
with open("/proc/self/status") as status:
    [peak] = [line.split()[1] for line in status if line.startswith("VmHWM:")]
import json
json.dump(
    {
        "cpu_seconds": end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime,
        "wall_seconds": wall,
        "peak_rss_kib": int(peak),
        "modules": len(loaded),
        "files": [getattr(module, "__file__", None) for module in loaded.values()],
    },
    sys.stdout,
)
"""
"""Imports modules and says what that took.

The peak is that of the memory map, which begins anew with the program: `ru_maxrss` also has in it
what the process that started this one had resident.
"""


class ColdStartError(Exception):
    """A process that should import modules failed, or took too long.

    Attributes:
        way: Which of `WAYS`.
        problem: What happened.
        said: The end of what it wrote to stderr.
    """

    def __init__(self, way: str, problem: str, said: str) -> None:
        self.way = way
        self.problem = problem
        self.said = said.strip()[-_SAID_CHARACTERS:]
        super().__init__(f"the import of {way} {problem}: {self.said or '(nothing said)'}")


@dataclass(frozen=True, slots=True)
class Import:
    """What one import took.

    Attributes:
        cpu_ms: User and system time.
        wall_ms: How long it took.
        peak_rss_mib: The most memory that the process had resident, the interpreter's included.
        modules: How many modules there are afterwards.
        files: Where they come from.
    """

    cpu_ms: float
    wall_ms: float
    peak_rss_mib: float
    modules: int
    files: frozenset[str]

    @classmethod
    def of(cls, printed: Mapping[str, Any]) -> Self:
        """Returns what the process of an import printed."""
        return cls(
            cpu_ms=1000 * float(printed["cpu_seconds"]),
            wall_ms=1000 * float(printed["wall_seconds"]),
            peak_rss_mib=float(printed["peak_rss_kib"]) / 1024,
            modules=int(printed["modules"]),
            files=frozenset(file for file in printed["files"] if file),
        )


async def measure(pairs: int = PAIRS) -> list[Reading]:
    """Imports the app and the libraries in turns.

    Args:
        pairs: How many times each.

    Returns:
        The medians, and what the app imports beyond the libraries.

    Raises:
        ColdStartError: An import failed, or took too long.
    """
    imports: dict[str, list[Import]] = {way: [] for way in WAYS}
    for way in WAYS:
        await _import(way)  # leaves the bytecode
    for _ in range(pairs):
        for way, done in imports.items():
            done.append(await _import(way))
    return readings(imports, _owners())


async def imported_beyond() -> list[str]:
    """Returns the packages that the app imports beyond the libraries that it can't do without.

    Raises:
        ColdStartError: An import failed, or took too long.
    """
    app, sdk = [await _import(way) for way in ("app", "sdk")]
    return beyond(app, sdk, _owners())


def readings(imports: Mapping[str, list[Import]], owners: Mapping[str, str]) -> list[Reading]:
    """Returns the readings of some imports, at least one each way.

    Args:
        imports: What they took.
        owners: The installed files, and the package of each.
    """
    found = [
        Reading(FIGURE, way, SIZE, name, median(values), _spread(values))
        for way, done in imports.items()
        for name, values in _numbers(done).items()
    ]
    more = beyond(imports["app"][-1], imports["sdk"][-1], owners)
    return [*found, Reading(FIGURE, "app", SIZE, "packages_beyond", len(more), ", ".join(more))]


def beyond(app: Import, sdk: Import, owners: Mapping[str, str]) -> list[str]:
    """Returns the packages that one import takes modules from and the other does not.

    Files without an owner are the interpreter's, and the app's own.
    """
    ours, theirs = ({owners[file] for file in each.files if file in owners} for each in (app, sdk))
    return sorted(ours - theirs)


def judge(readings: Readings) -> list[Verdict]:
    """Holds the app's import against the libraries', and its memory against a limit.

    Raises:
        MissingReadingError: A reading is missing.
    """
    cpu, cpu_sdk, peak = (
        readings.value(FIGURE, way, SIZE, name)
        for way, name in (
            ("app", "import_cpu_ms"),
            ("sdk", "import_cpu_ms"),
            ("app", "peak_rss_mib"),
        )
    )
    return [
        Verdict(
            FIGURE,
            f"importing the app takes at most {CPU_RATIO:g} times the CPU of its SDKs alone",
            f"{cpu / cpu_sdk:.2f} times ({cpu:.0f} ms, {cpu_sdk:.0f} ms)",
            met=cpu <= CPU_RATIO * cpu_sdk,
            size=SIZE,
        ),
        Verdict(
            FIGURE,
            f"the imported app has less than {PEAK_RSS_MIB:g} MiB resident at its peak",
            f"{peak:.1f} MiB",
            met=peak < PEAK_RSS_MIB,
            size=SIZE,
        ),
    ]


def _owners() -> dict[str, str]:
    return {
        str(package.locate_file(file)): package.name
        for package in distributions()
        for file in package.files or ()
    }


def _numbers(imports: list[Import]) -> dict[str, list[float]]:
    return {
        "import_cpu_ms": [each.cpu_ms for each in imports],
        "import_ms": [each.wall_ms for each in imports],
        "peak_rss_mib": [each.peak_rss_mib for each in imports],
        "modules": [float(each.modules) for each in imports],
    }


def _spread(values: list[float]) -> str:
    return f"median of {len(values)}, from {min(values):.0f} to {max(values):.0f}"


async def _import(way: str) -> Import:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _IMPORTER, *WAYS[way]),
        cwd=_ROOT,
        env=_ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            printed, said = await process.communicate()
    except TimeoutError as error:
        raise ColdStartError(way, f"took longer than {_LIMIT_SECONDS:g} s", "") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        problem = f"ended with exit code {process.returncode}"
        raise ColdStartError(way, problem, said.decode(errors="replace"))
    return Import.of(json.loads(printed))
