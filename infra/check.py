"""Checks infra/ with the Bicep compiler: `python infra/check.py`; `--write` makes new snapshots.

Every file must build, and pass the linter and the formatter, without a word. A snapshot beside
each parameter file in golden/ shows what that deployment asks of ARM; it must be what the templates
make.

The compiler is what BICEP names, or `bicep` on the path, or the one that `az bicep install` has put
into ~/.azure/bin. Where there is none, this says so and ends with 3.
"""
# ruff: noqa: INP001, T201 - a script beside what it checks, which prints

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

INFRA = Path(__file__).resolve().parent
GOLDEN = INFRA / "golden"
NO_COMPILER = 3
_SCOPE = (
    *("--tenant-id", "22222222-2222-2222-2222-222222222222"),
    *("--location", "westeurope"),
)
_SUBSCRIPTION = ("--subscription-id", "11111111-1111-1111-1111-111111111111")
_MANAGEMENT_GROUP = ("--management-group-id", "corp")
_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_SECONDS = 300


def find_bicep() -> str | None:
    """Returns the compiler's path; None where there is none."""
    named = os.environ.get("BICEP", "").strip()
    if named:
        return shutil.which(named)
    return shutil.which("bicep") or shutil.which("bicep", path=str(Path.home() / ".azure" / "bin"))


def templates() -> list[Path]:
    """Returns every Bicep file."""
    return sorted(INFRA.rglob("*.bicep"))


def parameter_files() -> list[Path]:
    """Returns the golden deployments' parameter files."""
    return sorted(GOLDEN.glob("*.bicepparam"))


def problems(bicep: str) -> Iterator[str]:
    """Yields what the compiler says of any file, one text for each time that it speaks."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield from filter(None, pool.map(lambda path: _validated(bicep, path), parameter_files()))
    yield from _unformatted(bicep)


def write_snapshots(bicep: str) -> None:
    """Makes every snapshot anew, in an order that does not change from run to run.

    Raises:
        subprocess.CalledProcessError: the compiler refuses a file.
    """
    for path in parameter_files():
        subprocess.run(  # noqa: S603 - the compiler that was asked for
            [bicep, *snapshot_command(path, "overwrite")], check=True, timeout=_SECONDS
        )
        snapshot = path.with_suffix(".snapshot.json")
        content = json.loads(snapshot.read_text(encoding="utf-8"))
        content["outputs"] = dict(sorted(content.get("outputs", {}).items()))
        text = json.dumps(content, indent=2, ensure_ascii=False)
        snapshot.write_text(f"{text}\n", encoding="utf-8")


def write_templates(folder: Path) -> None:
    """Writes each golden deployment as a plain ARM template, for tools that read nothing newer.

    Conditions, loops, modules and parameters are worked out already, as its snapshot has them.

    Raises:
        OSError: a file can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in parameter_files():
        snapshot = path.with_suffix(".snapshot.json").read_text(encoding="utf-8")
        template = {
            "$schema": _SCHEMA,
            "contentVersion": "1.0.0.0",
            "resources": json.loads(snapshot)["predictedResources"],
        }
        text = json.dumps(template, indent=2, ensure_ascii=False)
        (folder / f"{path.stem}.json").write_text(f"{text}\n", encoding="utf-8")


def snapshot_command(path: Path, mode: str) -> tuple[str, ...]:
    """Returns the compiler's arguments that make or validate the snapshot of a parameter file."""
    template = path.read_text(encoding="utf-8").partition("using '")[2].partition("'")[0]
    scope = (path.parent / template).read_text(encoding="utf-8")
    is_group = "targetScope = 'managementGroup'" in scope
    return (
        *("snapshot", str(path), "--mode", mode),
        *(_MANAGEMENT_GROUP if is_group else _SUBSCRIPTION),
        *_SCOPE,
    )


def _validated(bicep: str, path: Path) -> str | None:
    """Builds and lints a parameter file and its templates, and compares its snapshot, in one go."""
    done = _run(bicep, *snapshot_command(path, "validate"))
    said = f"{done.stdout}{done.stderr}".strip()
    if done.returncode == 0 and not said:
        return None
    return f"{path.relative_to(INFRA)}: {said}\n(`make snapshots` makes snapshots anew.)"


def _unformatted(bicep: str) -> Iterator[str]:
    """Formats a copy, in one go for each kind of file, and compares."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "infra"
        shutil.copytree(INFRA, copy, ignore=shutil.ignore_patterns("hooks", "kql", "kusto"))
        for kind, files in (("bicep", templates()), ("bicepparam", parameter_files())):
            done = _run(bicep, "format", "--pattern", f"{copy}/**/*.{kind}")
            if done.returncode or done.stderr.strip():
                yield f"bicep format: {done.stdout}{done.stderr}"
            for path in files:
                name = path.relative_to(INFRA)
                if (copy / name).read_bytes() != path.read_bytes():
                    yield f"`bicep format` would change {name}."


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the compiler that was asked for
        command, capture_output=True, text=True, check=False, timeout=_SECONDS
    )


def main() -> int:
    """Checks, or writes; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="make the snapshots anew")
    parser.add_argument("--templates", metavar="FOLDER", help="write them as ARM templates")
    arguments = parser.parse_args()
    if arguments.templates:
        write_templates(Path(arguments.templates))
        return 0
    bicep = find_bicep()
    if bicep is None:
        print(
            "There is no Bicep compiler: name one with BICEP, put it on the path, or run "
            "`az bicep install`. What it would say of infra/ is not known.",
            file=sys.stderr,
        )
        return NO_COMPILER
    if arguments.write:
        write_snapshots(bicep)
    found = list(problems(bicep))
    print("\n".join(found), end="\n" if found else "")
    print(f"{len(templates())} templates, {len(parameter_files())} deployments: ", end="")
    print(f"{len(found)} problems" if found else "nothing to say")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
