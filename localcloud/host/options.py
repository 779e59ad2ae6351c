"""How to run the host."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.host.bindings import Function, OtherTrigger
from localcloud.host.invocations import Invocations
from localcloud.host.ports import Listener
from localcloud.host.settings import AppSettings
from localcloud.host.supervisor import RestartPolicy
from plain_text import one_line


def _write_line(line: str) -> None:
    sys.stderr.write(f"{one_line(line)}\n")
    sys.stderr.flush()


ListenerFactory = Callable[[Function, OtherTrigger, AppSettings, Invocations], Listener]
"""Makes the listener of a function whose trigger the host doesn't serve by itself."""


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How to run the host.

    Attributes:
        app: The function app's directory.
        environment: The environment, which holds the app settings.
        local_settings: A local.settings.json; None means there is none.
        drain_seconds: How long invocations in flight may take after a stop.
        control_port: Where the control endpoint listens; 0 chooses a free port.
        restart: When the worker is started again.
        worker_output: Gets the worker's output, line by line.
        listeners: Makes the listeners of further triggers, by binding type.
        seed: Seeds invocation and span IDs and jitter; None takes the system's randomness.
    """

    app: Path
    environment: Mapping[str, str]
    local_settings: Path | None = None
    drain_seconds: float = 60.0
    control_port: int = 0
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    worker_output: Callable[[str], None] = _write_line
    listeners: Mapping[str, ListenerFactory] = field(default_factory=dict)
    seed: int | None = None
