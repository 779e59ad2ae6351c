"""`python -m commands`: the entry point of all commands."""

import typer

from commands.run import run

app = typer.Typer(
    name="patch-assessor",
    help="Patch assessments for Azure VMs: a demo, a local cloud, and clients of the app.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
