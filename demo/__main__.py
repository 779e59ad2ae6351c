"""`python -m demo`: the commands that start a local cloud with the app on it."""

import typer

from demo.run import run
from demo.up import up

_HELP = """The app at work on a local cloud, on this machine and without Azure.

Exit codes: 0 done, 1 it could not be done and a sentence on stderr says why, 2 wrong usage,
130 ended by Ctrl-C, 143 by SIGTERM.
"""

app = typer.Typer(
    name="demo",
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help folds paragraphs, and reads well in a pipe
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(up)


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
