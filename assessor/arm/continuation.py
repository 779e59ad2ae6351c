"""Continuation tokens: checked before they are used, and made for operations known by name only.

A token is a URL that the SDK calls with the app's ARM token. Whoever can put a message on the
in-progress queue could name any URL in it. So a token is taken apart, everything in it that the
SDK would act on is checked, and what was checked, not what was sent, is put together again: the
operation's URLs and the request's ID. The body of the 202 is left out. The SDK would take a status,
a result and a further URL (`resourceLocation`) from it, in whatever charset it says it is in.

The format is azure-core's own (`_decode_continuation_token`, version 1, since azure-core 1.41);
tests hold this module against what the pinned SDK writes and reads.
"""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from assessor.arm.access_token import Origin, operation_name
from assessor.resource_id import VirtualMachineId

_MAX_CHARACTERS: Final = 32 * 1024
_URL_HEADERS: Final = frozenset({"location", "azure-asyncoperation", "operation-location"})
_HEADERS: Final = _URL_HEADERS | {"content-type", "retry-after"}


class TokenRefusedError(ValueError):
    """A continuation token that will not be used.

    Attributes:
        problem: what is wrong with it, without the token's own text.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(f"the continuation token is refused: {problem}")
        self.problem = problem


_HeaderText = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,256}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Request(_Strict):
    method: Literal["POST"]
    url: str
    headers: Annotated[dict[Literal["x-ms-client-request-id"], _HeaderText], Field(min_length=1)]
    """The SDK sends this one with every poll; it keeps no other, and fails without it."""


class _Response(_Strict):
    status_code: Literal[200, 202]
    headers: dict[str, str]
    content: str


class _Context(_Strict):
    deserialized_data: Any = None


class _State(_Strict):
    request: _Request
    response: _Response
    context: _Context


class _Token(_Strict):
    version: Literal[1]
    data: _State


def check(token: str, origin: Origin) -> str:
    """Returns a token that is safe to use and means the same as `token`.

    Raises:
        TokenRefusedError: something in it leads anywhere but to `origin`, or it is no token.
    """
    state = _parse(token)
    links = {
        name: value
        for name, value in state.response.headers.items()
        if name.lower() in _URL_HEADERS
    }
    try:
        problems = [
            *(origin.problem_with(url) for url in _urls(state)),
            *(origin.problem_with_operation(url) for url in links.values()),
        ]
    except RecursionError as error:
        raise TokenRefusedError("the data in it is nested too deep") from error
    for problem in problems:
        if problem is not None:
            raise TokenRefusedError(problem)
    if not links:  # the SDK would take the answer in the token for the operation's result
        raise TokenRefusedError("it names no operation")
    answer = _Response(status_code=state.response.status_code, headers=links, content="")
    return _encode(_State(request=state.request, response=answer, context=_Context()))


def name_in(token: str) -> str | None:
    """Returns the name, in lower case, of the operation that a token leads to; None if it has none.

    Nothing in the token is believed for that: `check` decides whether it is used.
    """
    try:
        headers = _parse(token).response.headers
    except TokenRefusedError:
        return None
    links = [url for name, url in headers.items() if name.lower() in _URL_HEADERS]
    names = {*map(operation_name, links)}
    return names.pop() if len(names) == 1 else None


def for_operation(
    endpoint: str, vm_id: VirtualMachineId, location: str, activity_id: str, api_version: str
) -> str:
    """Returns a token for an assessment that is known by its activity ID only.

    The operation's name is the activity ID, and its URLs lie under the VM's region: so a worker
    that was not there at the 202 can follow it all the same.
    """
    operation = (
        f"{endpoint}/subscriptions/{vm_id.subscription_id}/providers/Microsoft.Compute"
        f"/locations/{location}/operations/{activity_id}"
    )
    return _encode(
        _State(
            request=_Request(
                method="POST",
                url=f"{endpoint}{quote(str(vm_id))}/assessPatches?api-version={api_version}",
                headers={"x-ms-client-request-id": activity_id},
            ),
            response=_Response(
                status_code=202,
                headers={
                    "Location": f"{operation}?monitor=true&api-version={api_version}",
                    "Azure-AsyncOperation": f"{operation}?api-version={api_version}",
                },
                content="",
            ),
            context=_Context(),
        )
    )


def _parse(token: str) -> _State:
    if len(token) > _MAX_CHARACTERS:
        raise TokenRefusedError("it is longer than any token of the SDK")
    try:
        return _Token.model_validate(json.loads(base64.b64decode(token, validate=True))).data
    except ValidationError as error:
        fields = sorted({".".join(map(str, each["loc"])) for each in error.errors()})
        raise TokenRefusedError(f"it is not one of this SDK's ({', '.join(fields)})") from error
    except (binascii.Error, ValueError, RecursionError) as error:
        raise TokenRefusedError("it can't be decoded") from error


def _urls(state: _State) -> Iterator[str]:
    """Yields every URL in the token but the operation's own, which are held to more."""
    yield state.request.url
    if not _HEADERS.issuperset(map(str.lower, state.response.headers)):
        raise TokenRefusedError("it holds a header that the SDK does not keep")
    if state.response.content:
        try:
            content = json.loads(base64.b64decode(state.response.content, validate=True))
        except (binascii.Error, ValueError, RecursionError) as error:
            raise TokenRefusedError("the response in it can't be decoded") from error
        yield from _urls_in(content)
    yield from _urls_in(state.context.deserialized_data)


def _urls_in(value: object) -> Iterator[str]:
    match value:
        case str() if "//" in value:
            yield value
        case dict():
            for each in value.values():
                yield from _urls_in(each)
        case list():
            for each in value:
                yield from _urls_in(each)


def _encode(state: _State) -> str:
    text = _Token(version=1, data=state).model_dump_json()
    return base64.b64encode(text.encode()).decode("ascii")
