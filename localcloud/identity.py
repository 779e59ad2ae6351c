"""The managed-identity endpoint of App Service and Functions, and the tokens it hands out.

App settings ``IDENTITY_ENDPOINT`` and ``IDENTITY_HEADER`` make azure-identity's
``ManagedIdentityCredential`` come here. The protocol is App Service's, api-version 2019-08-01:
https://learn.microsoft.com/azure/app-service/overview-managed-identity (REST endpoint reference).

Tokens have a JWT's shape and the claims that ARM looks at, signed with a secret of this run
(HS256), so that whoever holds the :class:`TokenSigner` can tell audience, expiry and identity.
Left out: Entra's RS256 keys and their discovery document, the 24-hour cache in front of Entra,
``mi_res_id``, and resources that Entra would refuse: any resource gets a token.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

API_VERSION: Final = "2019-08-01"
TOKEN_PATH: Final = "/msi/token"  # noqa: S105 - a path, not a secret
DEFAULT_LIFETIME_SECONDS: Final = 24 * 3600
ARM_AUDIENCES: Final = frozenset(
    {
        "https://management.azure.com",
        "https://management.core.windows.net",
        "https://management.usgovcloudapi.net",
        "https://management.chinacloudapi.cn",
    }
)


class TokenError(Exception):
    """A token that can't be accepted; ``reason`` is one of the constants below."""

    MALFORMED: Final = "malformed"
    SIGNATURE: Final = "signature"
    EXPIRED: Final = "expired"
    AUDIENCE: Final = "audience"

    def __init__(self, reason: str, *, audience: str = "", expires_on: int = 0) -> None:
        super().__init__(f"token refused: {reason}")
        self.reason = reason
        self.audience = audience
        self.expires_on = expires_on


@dataclass(frozen=True)
class ManagedIdentity:
    """An identity that is assigned to the app.

    ``client_id`` names it in requests, ``principal_id`` is its object ID, which role assignments
    and ARM's messages name.
    """

    client_id: str
    principal_id: str
    tenant_id: str = "9f4d9c8e-1f0b-4a52-8d2c-6a7e5b3c1d20"


SYSTEM_ASSIGNED: Final = ManagedIdentity(
    client_id="3d2a7f54-8c1e-4b6f-9a0d-5e7c2b914f68",
    principal_id="b71c0e9a-64d5-4f3b-8e2a-1c9d7f50a3b6",
)


@dataclass(frozen=True)
class Claims:
    """What a verified token says: for whom, by whom, until when (Unix seconds)."""

    audience: str
    client_id: str
    principal_id: str
    expires_on: int


class TokenSigner:
    """Makes and verifies tokens with one secret."""

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret if secret is not None else secrets.token_bytes(32)

    def issue(self, identity: ManagedIdentity, resource: str, *, now: int, lifetime: int) -> str:
        """Returns a token for ``resource``, valid for ``lifetime`` seconds from ``now``."""
        header = {"typ": "JWT", "alg": "HS256", "kid": "localcloud"}
        claims = {
            "aud": resource,
            "iss": f"https://sts.windows.net/{identity.tenant_id}/",
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "appid": identity.client_id,
            "idtyp": "app",
            "oid": identity.principal_id,
            "sub": identity.principal_id,
            "tid": identity.tenant_id,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        signed = f"{_encode(_json(header))}.{_encode(_json(claims))}"
        return f"{signed}.{_encode(self._sign(signed))}"

    def verify(self, token: str, *, audiences: frozenset[str], now: int) -> Claims:
        """Returns the claims of a token meant for one of ``audiences``.

        Raises:
            TokenError: when shape, signature, expiry or audience are wrong, in this order. What
                the token says is not read before its signature is found good.
        """
        signed, _, signature = token.rpartition(".")
        try:
            given = _decode(signature)
        except ValueError as error:
            raise TokenError(TokenError.MALFORMED) from error
        if not hmac.compare_digest(given, self._sign(signed)):
            raise TokenError(TokenError.SIGNATURE)
        claims = json.loads(_decode(signed.partition(".")[2]))
        audience, expires_on = claims["aud"], claims["exp"]
        if expires_on <= now:
            raise TokenError(TokenError.EXPIRED, audience=audience, expires_on=expires_on)
        if audience.rstrip("/") not in audiences:
            raise TokenError(TokenError.AUDIENCE, audience=audience, expires_on=expires_on)
        return Claims(audience, claims["appid"], claims["oid"], expires_on)

    def _sign(self, signed: str) -> bytes:
        return hmac.new(
            self._secret, signed.encode(errors="surrogateescape"), hashlib.sha256
        ).digest()


@dataclass(frozen=True)
class IdentityEndpoint:
    """Answers token requests of the one app that knows ``header``.

    Attributes:
        signer: makes the tokens.
        now: the time in Unix seconds.
        header: the value the app must send as ``X-IDENTITY-HEADER``.
        system_assigned: the identity used when a request names none; None if there is none.
        user_assigned: identities that a request can name by ``client_id``, ``object_id`` or
            ``principal_id``.
        lifetime: of a token, in seconds.
    """

    signer: TokenSigner
    now: Callable[[], int]
    header: str = field(default_factory=lambda: secrets.token_hex(16).upper())
    system_assigned: ManagedIdentity | None = SYSTEM_ASSIGNED
    user_assigned: Sequence[ManagedIdentity] = ()
    lifetime: int = DEFAULT_LIFETIME_SECONDS

    def application(self) -> web.Application:
        """Returns the web application that serves ``GET /msi/token``."""
        application = web.Application()
        application.router.add_get(TOKEN_PATH, self._token)
        return application

    async def _token(self, request: web.Request) -> web.Response:
        given = request.headers.get("X-IDENTITY-HEADER", "")
        if not hmac.compare_digest(given.encode(), self.header.encode()):
            return _refuse(401, "The identity header is missing or wrong.")
        if request.query.get("api-version") != API_VERSION:
            return _refuse(400, "The api-version is missing or not supported.")
        resource = request.query.get("resource")
        if not resource:
            return _refuse(400, "The resource parameter is missing.")
        identity = self._find(request.query)
        if identity is None:
            return _refuse(
                400,
                "No User Assigned or Delegated Managed Identity found for specified "
                "ClientId/ResourceId/PrincipalId.",
            )
        now = self.now()
        return web.json_response(
            {
                "access_token": self.signer.issue(
                    identity, resource, now=now, lifetime=self.lifetime
                ),
                "expires_on": str(now + self.lifetime),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": identity.client_id.upper(),
            }
        )

    def _find(self, query: Mapping[str, str]) -> ManagedIdentity | None:
        client_id = query.get("client_id", "").lower()
        principal_id = (query.get("object_id") or query.get("principal_id") or "").lower()
        if not client_id and not principal_id:
            return self.system_assigned
        for identity in self.user_assigned:
            if client_id == identity.client_id.lower():
                return identity
            if principal_id == identity.principal_id.lower():
                return identity
        return None


def _refuse(status: int, message: str) -> web.Response:
    """App Service's error shape for this endpoint, seen in MicrosoftDocs/azure-docs#43543."""
    body = {"statusCode": status, "message": message, "correlationId": str(uuid.uuid4())}
    return web.json_response(body, status=status)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
