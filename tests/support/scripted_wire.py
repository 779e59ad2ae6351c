"""A transport of the SDK's that answers by script, as far as policies look at it."""

from collections.abc import Mapping
from typing import Any

from azure.core.pipeline.transport import AsyncHttpTransport
from multidict import CIMultiDict


class Answer:
    """An answer to one call."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str) -> None:
        self.status_code = status
        self.headers = CIMultiDict(headers)
        self._body = body
        self._is_read = False

    async def read(self) -> bytes:
        """Reads what was asked for as a stream."""
        self._is_read = True
        return self._body.encode()

    def text(self) -> str:
        """Returns the body."""
        assert self._is_read, "a streamed answer, as the begin's is, has no text before it is read"
        return self._body


class Wire(AsyncHttpTransport[Any, Any]):
    """Gives its one answer to each call, or raises it."""

    def __init__(self, answer: Answer | BaseException) -> None:
        self._answer = answer

    async def send(self, request: object, **_: object) -> Answer:
        """Answers."""
        del request
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer

    async def open(self) -> None:
        """Opens nothing."""

    async def close(self) -> None:
        """Closes nothing."""

    async def __aexit__(self, *_: object) -> None:
        """Has nothing to close."""
