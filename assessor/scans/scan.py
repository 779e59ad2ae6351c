"""A scan: one request for a whole scope, from its acceptance to its sum.

    request ──► expansion ──► a request for each VM ──► outcomes
                    │                                      │ recorded
                    └──► watch ──► … ──► watch ──► PatchAssessor.ScanCompleted

What travels from invocation to invocation is here, free of how it gets there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import AwareDatetime

from assessor.arm.result import ApiError
from assessor.ids import name_based_id
from assessor.messages.request import ScanRequest


def scan_id_of(request: ScanRequest) -> str:
    """Returns the ID that always belongs to this request.

    It is made of the message's ID too: a message that comes again is the same scan, and a request
    ID that somebody uses every night names a new scan every night.
    """
    return name_based_id("scan", request.message_id, request.request_id, request.scope.key)


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan that was accepted.

    Attributes:
        id: the scan's; each of its requests carries it.
        request: what was asked.
        started_at: when the scan was accepted.
    """

    id: str
    request: ScanRequest
    started_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Expansion:
    """How far a scan's list of VMs has been turned into requests.

    Attributes:
        scan: which one.
        link: where the next page is; None for the first one.
        found: the VMs that were listed so far, the unreadable ones among them.
        requested: those of them that a request was sent for.
        next_turns: when each region's next request may be released, by the region's name.
        hop: how many times the expansion was handed over. With the scan it makes the message's ID.
        attempt: how many tries in a row brought nothing.
        seen: digests of the links so far, so that none leads back.
        unreadable: how many of the VMs found can't be asked for, by the reason.
    """

    scan: Scan
    link: str | None = None
    found: int = 0
    requested: int = 0
    next_turns: Mapping[str, AwareDatetime] = field(default_factory=dict)
    hop: int = 0
    attempt: int = 0
    seen: tuple[str, ...] = ()
    unreadable: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watch:
    """A scan whose requests are all sent, and whose outcomes are awaited.

    Attributes:
        scan: which one.
        found: the VMs that were listed.
        requested: those of them that a request was sent for.
        released_at: when the last request is, or was, released.
        error: why the list is not complete; None if it is.
        hop: how many times somebody has looked.
        attempt: how many tries in a row brought nothing.
        unreadable: how many of the VMs can't be asked for, by the reason.
    """

    scan: Scan
    found: int
    requested: int
    released_at: AwareDatetime
    error: ApiError | None = None
    hop: int = 0
    attempt: int = 0
    unreadable: Mapping[str, int] = field(default_factory=dict)
