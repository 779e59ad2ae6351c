"""What a call to ARM passes on its way: what the SDK would do by itself is not done here."""

from typing import Any, Self

from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AioHttpTransport

from assessor.arm.client import ArmClient
from assessor.settings import ArmCloud

CLOUD = ArmCloud("https://management.azure.com", "https://management.azure.com/.default")


class Credential:
    """Gives no tokens: nothing is called."""

    async def get_token(self, *scopes: str, **options: object) -> AccessToken:
        """Fails."""
        raise AssertionError((scopes, options))

    async def close(self) -> None:
        """Has nothing to close."""

    async def __aenter__(self) -> Self:
        """Opens nothing."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Has nothing to close."""


def passed() -> list[str]:
    """Returns the policies of a client, in their order."""
    arm = ArmClient(Credential(), CLOUD, AioHttpTransport())
    client: Any = arm.client("00000000-0000-0000-0000-000000000001")
    policies = client._client._pipeline._impl_policies
    return [type(getattr(each, "_policy", each)).__name__ for each in policies]


def test_nothing_is_retried_redirected_or_registered() -> None:
    """The bus does the waiting, the token goes to ARM alone, and no provider is registered."""
    names = " ".join(passed())
    for unwanted in ("Retry", "Redirect", "Registration", "Logging", "Tracing"):
        assert unwanted not in names


def test_calls_are_named_authorised_and_seen() -> None:
    """By an ID of their own, the app's name, a token, and whoever waits for the answer."""
    assert passed()[:8] == [
        "PlainWaitPolicy",
        "RequestIdPolicy",
        "HeadersPolicy",
        "UserAgentPolicy",
        "ContentDecodePolicy",
        "OriginPolicy",
        "ArmAuthentication",
        "CustomHookPolicy",
    ]
