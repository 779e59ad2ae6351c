"""Shows how far the demo is: a table that changes on a terminal, plain lines everywhere else."""

from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo.waiting import Waiting

_PLAIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How far the demo is.

    Attributes:
        seconds: Since the requests were sent.
        requested: Outcomes that have to come.
        waiting: Where the rest is.
        outcomes: How many came, by type.
        alerts: How many alerts fired and resolved.
    """

    seconds: float
    requested: int
    waiting: Waiting
    outcomes: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)

    def parts(self) -> list[tuple[str, str]]:
        """Returns what to show, each with its name."""
        waiting = self.waiting
        shown = [
            ("requested", str(self.requested)),
            ("queued", str(waiting.queued)),
            ("held by a function", str(waiting.held)),
            ("waiting for the next look", str(waiting.in_progress)),
            ("outcomes", f"{self.outcomes.total()} of {self.requested}"),
            *((f"  {name}", str(count)) for name, count in sorted(self.outcomes.items())),
            *(
                (f"alerts {name.lower()}", str(count))
                for name, count in sorted(self.alerts.items())
            ),
        ]
        return [*shown, ("dead letters", str(waiting.dead))] if waiting.dead else shown


class Display(Protocol):
    """Shows snapshots while its context lasts."""

    def __enter__(self) -> Self:
        """Begins."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends; what was shown last stays."""
        ...

    def show(self, snapshot: Snapshot) -> None:
        """Shows how far it is now."""
        ...


def make_display(console: Console) -> Display:
    """Returns the display that fits the console."""
    return _LiveDisplay(console) if console.is_terminal else _PlainDisplay(console)


class _LiveDisplay(AbstractContextManager["_LiveDisplay"]):
    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, traceback)

    def show(self, snapshot: Snapshot) -> None:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold")
        table.add_column(justify="right")
        for name, text in snapshot.parts():
            table.add_row(name, text)
        table.add_row("seconds", f"{snapshot.seconds:.0f}")
        self._live.update(table)


class _PlainDisplay(AbstractContextManager["_PlainDisplay"]):
    """One line every few seconds, and only when something has changed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: Snapshot | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def show(self, snapshot: Snapshot) -> None:
        last = self._last
        if last is not None and (
            snapshot.seconds - last.seconds < _PLAIN_SECONDS or snapshot.parts() == last.parts()
        ):
            return
        self._last = snapshot
        told = ", ".join(f"{name.strip()} {text}" for name, text in snapshot.parts())
        self._console.print(f"{snapshot.seconds:5.1f} s  {told}", soft_wrap=True)
