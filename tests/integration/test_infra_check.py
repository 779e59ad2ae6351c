"""infra/check.py without a compiler. What the compilers say of infra/ is `make check-infra`'s."""

import os
import subprocess
import sys
from pathlib import Path

from infra.check import NO_COMPILER
from tests.support.deployments import INFRA


def test_without_a_compiler_the_check_says_so(tmp_path: Path) -> None:
    """And fails, so that nobody takes it for a verdict."""
    done = subprocess.run(  # noqa: S603 - the project's own script
        [sys.executable, str(INFRA / "check.py")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"BICEP": str(tmp_path / "bicep")},
    )
    assert done.returncode == NO_COMPILER
    assert "There is no Bicep compiler" in done.stderr
