"""What a hook has of azd: the environment's values, commands to call, and how to end.

azd runs a hook in this folder, with the environment's values as environment variables, in the first
Python that it finds: so the hooks are written for 3.9 and later, and need no library.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TRUE = frozenset({"true", "1", "yes"})
T = TypeVar("T")


class HookError(Exception):
    """A hook can't do what it is for; the message says what to do about it.

    ├── CommandError  a command failed
    └── ArmError      Azure Resource Manager refused (hook_arm)
    """


class CommandError(HookError):
    """A command that a hook called failed, or is not there.

    Attributes:
        command: the command, without the values that it was given.
        output: what it said.
    """

    def __init__(self, command: str, output: str) -> None:
        super().__init__(f"`{command}` failed: {output.strip() or 'it said nothing'}")
        self.command = command
        self.output = output


def value(values: Mapping[str, str], name: str) -> str:
    """Returns a value of the azd environment.

    Raises:
        HookError: it is not set.
    """
    text = values.get(name, "").strip()
    if not text:
        raise HookError(
            f"{name} is not set. azd sets it; a hook that is run by itself needs "
            f"`azd hooks run` in place of Python."
        )
    return text


def is_true(values: Mapping[str, str], name: str) -> bool:
    """Returns whether a value of the azd environment says yes."""
    return values.get(name, "").strip().lower() in _TRUE


def seconds(values: Mapping[str, str], name: str, default: float) -> float:
    """Returns a number of seconds that the azd environment may set.

    Raises:
        HookError: it is set, and is no such number.
    """
    text = values.get(name, "").strip()
    try:
        number = float(text) if text else default
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise HookError(f"{name} must be a number of seconds; it is {text!r}.")
    return number


def call(*command: str) -> str:
    """Calls a command and returns what it printed.

    Raises:
        CommandError: it is not on the PATH, or ended with another exit code than 0.
    """
    shown = " ".join(command[:3])
    program = shutil.which(command[0])
    if program is None:
        raise CommandError(shown, f"{command[0]} is not on the PATH")
    done = subprocess.run(  # noqa: S603 - the hooks' own commands; no shell
        [program, *command[1:]],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CommandError(shown, done.stderr or done.stdout)
    return done.stdout


def follow(*command: str) -> None:
    """Calls a command whose output the user sees as it comes.

    Raises:
        CommandError: it is not on the PATH, or ended with another exit code than 0.
    """
    shown = " ".join(command[:3])
    program = shutil.which(command[0])
    if program is None:
        raise CommandError(shown, f"{command[0]} is not on the PATH")
    sys.stdout.flush()
    code = subprocess.run([program, *command[1:]], check=False).returncode  # noqa: S603 - see above
    if code != 0:
        raise CommandError(shown, f"exit code {code}")


def set_value(environment: str, name: str, text: str) -> None:
    """Sets a value in the azd environment of that name; raises CommandError."""
    call("azd", "env", "set", name, text, "--environment", environment)


def wait_for(ask: Callable[[], T | None], within: float, every: float) -> T | None:
    """Asks again and again, at least once; returns the first answer, None where there is none.

    Args:
        ask: returns None for "not yet".
        within: seconds after which it gives up.
        every: seconds between two questions.
    """
    end = time.monotonic() + within
    while True:
        answer = ask()
        left = end - time.monotonic()
        if answer is not None or left <= 0:
            return answer
        time.sleep(min(every, left))


def say(text: str) -> None:
    """Tells the user something."""
    print(text, flush=True)


def run(hook: Callable[[Mapping[str, str]], None]) -> None:
    """Runs a hook on azd's values; says what is wrong and ends with 1 where it can't be done."""
    for stream in (sys.stdout, sys.stderr):  # a console of Windows has another encoding
        stream.reconfigure(errors="replace")  # type: ignore[union-attr] # both are text files here
    try:
        hook(os.environ)
    except HookError as error:
        sys.exit(f"ERROR: {error}")
