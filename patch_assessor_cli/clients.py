"""`patch-assessor`, as `pip install .` installs it: the commands are clients of a namespace."""

import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Final

import typer

COMMANDS: Final[Mapping[str, str]] = {
    "send": "patch_assessor_cli.send:send",
    "watch": "patch_assessor_cli.watch:watch",
    "posture": "patch_assessor_cli.posture:posture",
    "patches": "patch_assessor_cli.patches:patches",
    "dead-letters": "patch_assessor_cli.dead_letters:app",
    "console": "patch_assessor_console.command:console",
}
"""Each command by the name of what it is: to import all of them takes longer than most commands."""

_HELP = """Ask for patch assessments of Azure VMs, and follow what comes of them.

Each command goes to a Service Bus namespace by --namespace, with whichever identity
DefaultAzureCredential finds (`az login` is enough), by --connection-string to an emulator, or else
to the local cloud that `make up` runs in this directory.

Exit codes: 0 done, 1 it could not be done and a sentence on stderr says why, 2 wrong usage,
130 ended by Ctrl-C, 143 by SIGTERM.
"""


def make_app(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """Returns the command line with the commands of these names."""
    app = typer.Typer(
        name="patch-assessor",
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help folds paragraphs, and reads well in a pipe
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_nothing)  # one command alone would be taken for the whole command line
    for name in names:
        module, _, attribute = COMMANDS[name].partition(":")
        command = getattr(import_module(module), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _nothing() -> None:
    pass


def main() -> None:
    """Runs the command line; imports no command but the one that it names."""
    named = sys.argv[1:2]
    make_app(named if COMMANDS.keys() & set(named) else COMMANDS)()
