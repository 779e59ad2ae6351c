"""What a process has used so far, read from Linux's /proc: CPU time, and memory with its peak.

Children are not counted: each process of a benchmark is read by itself. CPU time comes in the
kernel's clock ticks, 10 ms, so a difference is worth something from about a second on.
Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_clear_refs(5).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12
"""utime and stime, counted from the field after the command's name."""
_RESET_PEAK: Final = "5"
_SIZE: Final = re.compile(r"^(VmRSS|VmHWM):\s+(\d+) kB$", re.MULTILINE)
_KIB_PER_MIB: Final = 1024


class UsageError(Exception):
    """What a process used can't be told.

    Attributes:
        pid: The process.
        problem: Why, as the end of a sentence that begins with the process.
    """

    def __init__(self, pid: int, problem: str) -> None:
        super().__init__(f"process {pid} {problem}")
        self.pid = pid
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time, of all threads that a process has or had.

    Attributes:
        user: Seconds in the process's own code.
        system: Seconds in the kernel on its behalf.
    """

    user: float
    system: float

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.user + self.system

    def __sub__(self, before: "Cpu") -> "Cpu":
        """Returns what was used since `before`."""
        return Cpu(self.user - before.user, self.system - before.system)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory.

    Attributes:
        rss_mib: Now.
        peak_rss_mib: The most since the process began, or since `reset_peak`.
    """

    rss_mib: float
    peak_rss_mib: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used by now."""

    cpu: Cpu
    memory: Memory


def read_usage(pid: int, proc: Path = _PROC) -> Usage:
    """Returns what a process has used.

    Args:
        pid: The process.
        proc: Where the proc file system is.

    Raises:
        UsageError: There is no such process, or it has ended.
    """
    directory = proc / str(pid)
    try:
        stat, status = (directory / "stat").read_text(), (directory / "status").read_text()
    except OSError as error:
        raise UsageError(pid, "is gone") from error
    try:
        return Usage(parse_cpu(stat, _TICKS_PER_SECOND), parse_memory(status))
    except (IndexError, KeyError, ValueError) as error:  # a zombie has no memory any more
        raise UsageError(pid, "has ended") from error


def reset_peak(pid: int, proc: Path = _PROC) -> None:
    """Makes the present resident memory the peak, so that the next phase's own can be read.

    Raises:
        UsageError: There is no such process, or it is somebody else's.
    """
    try:
        (proc / str(pid) / "clear_refs").write_text(_RESET_PEAK)
    except OSError as error:
        raise UsageError(pid, f"keeps its peak: {error.strerror}") from error


def parse_cpu(stat: str, ticks_per_second: int) -> Cpu:
    """Returns the CPU time in a stat file's text.

    Raises:
        IndexError, ValueError: It is no such text.
    """
    # The command's name is in parentheses and may itself have blanks and parentheses in it.
    fields = stat.rpartition(")")[2].split()
    return Cpu(int(fields[_USER]) / ticks_per_second, int(fields[_SYSTEM]) / ticks_per_second)


def parse_memory(status: str) -> Memory:
    """Returns the resident memory in a status file's text.

    Raises:
        KeyError: It has none, as that of a process that has ended.
    """
    kib: Mapping[str, int] = {name: int(size) for name, size in _SIZE.findall(status)}
    return Memory(kib["VmRSS"] / _KIB_PER_MIB, kib["VmHWM"] / _KIB_PER_MIB)
