"""Who may call the local cloud's control surfaces: programs on this machine, and no web page.

They listen on the loopback interface and ask for no password. A page in a browser of this machine
reaches them all the same, by a name that it lets point to 127.0.0.1, or across sites. So the name
that was called must be of the loopback interface, and what a browser says of the page must not be
another site.
Source: Fetch Metadata Request Headers (W3C), section 2.4; RFC 6454, section 7.
"""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Final

from aiohttp import web
from yarl import URL

_OWN_SITES: Final = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site: a page of the surface itself, or a person who typed the address."""


@web.middleware
async def programs_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuses with 403 what came by another name, or from another site's page."""
    if not _is_loopback(f"//{request.headers.get('Host', '')}"):
        raise web.HTTPForbidden(text="Host must be of the loopback interface")
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.headers['Host']}":
        raise web.HTTPForbidden(text="another site's page may not call this")
    if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITES:
        raise web.HTTPForbidden(text="another site's page may not call this")
    return await handler(request)


def _is_loopback(address: str) -> bool:
    try:
        host = URL(address).host or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
