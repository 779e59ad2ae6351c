"""Who may call the local cloud's control surfaces: programs on this machine, and no web page.

They listen on the loopback interface and ask for no password. A page in a browser of this machine
reaches them all the same, by a name that it lets point to 127.0.0.1, or across sites. So the name
that was called must be of the loopback interface, and what a browser says of the page must not be
another site.
Source: Fetch Metadata Request Headers (W3C), section 2.4; RFC 6454, section 7.
"""

import re
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Final

from aiohttp import web

_AUTHORITY: Final = re.compile(
    r"(?:(?P<name>localhost|[0-9.]+)|\[(?P<ipv6>[0-9a-f:.]+)\])(?::[0-9]{1,5})?"
)
"""A Host as clients of the loopback interface write it: no user, path or other digits, which one
reader takes for a part of the name and another does not."""
_OWN_SITES: Final = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site: a page of the surface itself, or a person who typed the address."""


@web.middleware
async def programs_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuses with 403 what came by another name, or from another site's page."""
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or not _is_loopback(hosts[0]):
        raise web.HTTPForbidden(text="Host must be of the loopback interface")
    origins = {*request.headers.getall("Origin", [])}
    if not origins <= {f"http://{hosts[0]}"}:
        raise web.HTTPForbidden(text="another site's page may not call this")
    if not _OWN_SITES.issuperset(request.headers.getall("Sec-Fetch-Site", [])):
        raise web.HTTPForbidden(text="another site's page may not call this")
    return await handler(request)


def _is_loopback(authority: str) -> bool:
    found = _AUTHORITY.fullmatch(authority.lower())
    if found is None:
        return False
    host = found["name"] or found["ipv6"]
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
