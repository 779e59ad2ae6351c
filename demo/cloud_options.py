"""The options of the commands that start a local cloud, and the start."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from localcloud.cloud import CloudOptions, LocalCloud
from localcloud.control import ControlError
from localcloud.processes import PartError
from patch_assessor_cli.errors import CommandError
from patch_assessor_cli.local import DIRECTORY

Vms = Annotated[
    int, typer.Option(min=0, help="VMs in the fleet, besides two recorded ones and missing ones.")
]
Seed = Annotated[int, typer.Option(help="Makes the same fleet again.")]
TimeScale = Annotated[
    float,
    typer.Option(
        min=1, help="How many times faster than real assessments run; a real one takes minutes."
    ),
]
Workers = Annotated[int, typer.Option(min=1, help="Hosts that run the app, each with one worker.")]
Logs = Annotated[
    Path, typer.Option(file_okay=False, help="The directory for the parts' log files.")
]
Setting = Annotated[
    list[str] | None,
    typer.Option(
        "--setting", metavar="NAME=VALUE", help="An app setting; may be given several times."
    ),
]
DEFAULT_LOGS = DIRECTORY / "logs"
_EXPECTED_MINUTES = 4.8
"""What a real VM of unknown system is taken to need: the middle between Linux and Windows, so that
neither waits long for its first poll."""


def make_options(  # noqa: PLR0913 - one for each command line option
    *,
    vms: int,
    seed: int,
    time_scale: float,
    workers: int,
    logs: Path,
    settings: Sequence[str] | None,
) -> CloudOptions:
    """Returns what the command line asks for.

    Raises:
        typer.BadParameter: A setting is not NAME=VALUE.
    """
    pairs = [text.partition("=") for text in settings or ()]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise typer.BadParameter(f"{name!r} is not NAME=VALUE.", param_hint="--setting")
    # What the app knows of operating systems by itself is in real time.
    expected = "" if time_scale == 1 else f"{_EXPECTED_MINUTES / time_scale:g}"
    return CloudOptions(
        logs=logs.absolute(),
        vms=vms,
        seed=seed,
        time_scale=time_scale,
        hosts=workers,
        settings={
            "ASSESS_EXPECTED_MINUTES": expected,
            **{name: value for name, _, value in pairs},
        },
    )


@asynccontextmanager
async def start(options: CloudOptions) -> AsyncIterator[LocalCloud]:
    """Yields a running local cloud.

    Raises:
        CommandError: A part of it does not start, ends by itself, or does not answer.
    """
    try:
        async with LocalCloud(options) as cloud:
            yield cloud
    except (PartError, ControlError) as error:
        raise CommandError(str(error)) from error
