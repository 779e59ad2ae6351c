"""App settings: the environment, local.settings.json, and what bindings look up in them.

As Core Tools does it, a value in the environment wins over the same name in local.settings.json,
and names are found without regard to case. Left out: encrypted local settings, Key Vault
references, and the `ConnectionStrings` section (the Service Bus trigger does not read it).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from localcloud.host.errors import ConfigurationError

_PLACEHOLDER = re.compile(r"%([^%]*)%")
_ENDPOINT_HOST = re.compile(r"(?i)(?:^|;)\s*Endpoint=sb://([^/:;]+)")
_DEFAULT_CONNECTION = "ServiceBus"


@dataclass(frozen=True, slots=True)
class ConnectionString:
    """A Service Bus connection given as a connection string."""

    value: str

    @property
    def host(self) -> str:
        """The namespace's host; empty where it names none."""
        found = _ENDPOINT_HOST.search(self.value)
        return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class IdentityConnection:
    """A Service Bus connection with a managed identity.

    Attributes:
        namespace: The fully qualified namespace.
        client_id: The user-assigned identity's client ID; None is the system-assigned one.
    """

    namespace: str
    client_id: str | None

    @property
    def host(self) -> str:
        """The namespace's host."""
        return self.namespace


Connection = ConnectionString | IdentityConnection


class AppSettings:
    """The settings that the host and the app see."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._folded = {name.lower(): value for name, value in values.items()}

    @property
    def environment(self) -> dict[str, str]:
        """The settings as environment variables for the worker."""
        return dict(self._values)

    def get(self, name: str) -> str | None:
        """Look up a setting without regard to case.

        Returns:
            Its value; None when it is missing or empty, as .NET's configuration has it.
        """
        return self._folded.get(name.lower()) or None

    def resolve(self, text: str, *, where: str) -> str:
        """Replace every `%NAME%` by that setting's value.

        Args:
            text: A binding's value.
            where: Whose value it is, for the error.

        Returns:
            The text with all placeholders replaced.

        Raises:
            ConfigurationError: A named setting is missing.
        """

        def value_of(match: re.Match[str]) -> str:
            value = self.get(match[1])
            if value is None:
                raise ConfigurationError(
                    f"{where}: {text}", expected=f"the app setting {match[1]}", actual="no value"
                )
            return value

        return _PLACEHOLDER.sub(value_of, text)

    def connection(self, name: str, *, where: str) -> Connection:
        """Find the connection that a binding's `connection` property names.

        Args:
            name: The property's value; empty means the extension's default name.
            where: Whose property it is, for the error.

        Returns:
            A connection string if there is one, else the identity-based connection.

        Raises:
            ConfigurationError: Neither is set.
        """
        base = name or _DEFAULT_CONNECTION
        for prefix in (f"AzureWebJobs{base}", base):  # the order in which the WebJobs SDK looks
            text = self.get(prefix)
            if text is not None:
                return ConnectionString(text)
            namespace = self.get(f"{prefix}__fullyQualifiedNamespace")
            if namespace is not None:
                return IdentityConnection(namespace, self.get(f"{prefix}__clientId"))
        raise ConfigurationError(
            f"{where}: connection {base}",
            expected=f"the app setting {base} or {base}__fullyQualifiedNamespace",
            actual="neither",
        )


def merge_settings(environment: Mapping[str, str], local_settings: str | None) -> AppSettings:
    """Put together the app settings.

    Args:
        environment: The process environment; it wins.
        local_settings: The content of local.settings.json, if there is one.

    Returns:
        The settings.

    Raises:
        ConfigurationError: The file is not JSON or its `Values` are not strings.
    """
    if local_settings is None:
        return AppSettings(environment)
    try:
        content = json.loads(local_settings)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            "local.settings.json", expected="a JSON object", actual=f"not JSON ({error})"
        ) from error
    values = content.get("Values", {}) if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise ConfigurationError(
            "local.settings.json: Values", expected="an object", actual=type(values).__name__
        )
    for name, value in values.items():
        if not isinstance(value, str):
            raise ConfigurationError(
                f"local.settings.json: Values.{name}",
                expected="a string",
                actual=type(value).__name__,
            )
    return AppSettings({**values, **environment})
