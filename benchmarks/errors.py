"""What may keep a benchmark from a number."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from localcloud.control import Counts

_TAIL_LINES: Final = 15


class RigError(Exception):
    """A benchmark could not be carried through.

    The crew's log goes with the run, so the error keeps its end.

    Attributes:
        log_tail: The log's last lines.
    """

    def __init__(self, problem: str, log: Path) -> None:
        self.log_tail = _tail(log)
        said = "\n".join(f"  {line}" for line in self.log_tail) or "  (nothing)"
        super().__init__(f"{problem}. The last lines of the crew's log:\n{said}")


class NotReachedError(RigError):
    """A condition was waited for, and did not come about.

    Attributes:
        what: The condition.
        within: For how many seconds it was waited for.
        seen: The queues at the end, for whoever looks for the reason.
    """

    def __init__(self, what: str, within: float, seen: Mapping[str, Counts], log: Path) -> None:
        super().__init__(f"Not within {within:g} s: {what}; at the end: {dict(seen)}", log)
        self.what = what
        self.within = within
        self.seen = seen


class SpoiledError(RigError):
    """Something failed on the way, so the numbers are not those of the work.

    Attributes:
        failures: How often what failed.
    """

    def __init__(self, failures: Mapping[str, int], log: Path) -> None:
        super().__init__(f"The run is spoiled by {dict(failures)}", log)
        self.failures = failures


def _tail(log: Path) -> tuple[str, ...]:
    try:
        return tuple(log.read_text("utf-8", errors="replace").splitlines()[-_TAIL_LINES:])
    except OSError as error:
        return (f"(the log can't be read: {error.strerror})",)
