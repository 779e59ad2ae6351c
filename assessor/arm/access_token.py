"""The app's token for ARM: how it is got, and where it may go.

What the identity endpoint says is never taken for ARM's answer. azure-identity's errors are
HttpResponseErrors with the endpoint's response: its 400, 404 and 410, which come for a while when
an identity is new or the platform moves
(https://github.com/Azure/azure-sdk-for-python/issues/42330), would read as ARM's.

The token goes to the configured endpoint, and nowhere else. Links come from tokens on the
in-progress queue and from ARM's own answers: `Location`, `Azure-AsyncOperation`, `resourceLocation`
in a body, `nextLink`. The SDK follows any of them. So each is checked where it is taken up, and
`OriginPolicy` looks at every call once more, right before it would get its token.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import SplitResult, unquote, urlsplit

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.core.policies import AsyncARMChallengeAuthenticationPolicy

_HTTPS_PORT: Final = 443
_URL_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
"""What RFC 3986 allows: no white space, no backslash, no control character."""
_OPERATION: Final = re.compile(
    r"/subscriptions/[^/]+/providers/microsoft\.compute/locations/[^/]+/operations/([^/]+)"
)


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


class UrlRefusedError(ValueError):
    """A URL that is not called.

    Attributes:
        problem: what is wrong with it, without the URL's own text.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(f"the call is refused, for {problem}")
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Origin:
    """Where links may lead.

    Attributes:
        endpoint: ARM's.
        subscription_id: the one subscription beneath it.
        activity_id: the name of the one operation there that may be polled; None: none may be.
    """

    endpoint: str
    subscription_id: str
    activity_id: str | None = None

    def problem_with(self, url: str) -> str | None:
        """Returns why `url` must not be called; None if it may."""
        foreign = problem_with_origin(url, self.endpoint)
        if foreign is not None:
            return foreign
        parts = urlsplit(url)
        path = unquote(parts.path)
        problems = {
            "a URL is not in the subscription of its request": (
                not parts.path.lower().startswith(f"/subscriptions/{self.subscription_id.lower()}/")
            ),
            "a URL's path leads out of its subscription": (
                not {"", ".", ".."}.isdisjoint(path.split("/")[1:])
                or not {"\\", "%"}.isdisjoint(path)  # a server might decode or turn them once more
                or not path.isprintable()
            ),
        }
        return next((problem for problem, is_so in problems.items() if is_so), None)

    def problem_with_operation(self, url: str) -> str | None:
        """Returns why `url` must not be polled; None if it is the operation's."""
        problem = self.problem_with(url)
        if problem is not None:
            return problem
        name = operation_name(url)
        if name is None:
            return "a URL is not that of an operation of Microsoft.Compute"
        if self.activity_id is None or name != self.activity_id.lower():
            return "a URL is that of another operation"
        return None


def operation_name(url: str) -> str | None:
    """Returns the name, in lower case, of the operation of Compute whose URL this is; else None."""
    try:
        found = _OPERATION.fullmatch(unquote(urlsplit(url).path).lower())
    except ValueError:
        return None
    return found[1] if found is not None else None


def problem_with_origin(url: str, endpoint: str) -> str | None:
    """Returns why the app's token must not go to `url`; None if that is https on `endpoint`."""
    try:
        parts = urlsplit(url)
        authority = _authority(parts)
    except ValueError:
        return "a URL can't be read"
    problems = {
        "a URL has characters that no URL has": not _URL_CHARACTERS.fullmatch(url),
        "a URL is not https": parts.scheme != "https",
        "a URL leads away from the configured ARM endpoint": (
            "@" in parts.netloc or authority != _authority(urlsplit(endpoint))
        ),
    }
    return next((problem for problem, is_so in problems.items() if is_so), None)


def _authority(parts: SplitResult) -> tuple[str | None, int]:
    return parts.hostname, _HTTPS_PORT if parts.port is None else parts.port


class OriginPolicy(SansIOHTTPPolicy[Any, Any]):
    """Refuses every call that is not https on ARM's endpoint. It stands before authentication."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Lets a call to ARM pass.

        Raises:
            UrlRefusedError: the call would go elsewhere.
        """
        problem = problem_with_origin(request.http_request.url, self._endpoint)
        if problem is not None:
            raise UrlRefusedError(problem)
