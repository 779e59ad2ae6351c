"""`python -m patch_assessor_console`: the console alone."""

import typer

from patch_assessor_console.command import console

if __name__ == "__main__":
    typer.run(console)
