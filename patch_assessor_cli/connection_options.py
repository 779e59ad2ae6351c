"""The options of the commands that are clients of a namespace."""

from typing import Annotated

import typer

ConnectionString = Annotated[
    str | None,
    typer.Option(
        envvar="ServiceBus",
        show_envvar=True,
        help="Where to go, for the emulator and for tests; a running `up` by default.",
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        envvar="ServiceBus__fullyQualifiedNamespace",
        metavar="HOST",
        help="A namespace, as example.servicebus.windows.net; with whichever identity "
        "DefaultAzureCredential finds.",
    ),
]
