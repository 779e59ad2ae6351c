"""The real compilers have nothing to say of infra/: Bicep's, where there is one, and Kusto's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.check import NO_COMPILER, find_bicep
from tests.support.deployments import INFRA

pytestmark = pytest.mark.integration

_SHARED = INFRA.parents[1] / "shared" / "tools" / "bicep"
_MISSING = 3
_SECONDS = 900


def _run(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the project's own scripts
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        env=os.environ | environment,
    )


def test_bicep_builds_lints_and_formats_everything_and_every_snapshot_is_current() -> None:
    """`make snapshots` makes snapshots anew after a change; they are reviewed with it."""
    bicep = find_bicep() or (str(_SHARED) if _SHARED.is_file() else None)
    if bicep is None:
        pytest.skip("there is no Bicep compiler: name one with BICEP, or run `az bicep install`")
    done = _run(INFRA / "check.py", BICEP=bicep)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_compiler_the_check_says_so(tmp_path: Path) -> None:
    """And fails, so that nobody takes it for a verdict."""
    done = _run(INFRA / "check.py", BICEP=str(tmp_path / "bicep"))
    assert done.returncode == NO_COMPILER
    assert "There is no Bicep compiler" in done.stderr


def test_kusto_parses_and_binds_every_query() -> None:
    """Of the files, of the alert rules and workbook as deployed, and of the documents."""
    done = _run(INFRA / "kusto" / "check.py")
    if done.returncode == _MISSING:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
