"""Who may do what: bearer tokens and role assignments.

Left out: deny assignments, conditions, groups, data actions, and the minutes that a new
assignment takes to spread.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from dotnet_text import ignoring_case
from localcloud.arm import errors
from localcloud.identity import ARM_AUDIENCES, Claims, TokenError, TokenSigner

ASSESSOR_ACTIONS: Final = (
    "Microsoft.Compute/virtualMachines/read",
    "Microsoft.Compute/virtualMachines/instanceView/read",
    "Microsoft.Compute/virtualMachines/assessPatches/action",
    "Microsoft.Compute/locations/operations/read",
)
"""The actions of the product's custom role."""


@dataclass(frozen=True)
class RoleAssignment:
    """Actions granted over a scope and everything under it.

    Attributes:
        scope: a resource ID prefix such as ``/subscriptions/…``; ``/`` is everything.
        actions: of ARM, where ``*`` stands for any part, as in role definitions.
        principal_id: whom they are granted to; None grants them to every identity.
    """

    scope: str
    actions: Sequence[str]
    principal_id: str | None = None

    def grants(self, principal_id: str, action: str, scope: str) -> bool:
        """Returns whether this assignment lets a principal do an action on a resource."""
        if self.principal_id is not None and self.principal_id.lower() != principal_id.lower():
            return False
        prefix = ignoring_case(self.scope.rstrip("/")) + "/"
        return (ignoring_case(scope.rstrip("/")) + "/").startswith(prefix) and any(
            _matches(pattern, action) for pattern in self.actions
        )


ASSESSOR_EVERYWHERE: Final = (RoleAssignment("/", ASSESSOR_ACTIONS),)


@dataclass(frozen=True)
class AccessControl:
    """Verifies tokens and checks role assignments."""

    signer: TokenSigner
    assignments: Sequence[RoleAssignment] = ASSESSOR_EVERYWHERE
    audiences: frozenset[str] = ARM_AUDIENCES

    def authenticate(self, authorization: str | None, *, now: int) -> Claims:
        """Returns who calls.

        Args:
            authorization: the header's value, None if it is missing.
            now: Unix seconds.

        Raises:
            ArmError: 401 with a challenge.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise errors.unauthenticated(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
                "The authentication failed because of missing 'Authorization' header.",
            )
        try:
            return self.signer.verify(token.strip(), audiences=self.audiences, now=now)
        except TokenError as error:
            raise _refusal(error, self.audiences, now) from error

    def authorize(self, caller: Claims, action: str, scope: str) -> None:
        """Lets an action pass that a role assignment grants.

        Raises:
            ArmError: 403 AuthorizationFailed.
        """
        if not any(a.grants(caller.principal_id, action, scope) for a in self.assignments):
            raise errors.authorization_failed(caller.principal_id, action, scope)


def _matches(pattern: str, action: str) -> bool:
    parts = (re.escape(part) for part in pattern.split("*"))
    return re.fullmatch(".*".join(parts), action, re.IGNORECASE) is not None


def _refusal(error: TokenError, audiences: frozenset[str], now: int) -> errors.ArmError:
    if error.reason == TokenError.EXPIRED:
        code = "ExpiredAuthenticationToken"
        message = (
            f"The access token expiry UTC time '{_utc(error.expires_on)}' is earlier than current "
            f"UTC time '{_utc(now)}'."
        )
    elif error.reason == TokenError.AUDIENCE:
        allowed = ",".join(f"'{audience}/','{audience}'" for audience in sorted(audiences))
        code = "InvalidAuthenticationTokenAudience"
        message = (
            "The access token has been obtained for wrong audience or resource "
            f"'{error.audience}'. It should exactly match with one of the allowed audiences "
            f"{allowed}."
        )
    else:
        code, message = "InvalidAuthenticationToken", "The access token is invalid."
    return errors.unauthenticated(code, message, message)


def _utc(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%m/%d/%Y %I:%M:%S %p}"
