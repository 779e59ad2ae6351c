"""`patch-assessor`, as `pip install .` installs it: the commands are clients of a namespace."""

from importlib import import_module

import typer

from patch_assessor_cli.dead_letters import app as dead_letters
from patch_assessor_cli.patches import patches
from patch_assessor_cli.posture import posture
from patch_assessor_cli.send import send
from patch_assessor_cli.watch import watch

_HELP = """Ask for patch assessments of Azure VMs, and follow what comes of them.

Each command goes to a Service Bus namespace by --namespace, with whichever identity
DefaultAzureCredential finds (`az login` is enough), by --connection-string to an emulator, or else
to the local cloud that `make up` runs in this directory.

Exit codes: 0 done, 1 it could not be done and a sentence on stderr says why, 2 wrong usage,
130 ended by Ctrl-C, 143 by SIGTERM.
"""


def make_app() -> typer.Typer:
    """Returns the command line."""
    app = typer.Typer(
        name="patch-assessor",
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help folds paragraphs, and reads well in a pipe
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command()(send)
    app.command()(watch)
    app.command()(posture)
    app.command()(patches)
    app.add_typer(dead_letters, name="dead-letters")
    # By name: the console is made of these clients' readers, and not they of the console's.
    app.command()(import_module("patch_assessor_console.command").console)
    return app


def main() -> None:
    """Runs the command line."""
    make_app()()
