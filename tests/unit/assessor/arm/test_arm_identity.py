"""Tokens for ARM, through the app's own client: the identity endpoint's answers are not ARM's."""

import gzip
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError

from assessor.arm.access_token import RenewableCredential
from assessor.arm.client import ArmClient
from assessor.arm.errors import ArmError, Verdict, judge
from assessor.arm.result import ApiError
from assessor.arm.virtual_machine import VirtualMachine
from assessor.settings import ArmCloud
from tests.support.builders import ACTIVITY_ID, VM_ID
from tests.support.recorded_arm import Credential, RecordedArm

CLOUD = ArmCloud("https://management.azure.com", "https://management.azure.com/.default")


class IdentityAnswer:
    """An answer of the identity endpoint's."""

    reason = "Bad Request"
    request: object = None

    def __init__(self, status: int) -> None:
        self.status_code = status
        self.headers: Mapping[str, str] = {}

    def text(self, encoding: str | None = None) -> str:
        """Returns the endpoint's words."""
        del encoding
        return '{"statusCode": 400, "message": "No User Assigned or Delegated Managed Identity"}'


class Identity(Credential):
    """Gives one token, or fails."""

    def __init__(self, fault: Exception | None = None, token: str = "first") -> None:
        self.fault = fault
        self.token = token

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - SDK's
        """Gives a token, or fails."""
        del scopes, options
        if self.fault is not None:
            raise self.fault
        return AccessToken(self.token, 2**33)


def answer(status: int, body: str, **headers: str) -> Mapping[str, Any]:
    """Returns an exchange whose answer that is."""
    named = {name.replace("_", "-"): [text] for name, text in headers.items()}
    return {"StatusCode": status, "ResponseBody": body, "ResponseHeaders": named}


def endpoint_error(status: int) -> ClientAuthenticationError:
    return ClientAuthenticationError(response=IdentityAnswer(status))


@pytest.mark.parametrize(
    "fault",
    [
        *(endpoint_error(status) for status in (400, 404, 410, 429, 500, 503)),
        CredentialUnavailableError("the endpoint is not there"),
        ValueError("not even JSON"),
    ],
    ids=str,
)
@pytest.mark.parametrize("asked", ["read", "begin", "poll"])
async def test_a_fault_of_the_identity_endpoint_is_waited_out(fault: Exception, asked: str) -> None:
    """ARM was not called; the error names the identity, and closes no region."""
    transport = RecordedArm([])
    arm = ArmClient(Identity(fault), CLOUD, transport)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "read": lambda: arm.read(VM_ID),
        "begin": lambda: arm.begin(VM_ID, "x"),
        "poll": lambda: arm.poll(VM_ID, _token(arm), ACTIVITY_ID),
    }
    with pytest.raises(ArmError) as raised:
        await calls[asked]()

    assert judge(raised.value).verdict is Verdict.WAIT
    assert raised.value.error.code == "IdentityUnavailable"
    assert raised.value.error.message == f"no token for ARM: {type(fault).__name__}"
    assert not raised.value.is_throttle
    assert transport.calls == []


def _token(arm: ArmClient) -> str:
    return arm.continuation_token(VirtualMachine(VM_ID, location="East US"), ACTIVITY_ID)


async def test_an_expired_token_is_replaced_in_mid_operation() -> None:
    """Once, in the same call, by one that is not from any cache."""
    made: list[Identity] = []

    def make() -> Identity:
        made.append(Identity(token=f"token-{len(made)}"))
        return made[-1]

    expired = '{"error": {"code": "ExpiredAuthenticationToken", "message": "x"}}'
    transport = RecordedArm([answer(401, expired), answer(200, '{"location": "East US"}')])
    arm = ArmClient(RenewableCredential(make), CLOUD, transport)

    vm = await arm.read(VM_ID)

    assert vm.location == "East US"
    assert len(made) == 2
    assert len(transport.calls) == 2


class Kept(Identity):
    """Notes what it is asked for, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[tuple[str, ...], Mapping[str, Any]]] = []
        self.is_closed = False

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - SDK's
        """Gives a token."""
        self.asked.append((scopes, options))
        return await super().get_token(*scopes, **options)

    async def close(self) -> None:
        """Is closed."""
        self.is_closed = True


async def test_a_credential_that_is_renewed_is_another_one_and_the_old_one_is_closed() -> None:
    """What is asked of it is passed on as it is; whoever opened it closes the one in use."""
    made: list[Kept] = []

    def make() -> Kept:
        made.append(Kept())
        return made[-1]

    async with RenewableCredential(make) as credential:
        await credential.get_token("scope", claims="c")
        await credential.renew()
        assert [each.is_closed for each in made] == [True, False]
        await credential.get_token("another")
    assert [each.is_closed for each in made] == [True, True]
    assert [each.asked for each in made] == [
        [(("scope",), {"claims": "c"})],
        [(("another",), {})],
    ]


async def test_a_refused_token_is_replaced_where_the_credential_keeps_none_as_well() -> None:
    """The call is made once more, and its second answer counts."""
    transport = RecordedArm([answer(401, "{}"), answer(200, '{"location": "x"}')])
    assert (await ArmClient(Identity(), CLOUD, transport).read(VM_ID)).location == "x"
    twice = RecordedArm([answer(401, "{}"), answer(401, "{}")])
    with pytest.raises(ArmError) as refused:
        await ArmClient(Identity(), CLOUD, twice).read(VM_ID)
    assert (refused.value.status, len(twice.calls)) == (401, 2)


_CHALLENGE = (
    f'Bearer error="insufficient_claims", claims="{b64encode(b"claims").decode().rstrip("=")}"'
)


async def test_a_challenge_for_claims_is_answered_with_a_token_of_them() -> None:
    """For the same scope, in the same call."""
    challenge = answer(401, "{}", WWW_Authenticate=_CHALLENGE)
    identity = Kept()
    transport = RecordedArm([challenge, answer(200, '{"location": "x"}')])
    assert (await ArmClient(identity, CLOUD, transport).read(VM_ID)).location == "x"
    scopes = (CLOUD.scope,)
    assert [each for each, _ in identity.asked] == [scopes, scopes]
    assert identity.asked[1][1]["claims"] == "claims"


async def test_a_challenge_that_the_identity_can_not_answer_is_waited_out() -> None:
    """Its fault is not ARM's answer."""

    class Once(Kept):
        """Gives one token."""

        async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - SDK's
            """Gives it, or fails."""
            if self.asked:
                raise endpoint_error(400)
            return await super().get_token(*scopes, **options)

    transport = RecordedArm([answer(401, "{}", WWW_Authenticate=_CHALLENGE)])
    with pytest.raises(ArmError) as unanswered:
        await ArmClient(Once(), CLOUD, transport).read(VM_ID)
    assert unanswered.value.error == ApiError(
        "IdentityUnavailable", "no token for ARM: ClientAuthenticationError"
    )
    assert judge(unanswered.value).verdict is Verdict.WAIT


@pytest.mark.parametrize("code", ["ExpiredAuthenticationToken", "InvalidAuthenticationToken"])
async def test_a_401_does_not_end_an_operation(code: str) -> None:
    """A poll that ARM takes no token for is made again later."""
    body = f'{{"error": {{"code": "{code}", "message": "x"}}}}'
    transport = RecordedArm([answer(401, body), answer(401, body)])
    arm = ArmClient(RenewableCredential(Identity), CLOUD, transport)

    with pytest.raises(ArmError) as raised:
        await arm.poll(VM_ID, _token(arm), ACTIVITY_ID)

    assert judge(raised.value).verdict is Verdict.WAIT


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("[]", {"Content_Type": "application/json"}),
        ("", {}),
        ("{", {"Content_Type": "application/json"}),
        ("{}", {"Content_Type": "application/json; charset=no-such"}),
        ("{}", {"Content_Type": "text/html"}),
        ('{"status": 5}', {"Content_Type": "application/json"}),
        ('{"status": ' + "[" * 100_000, {"Content_Type": "application/json"}),
        ('{"status": ' + "9" * 5_000 + "}", {"Content_Type": "application/json"}),
        ("<a>", {"Content_Type": "application/xml"}),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_poll_that_cant_be_read_is_no_answer(body: str, headers: dict[str, str]) -> None:
    """It is waited out, like one that did not come."""
    transport = RecordedArm([answer(200, body, **headers)] * 3)
    arm = ArmClient(Identity(), CLOUD, transport)
    with pytest.raises(ArmError) as raised:
        await arm.poll(VM_ID, _token(arm), ACTIVITY_ID)
    assert raised.value.status is None
    assert judge(raised.value).verdict is Verdict.WAIT


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "application/json; charset=no-such"},
        {"Content_Type": "application/json; charset=utf-16"},
        {"Content_Encoding": "gzip"},
        {"Content_Type": "text/html"},
    ],
)
async def test_a_vm_is_read_from_its_bytes(headers: dict[str, str]) -> None:
    """Whatever the headers say of them."""
    arm = ArmClient(Identity(), CLOUD, RecordedArm([answer(200, '{"location": "x"}', **headers)]))
    assert (await arm.read(VM_ID)).location == "x"


async def test_a_vm_that_holds_no_object_is_no_answer() -> None:
    """And one of gigabytes is not read to its end."""
    for body in ("[]", "null", gzip.compress(b"{}").decode("latin-1")):
        arm = ArmClient(Identity(), CLOUD, RecordedArm([answer(200, body)]))
        with pytest.raises(ArmError) as raised:
            await arm.read(VM_ID)
        assert raised.value.status is None
