"""`python -m patch_assessor_cli`: the clients, and the commands that start a local cloud."""

from patch_assessor_cli.clients import make_app
from patch_assessor_cli.run import run
from patch_assessor_cli.up import up

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
