"""What a process has used so far, read from Linux's /proc: CPU time, and its most memory.

Children are not counted: each process of a benchmark is read by itself. CPU time comes in the
kernel's clock ticks, 10 ms, so a difference is worth something from about a second on.
Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_clear_refs(5).
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12
"""utime and stime, counted from the field after the command's name."""
_RESET_PEAK: Final = "5"
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_KIB_PER_MIB: Final = 1024


class UsageError(Exception):
    """What a process used can't be told.

    Attributes:
        pid: The process.
    """

    def __init__(self, pid: int, problem: str) -> None:
        super().__init__(f"process {pid} {problem}")
        self.pid = pid


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used by now.

    Attributes:
        cpu_seconds: Of all threads that it has or had, in its own code and in the kernel for it.
        peak_rss_mib: The most resident memory since it began, or since `reset_peak`.
    """

    cpu_seconds: float
    peak_rss_mib: float


def read_usage(pid: int, proc: Path = _PROC) -> Usage:
    """Returns what a process has used; `proc` is where the proc file system is.

    Raises:
        UsageError: There is no such process, or it has ended.
    """
    directory = proc / str(pid)
    try:
        stat, status = (directory / "stat").read_text(), (directory / "status").read_text()
    except OSError as error:
        raise UsageError(pid, "is gone") from error
    peak = _PEAK.search(status)
    if peak is None:  # a zombie has no memory any more
        raise UsageError(pid, "has ended")
    # The command's name is in parentheses and may itself have blanks and parentheses in it.
    fields = stat.rpartition(")")[2].split()
    ticks = int(fields[_USER]) + int(fields[_SYSTEM])
    return Usage(ticks / _TICKS_PER_SECOND, int(peak[1]) / _KIB_PER_MIB)


def reset_peak(pid: int, proc: Path = _PROC) -> None:
    """Makes the present resident memory the peak, so that what follows can be read by itself.

    Raises:
        UsageError: There is no such process, or it is somebody else's.
    """
    try:
        (proc / str(pid) / "clear_refs").write_text(_RESET_PEAK)
    except OSError as error:
        raise UsageError(pid, f"keeps its peak: {error.strerror}") from error
