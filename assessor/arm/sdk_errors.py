"""What azure-core raises, as the domain's own errors."""

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

from azure.core.exceptions import AzureError, DecodeError, HttpResponseError

from assessor.arm.access_token import IdentityError, UrlRefusedError
from assessor.arm.errors import IDENTITY_UNAVAILABLE, ArmError, Phase
from assessor.arm.reading import json_object
from assessor.arm.result import ApiError, parse_error
from assessor.arm.throttling import asked_to_wait

CANCELLED: Final = "cancelled"
"""An end that the SDK knows with one l only, and would poll for ever."""
NO_REASON: Final = "ARM gave no reason."


@contextmanager
def arm_errors(phase: Phase) -> Iterator[None]:
    """Turns what the SDK raises inside the `with` into ArmError."""
    try:
        yield
    except ArmError:
        raise
    except UrlRefusedError as error:
        raise ArmError(phase, None, ApiError("UrlRefused", f"{error}.")) from error
    except HttpResponseError as error:
        raise _refusal(phase, error) from error
    except Exception as error:  # whatever the SDK makes of bytes that are no answer of ARM's
        raise _no_answer(phase, error) from error


def _refusal(phase: Phase, error: HttpResponseError) -> ArmError:
    answer: Any = error.response  # of the transport's own type, which azure-core does not name
    if answer is None:
        return _no_answer(phase, error)
    # A refusal is one by its status, also where its body is not what its headers say.
    if isinstance(error, DecodeError) and answer.status_code < HTTPStatus.BAD_REQUEST:
        return _no_answer(phase, error)
    body = json_object(_text_of(answer))
    if answer.status_code < HTTPStatus.BAD_REQUEST and not _tells_an_end(body):
        return _no_answer(phase, error)
    return ArmError(
        phase,
        answer.status_code,
        parse_error(
            error_fields(body),
            fallback_code=_code_of(body, answer.status_code),
            fallback_message=error.reason or NO_REASON,
        ),
        retry_after=asked_to_wait(answer.headers),
        request_id=answer.headers.get("x-ms-request-id"),
    )


def _tells_an_end(body: Mapping[str, Any]) -> bool:
    """Whether a status is an operation's that did not succeed: all else under a 2xx is unread."""
    status = body.get("status")
    return isinstance(status, str) and status.lower() in {"failed", "canceled", CANCELLED}


def _text_of(answer: Any) -> str:  # noqa: ANN401 - as above
    """Returns a refusal's body; nothing where its charset or its compression is another one."""
    try:
        text: str = answer.text()
    except (LookupError, ValueError, zlib.error, RecursionError, AzureError):
        return ""
    return text


def _no_answer(phase: Phase, error: Exception) -> ArmError:
    if isinstance(error, AzureError | TimeoutError):
        code = IDENTITY_UNAVAILABLE if isinstance(error, IdentityError) else type(error).__name__
        return ArmError(phase, None, ApiError(code, str(error) or "no answer in time"))
    # What such an exception says may repeat the body.
    return ArmError(phase, None, ApiError("UnreadableAnswer", f"{type(error).__name__} in reading"))


def _code_of(body: Mapping[str, Any], status: int) -> str:
    """Returns a code for an answer that has none of its own."""
    if status < HTTPStatus.BAD_REQUEST:
        return f"Operation{body['status']}"
    try:
        return HTTPStatus(status).phrase.replace(" ", "")
    except ValueError:
        return f"Http{status}"


def error_fields(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a refusal's words under the names of ARM's own form, whichever form they came in.

    Gateways in front of ARM answer `{"Message": …}` (ASP.NET's), and whoever speaks OAuth
    `{"error": "code", "error_description": …}`.
    """
    error = body.get("error", body)
    if isinstance(error, str):
        return {"code": error, "message": body.get("error_description") or body.get("message")}
    if not isinstance(error, Mapping):
        return {}
    named = {name[:1].lower() + name[1:]: value for name, value in error.items()}
    return {**named, **error}
