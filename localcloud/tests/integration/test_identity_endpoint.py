"""The managed-identity endpoint, through azure-identity and by hand."""

import time

import aiohttp
import pytest
from azure.core.exceptions import ClientAuthenticationError

from localcloud.arm.fleet import Fleet
from localcloud.arm.running import ArmOptions, run_arm
from localcloud.identity import SYSTEM_ASSIGNED, ManagedIdentity
from localcloud.tests.integration.arm_client import managed_identity

pytestmark = pytest.mark.integration

USER_ASSIGNED = ManagedIdentity(
    client_id="0a1b2c3d-0000-4000-8000-000000000001",
    principal_id="0a1b2c3d-0000-4000-8000-000000000002",
)


async def test_the_credential_gets_a_token_for_the_system_assigned_identity() -> None:
    """The token is for the scope asked for, a day long, and of the identity."""
    now = int(time.time())
    async with run_arm(Fleet(())) as arm, managed_identity(arm) as credential:
        token = await credential.get_token("https://management.azure.com/.default")
        claims = arm.signer.verify(
            token.token, audiences=frozenset({"https://management.azure.com"}), now=now
        )
    assert claims.principal_id == SYSTEM_ASSIGNED.principal_id
    assert token.expires_on == claims.expires_on
    assert 0 <= claims.expires_on - now - 24 * 3600 < 60


async def test_a_client_id_names_a_user_assigned_identity() -> None:
    """One that is assigned gets its token; any other is refused with 400."""
    options = ArmOptions(user_assigned=(USER_ASSIGNED,))
    async with run_arm(Fleet(()), options) as arm:
        async with managed_identity(arm, USER_ASSIGNED.client_id.upper()) as credential:
            token = await credential.get_token("https://servicebus.azure.net/.default")
        async with managed_identity(arm, "unknown") as credential:
            with pytest.raises(ClientAuthenticationError, match="No User Assigned"):
                await credential.get_token("https://servicebus.azure.net/.default")
        claims = arm.signer.verify(
            token.token,
            audiences=frozenset({"https://servicebus.azure.net"}),
            now=int(time.time()),
        )
    assert claims.client_id == USER_ASSIGNED.client_id


@pytest.mark.parametrize(
    ("header", "query", "status"),
    [
        ("wrong", {"api-version": "2019-08-01", "resource": "r"}, 401),
        ("", {"api-version": "2019-08-01", "resource": "r"}, 401),
        (None, {"api-version": "2017-09-01", "resource": "r"}, 400),
        (None, {"api-version": "2019-08-01"}, 400),
        (None, {"api-version": "2019-08-01", "resource": "r", "client_id": "x"}, 400),
        (None, {"api-version": "2019-08-01", "resource": "r"}, 200),
    ],
)
async def test_requests_are_checked(header: str | None, query: dict[str, str], status: int) -> None:
    """The header first, then version, resource and identity; errors in App Service's shape."""
    async with run_arm(Fleet(())) as arm, aiohttp.ClientSession() as session:
        secret = arm.identity_header if header is None else header
        async with session.get(
            arm.identity_endpoint, params=query, headers={"X-IDENTITY-HEADER": secret}
        ) as response:
            body = await response.json()
    assert response.status == status
    if status == 200:
        assert set(body) == {"access_token", "expires_on", "resource", "token_type", "client_id"}
        assert isinstance(body["expires_on"], str)
    else:
        assert body["statusCode"] == status
