"""Makes the zip that is deployed: `python infra/package.py app.zip`.

It holds what .funcignore leaves, as `azd deploy` and Core Tools read that file: by .gitignore's
rules. Libraries are not in it: Azure installs requirements.txt when the zip is deployed with a
remote build.
"""
# ruff: noqa: INP001 - a script beside what it deploys, not a package

import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

_ROOT = Path(__file__).resolve().parents[1]
_EPOCH = (1980, 1, 1, 0, 0, 0)


def shipped_files(root: Path) -> list[Path]:
    """Returns the files that .funcignore leaves, relative to `root`, in order.

    Raises:
        OSError: there is no .funcignore, or something can't be read.
    """
    ignored = GitIgnoreSpec.from_lines((root / ".funcignore").read_text().splitlines())
    return sorted(_files(root, root, ignored))


def write_package(root: Path, target: Path) -> None:
    """Writes the zip; the same files make the same bytes.

    Raises:
        OSError: something can't be read or written.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for path in shipped_files(root):
            entry = zipfile.ZipInfo(path.as_posix(), _EPOCH)
            entry.external_attr = 0o644 << 16
            package.writestr(entry, (root / path).read_bytes(), zipfile.ZIP_DEFLATED)


def _files(root: Path, folder: Path, ignored: GitIgnoreSpec) -> Iterator[Path]:
    for entry in os.scandir(folder):
        path = Path(entry.path).relative_to(root)
        is_folder = entry.is_dir(follow_symlinks=False)
        if ignored.match_file(f"{path.as_posix()}/" if is_folder else path.as_posix()):
            continue
        if is_folder:
            yield from _files(root, Path(entry.path), ignored)
        else:
            yield path


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the script and the zip
        sys.exit("usage: python infra/package.py app.zip")
    write_package(_ROOT, Path(sys.argv[1]))
