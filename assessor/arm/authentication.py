"""Tokens for ARM: what the identity endpoint says is never taken for ARM's answer.

azure-identity's errors are HttpResponseErrors with the endpoint's response: its 400, 404 and 410,
which come for a while when an identity is new or the platform moves
(https://github.com/Azure/azure-sdk-for-python/issues/42330), would read as ARM's.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Self

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.mgmt.core.policies import AsyncARMChallengeAuthenticationPolicy


class IdentityError(AzureError):
    """No token for ARM: the identity endpoint gave none, and ARM was not called."""


class RenewableCredential:
    """A credential that can be made to forget the tokens that it holds.

    azure-identity keeps a token until it ends by this machine's clock, and has no way to drop one
    that ARM does not take any more.
    """

    def __init__(self, make: Callable[[], AsyncTokenCredential]) -> None:
        """Keeps how a credential without any token is made: `make`."""
        self._make = make
        self._current = make()

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - the SDK's own options
        """Returns a token; raises what azure-identity raises."""
        return await self._current.get_token(*scopes, **options)

    async def renew(self) -> None:
        """Forgets every token."""
        forgotten, self._current = self._current, self._make()
        await forgotten.close()

    async def close(self) -> None:
        """Closes what the tokens come through."""
        await self._current.close()

    async def __aenter__(self) -> Self:
        """Opens nothing yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes what the tokens come through."""
        await self.close()


class ArmAuthentication(AsyncARMChallengeAuthenticationPolicy):
    """Authorises calls of ARM; a token that ARM refuses is replaced once, in the same call."""

    def __init__(self, credential: AsyncTokenCredential, scope: str) -> None:
        super().__init__(credential, scope)
        self._arm_credential = credential

    async def on_request(self, request: PipelineRequest[Any]) -> None:
        """Adds a token; raises IdentityError."""
        try:
            await super().on_request(request)
        except Exception as error:
            raise IdentityError(f"no token for ARM: {type(error).__name__}") from error

    async def authorize_request(
        self,
        request: PipelineRequest[Any],
        *scopes: str,
        **kwargs: Any,  # noqa: ANN401 - the SDK's own
    ) -> None:
        """Adds a token that answers a challenge; raises IdentityError."""
        try:
            await super().authorize_request(request, *scopes, **kwargs)
        except Exception as error:
            raise IdentityError(f"no token for ARM: {type(error).__name__}") from error

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Returns ARM's answer; raises IdentityError."""
        response = await super().send(request)
        if response.http_response.status_code != HTTPStatus.UNAUTHORIZED:
            return response
        if isinstance(self._arm_credential, RenewableCredential):
            await self._arm_credential.renew()
        return await super().send(request)  # the policy has dropped the token itself
