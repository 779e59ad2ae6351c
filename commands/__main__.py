"""`python -m commands`: the entry point of all commands."""

import typer

from commands.dead_letters import app as dead_letters
from commands.posture import posture
from commands.run import run
from commands.send import send
from commands.up import up
from commands.watch import watch

app = typer.Typer(
    name="patch-assessor",
    help="Patch assessments for Azure VMs: a demo, a local cloud, and clients of the app.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(up)
app.command()(send)
app.command()(watch)
app.command()(posture)
app.add_typer(dead_letters, name="dead-letters")


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
