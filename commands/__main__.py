"""`python -m commands`: the clients, and the commands that start a local cloud."""

from commands.clients import make_app
from commands.run import run
from commands.up import up

_HELP = """Patch assessments for Azure VMs: a demo, a local cloud, and clients of the app.

The clients go to the local cloud that `up` runs here, or to any namespace.

Exit codes: 0 done, 1 it could not be done and a sentence on stderr says why, 2 wrong usage,
130 ended by Ctrl-C, 143 by SIGTERM.
"""

app = make_app(_HELP)
app.command()(run)
app.command()(up)


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
