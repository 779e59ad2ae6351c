"""The console that the commands print tables to."""

from rich.console import Console

_PLAIN_WIDTH = 220


def make_console(*, is_terminal: bool) -> Console:
    """Returns a console for stdout.

    Args:
        is_terminal: Whether somebody watches; else there are no control codes and no folding.
    """
    if is_terminal:
        return Console(markup=False, emoji=False, highlight=False)
    return Console(
        force_terminal=False,
        no_color=True,
        markup=False,  # what is shown was written by others
        emoji=False,
        highlight=False,
        width=_PLAIN_WIDTH,
    )
