"""Where the console goes: a namespace, a storage account, and what only a local cloud has."""

from dataclasses import dataclass, field
from typing import Final

from patch_assessor_cli.client import (
    ALERTS_TOPIC,
    IN_PROGRESS_QUEUE,
    REQUESTS_QUEUE,
    RESULTS_TOPIC,
    Connection,
    Subscription,
)
from patch_assessor_cli.local import RunningCloud

SUBSCRIPTION: Final = "console"
"""The console's own subscription of each topic: what it receives, nobody else misses."""


@dataclass(frozen=True, slots=True)
class LocalParts:
    """What a local cloud has besides: control surfaces, as URLs without a path.

    Attributes:
        bus: Of the bus.
        arm: Of ARM.
        hosts: Of the hosts.
    """

    bus: str
    arm: str
    hosts: tuple[str, ...]

    @classmethod
    def of(cls, cloud: RunningCloud) -> "LocalParts":
        """Returns the parts of a running local cloud."""
        return cls(cloud.bus_control_url, cloud.arm_control_url, cloud.host_control_urls)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the console goes.

    Attributes:
        connection: Of the namespace.
        results: The subscription to receive outcomes from.
        alerts: The subscription to receive alerts from.
        requests_queue: Where to ask.
        in_progress_queue: Where assessments wait.
        storage: A connection string of the storage account; None to go by `table_endpoint`.
        table_endpoint: The account's table endpoint; None without either: no table.
        table: The posture table.
        collector: Where traces are read from; None without one.
        local: What only a local cloud has; None elsewhere.
        may_send: Whether the page offers to ask for assessments.
    """

    connection: Connection
    results: Subscription = Subscription(RESULTS_TOPIC, SUBSCRIPTION)  # noqa: RUF009 - frozen
    alerts: Subscription = Subscription(ALERTS_TOPIC, SUBSCRIPTION)  # noqa: RUF009 - frozen
    requests_queue: str = REQUESTS_QUEUE
    in_progress_queue: str = IN_PROGRESS_QUEUE
    storage: str | None = field(default=None, repr=False)
    table_endpoint: str | None = None
    table: str = "vmposture"
    collector: str | None = None
    local: LocalParts | None = None
    may_send: bool = True

    @property
    def name(self) -> str:
        """What people are told that they look at."""
        return "local cloud" if self.local else self.connection.namespace or "a namespace"

    @property
    def has_table(self) -> bool:
        """Whether a storage account is named."""
        return bool(self.storage or self.table_endpoint)
