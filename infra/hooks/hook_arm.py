"""Azure Resource Manager, called with the token of whoever is signed in to azd; az is not needed.

Left out: paging and throttling. What the hooks ask for fits on a page, and they ask little.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from hook_azd import CommandError, HookError, call

if TYPE_CHECKING:
    from collections.abc import Mapping

CLOUDS = {
    "AzureCloud": "https://management.azure.com",
    "AzureUSGovernment": "https://management.usgovcloudapi.net",
    "AzureChinaCloud": "https://management.chinacloudapi.cn",
}
"""ARM of each cloud, by azd's names; a test holds this against the SDK's own table."""
FORBIDDEN = 403
NOT_FOUND = 404
_SECONDS = 60


class ArmError(HookError):
    """ARM refused a call, or gave no answer.

    Attributes:
        status: HTTP's; 0 where no answer came.
        code: ARM's own, or what went wrong with the connection.
    """

    def __init__(self, what: str, status: int, code: str) -> None:
        super().__init__(f"{what}: {f'{status} {code}' if status else code}")
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Arm:
    """ARM as the signed-in user or pipeline may use it."""

    origin: str
    token: str = field(repr=False)

    def get(self, path: str, api_version: str, **query: str) -> dict[str, Any]:
        """Returns a resource, or a page of them; raises ArmError."""
        return self._call("GET", path, api_version, query)

    def post(self, path: str, api_version: str) -> dict[str, Any]:
        """Starts an action; raises ArmError."""
        return self._call("POST", path, api_version, {})

    def delete(self, path: str, api_version: str) -> None:
        """Deletes a resource; one that is not there is deleted already. Raises ArmError."""
        try:
            self._call("DELETE", path, api_version, {})
        except ArmError as error:
            if error.status != NOT_FOUND:
                raise

    def _call(
        self, method: str, path: str, api_version: str, query: Mapping[str, str]
    ) -> dict[str, Any]:
        asked = "&".join(
            f"{quote(name)}={quote(text)}"
            for name, text in {"api-version": api_version, **query}.items()
        )
        request = urllib.request.Request(  # noqa: S310 - the origin is https, see arm_of
            f"{self.origin}{quote(path)}?{asked}",
            data=b"" if method == "POST" else None,
            headers={"Authorization": f"Bearer {self.token}"},
            method=method,
        )
        what = f"{method} {path}"
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - the same
                body = answer.read()
            parsed = json.loads(body) if body.strip() else {}
        except urllib.error.HTTPError as error:
            raise ArmError(what, error.code, _code(error.read())) from error
        except (OSError, ValueError) as error:
            raise ArmError(what, 0, str(error)) from error
        return parsed if isinstance(parsed, dict) else {}


def arm_of(values: Mapping[str, str]) -> Arm:
    """Returns ARM of the cloud that azd is set to, or at ARM_ENDPOINT where that is set.

    Raises:
        HookError: nobody is signed in to azd, or the cloud is none of Azure's.
    """
    origin = values.get("ARM_ENDPOINT", "").strip().rstrip("/") or _configured()
    parts = urlsplit(origin)
    if parts.scheme != "https" or not parts.hostname:
        raise HookError(f"ARM_ENDPOINT must be an https URL; it is {origin!r}.")
    try:
        token = json.loads(call("azd", "auth", "token", "--output", "json"))["token"]
    except CommandError as error:
        raise HookError(f"Sign in with `azd auth login`. {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise HookError("`azd auth token --output json` printed no token.") from error
    return Arm(origin, str(token))


def _configured() -> str:
    try:
        cloud = call("azd", "config", "get", "cloud.name").strip().strip('"')
    except CommandError:  # it is not set
        cloud = "AzureCloud"
    try:
        return CLOUDS[cloud]
    except KeyError as error:
        raise HookError(
            f"azd's cloud.name is {cloud!r}, which is none of {', '.join(CLOUDS)}. "
            "Set ARM_ENDPOINT to its Resource Manager."
        ) from error


def _code(body: bytes) -> str:
    """Returns the code of ARM's error, and nothing else of what it said."""
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return "without an error code"
