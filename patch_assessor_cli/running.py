"""Runs a command's coroutine: signals end it in order, errors become sentences and exit codes."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

import typer
from azure.core.exceptions import AzureError

from patch_assessor_cli.errors import CommandError, ExitCode
from plain_text import one_line


def run(main: Coroutine[Any, Any, ExitCode]) -> NoReturn:
    """Runs `main` to its end and leaves the command.

    SIGINT and SIGTERM cancel it, so that what it opened is closed. Bugs pass through.

    Raises:
        typer.Exit: Always, with the exit code.
    """
    raise typer.Exit(_exit_code(main))


def _exit_code(main: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    try:
        return asyncio.run(_until_sigterm(main))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except asyncio.CancelledError:
        return ExitCode.TERMINATED
    except CommandError as error:
        sys.stderr.write(f"{one_line(error.sentence)}\n")
        return error.exit_code
    except AzureError as error:
        sdk_says = one_line(f"{type(error).__name__}: {error.message}")
        sys.stderr.write(f"Azure's SDK gave up with {sdk_says}\n")
    return ExitCode.FAILED


async def _until_sigterm(main: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    task = asyncio.create_task(main)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
