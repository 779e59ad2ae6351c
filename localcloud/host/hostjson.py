"""host.json: what of it the local host follows.

Defaults are the real host's (version 4, Service Bus extension 5). Unknown keys are ignored, as
there. Left out: everything that tunes extensions other than Service Bus, sampling, health monitor,
retry policies (Service Bus triggers have none), and the batch and session options.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from localcloud.host.errors import ConfigurationError
from localcloud.host.timespans import parse_timespan

_UNBOUNDED = "-1"


@dataclass(frozen=True, slots=True)
class ServiceBusOptions:
    """`extensions.serviceBus`.

    Attributes:
        prefetch_count: Messages fetched ahead. Accepted and not followed: the local host never
            holds a lock on a message that it is not working on.
        auto_complete_messages: Whether a successful invocation completes its message.
        max_concurrent_calls: Invocations in flight per function. The real default is 16 per vCPU.
        max_auto_lock_renewal: For how long the lock of a running invocation is renewed.
    """

    prefetch_count: int = 0
    auto_complete_messages: bool = True
    max_concurrent_calls: int = 16
    max_auto_lock_renewal: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class HostConfig:
    """host.json as the host follows it.

    Attributes:
        service_bus: The Service Bus extension's options.
        function_timeout: How long one invocation may take; None is unbounded. The default is
            Flex Consumption's.
        telemetry_mode: `ApplicationInsights` or `OpenTelemetry`.
        default_log_level: `logging.logLevel.default` in .NET's words.
    """

    service_bus: ServiceBusOptions = field(default_factory=ServiceBusOptions)
    function_timeout: timedelta | None = timedelta(minutes=30)
    telemetry_mode: str = "ApplicationInsights"
    default_log_level: str = "Information"


@dataclass(frozen=True, slots=True)
class _Section:
    """A JSON object and the path that leads to it, so that errors can name the key."""

    path: str
    values: Mapping[str, object]

    def _fail(self, key: str, expected: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path}{key}", expected=expected, actual=json.dumps(self.values.get(key))
        )

    def section(self, key: str) -> "_Section":
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self._fail(key, "an object")
        return _Section(f"{self.path}{key}.", value)

    def boolean(self, key: str, *, default: bool) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self._fail(key, "true or false")
        return value

    def integer(self, key: str, default: int, *, minimum: int) -> int:
        value = self.values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise self._fail(key, f"an integer of at least {minimum}")
        return value

    def text(self, key: str, default: str, *, choices: tuple[str, ...]) -> str:
        value = self.values.get(key, default)
        known = {choice.lower(): choice for choice in choices}
        if not isinstance(value, str) or value.lower() not in known:
            raise self._fail(key, f"one of {', '.join(choices)}")
        return known[value.lower()]

    def timespan(self, key: str, default: timedelta) -> timedelta:
        if key not in self.values:
            return default
        value = self.values[key]
        span = parse_timespan(value) if isinstance(value, str) else None
        if span is None:
            raise self._fail(key, "a time span such as 00:05:00")
        return span


def parse_host_json(text: str) -> HostConfig:
    """Read host.json.

    Args:
        text: The file's content.

    Returns:
        The configuration, with the real host's defaults where the file is silent.

    Raises:
        ConfigurationError: The file is not JSON, or a followed key has an impossible value.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            "host.json", expected="a JSON object", actual=f"text that is not JSON ({error})"
        ) from error
    if not isinstance(values, dict):
        raise ConfigurationError("host.json", expected="a JSON object", actual=json.dumps(values))
    root = _Section("host.json: ", values)
    root.text("version", "", choices=("2.0",))
    defaults = HostConfig()
    return HostConfig(
        service_bus=_service_bus(root.section("extensions").section("serviceBus")),
        function_timeout=_function_timeout(root, defaults),
        telemetry_mode=root.text(
            "telemetryMode",
            defaults.telemetry_mode,
            choices=("ApplicationInsights", "OpenTelemetry"),
        ),
        default_log_level=root.section("logging")
        .section("logLevel")
        .text(
            "default",
            defaults.default_log_level,
            choices=("Trace", "Debug", "Information", "Warning", "Error", "Critical", "None"),
        ),
    )


def _service_bus(section: _Section) -> ServiceBusOptions:
    defaults = ServiceBusOptions()
    return ServiceBusOptions(
        prefetch_count=section.integer("prefetchCount", defaults.prefetch_count, minimum=0),
        auto_complete_messages=section.boolean(
            "autoCompleteMessages", default=defaults.auto_complete_messages
        ),
        max_concurrent_calls=section.integer(
            "maxConcurrentCalls", defaults.max_concurrent_calls, minimum=1
        ),
        max_auto_lock_renewal=section.timespan(
            "maxAutoLockRenewalDuration", defaults.max_auto_lock_renewal
        ),
    )


def _function_timeout(root: _Section, defaults: HostConfig) -> timedelta | None:
    if root.values.get("functionTimeout") == _UNBOUNDED:
        return None
    limit = root.timespan("functionTimeout", defaults.function_timeout or timedelta.max)
    if limit <= timedelta(0):
        raise ConfigurationError(
            "host.json: functionTimeout", expected='more than zero, or "-1"', actual=str(limit)
        )
    return limit
