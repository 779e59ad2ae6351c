"""A bar for what takes long, on stderr and only for people."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class Advance(Protocol):
    """Moves a bar on."""

    def __call__(self, number: int = 1) -> None:
        """Counts so many more as done."""


@contextmanager
def progress_bar(what: str, total: int | None = None) -> Iterator[Advance]:
    """Shows a bar while the `with` lasts, if stderr is a terminal.

    Args:
        what: What is counted, for people.
        total: How many there will be; None if nobody knows.

    Yields:
        What to call after each one, or with how many were done.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(what, total=total)

        def advance(number: int = 1) -> None:
            progress.advance(task, number)

        yield advance
