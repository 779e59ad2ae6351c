"""Answers on their way out: the headers that every answer of ARM has, as they were recorded.

What ARM says is left of its own limits is its bucket's level where limits are enforced. Elsewhere
it is what was recorded, of the hourly limits of that time: a counter of the whole run, not of one
caller's hour, that never refuses and never says less than a thousand. Left out: ``Retry-After`` on
the recorded answers: they had none.
"""

import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from localcloud.arm.buckets import Subject
from localcloud.arm.calls import CallLog
from localcloud.arm.routing import Kind

_READS_AN_HOUR: Final = 12000
_WRITES_AN_HOUR: Final = 1200
_LEAST_SAID: Final = 1000
_SERVER: Final = "Microsoft-HTTPAPI/2.0"
_ALWAYS: Final = {
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Expires": "-1",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}


@dataclass
class Exchange:
    """What becomes known of a request while it is answered."""

    kind: Kind = Kind.OTHER
    vm_key: str = ""
    vm_id: str = ""
    activity_id: str = ""
    subject: Subject = field(default_factory=lambda: Subject("", "", ""))


@dataclass
class Reply:
    """An answer before the headers that all answers share."""

    status: int
    body: bytes = b""
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Remaining:
    """What is left of the limits that a request counts against.

    Attributes:
        compute: of Compute's, as the header says it; empty to leave it out.
        arm: of ARM's own; None where limits are not enforced.
    """

    compute: str
    arm: int | None


def finish(
    request: web.Request,
    reply: Reply,
    *,
    remaining: "Remaining",
    calls: CallLog,
    routing_id: str,
) -> web.Response:
    """Returns the HTTP response of a reply.

    Args:
        request: what is answered.
        reply: the answer.
        remaining: what is left of the limits.
        calls: the calls so far, this one included.
        routing_id: region and time of ``x-ms-routing-request-id``.
    """
    correlation_id = str(uuid.uuid4())
    headers = reply.headers
    headers.update(_ALWAYS)
    headers["x-ms-request-id"] = reply.request_id
    headers["x-ms-correlation-request-id"] = correlation_id
    headers["x-ms-routing-request-id"] = f"{routing_id}:{correlation_id}"
    headers.extend([("Server", _SERVER), ("Server", _SERVER)])  # twice, as recorded
    if remaining.compute and reply.status < HTTPStatus.BAD_REQUEST:
        headers["x-ms-ratelimit-remaining-resource"] = remaining.compute
    write = request.method != "GET"
    left = remaining.arm
    if left is None:
        full = _WRITES_AN_HOUR if write else _READS_AN_HOUR
        left = max(_LEAST_SAID, full - calls.count(write=write))
    kind = "writes" if write else "reads"
    headers[f"x-ms-ratelimit-remaining-subscription-{kind}"] = str(left)
    if request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
        headers["x-ms-client-request-id"] = request.headers.get("x-ms-client-request-id", "")
    if reply.body:
        headers.setdefault("Content-Type", "application/json; charset=utf-8")
    return web.Response(status=reply.status, body=reply.body, headers=headers)
