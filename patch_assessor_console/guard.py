"""Who may call the console: a browser of this machine, on the console's own pages.

It listens on the loopback interface and asks for no password. A page of another site reaches that
all the same, by a name that it lets point to 127.0.0.1 (DNS rebinding), or across sites. So the
name and port that were called must be the console's own, and what a browser says of the page that
calls must be a page of the console's.
Source: Fetch Metadata Request Headers (W3C), section 2.4; RFC 6454, section 7; RFC 6455, 10.2.
"""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OWN_SITES: Final = frozenset({b"same-origin", b"none"})
# Nothing from elsewhere; what NiceGUI builds its page from, it writes into the page itself.
_POLICY: Final = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    b"style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    b"object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class OwnPagesOnly:
    """Refuses with 403 what came by another name, or from another site's page.

    Attributes:
        app: What it guards.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app = app
        names = ("127.0.0.1", "localhost", "[::1]")
        self._hosts = frozenset(f"{name}:{port}".encode() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what may be asked."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
        elif not self._may_ask(scope):
            await _refuse(scope, receive, send)
        else:
            await self.app(scope, receive, _with_headers(send))

    def _may_ask(self, scope: Scope) -> bool:
        def values(name: bytes) -> list[bytes]:
            return [value for each, value in scope["headers"] if each.lower() == name]

        hosts, origins, sites = values(b"host"), values(b"origin"), values(b"sec-fetch-site")
        return (
            len(hosts) == 1
            and hosts[0].lower() in self._hosts
            and all(each.lower() == b"http://" + hosts[0].lower() for each in origins)
            and all(each in _OWN_SITES for each in sites)
        )


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})  # before it is accepted: a 403
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"Only the console's own pages may ask.\n"})


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await send(message)

    return sending
