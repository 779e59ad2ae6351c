"""Where the app's ARM token may go: the configured endpoint, and nowhere else.

Links come from tokens on the in-progress queue and from ARM's own answers: `Location`,
`Azure-AsyncOperation`, `resourceLocation` in a body, `nextLink`. The SDK follows any of them. So
each is checked where it is taken up, and `OriginPolicy` looks at every call once more, right before
it would get its token.
"""

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy

_HTTPS_PORT: Final = 443
_URL_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
"""What RFC 3986 allows: no white space, no backslash, no control character."""
_OPERATION: Final = re.compile(
    r"/subscriptions/[^/]+/providers/microsoft\.compute/locations/[^/]+/operations/([^/]+)"
)


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
        if name != (self.activity_id or "").lower():
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
