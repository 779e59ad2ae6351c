"""What one message makes the app send is never more than the bus takes."""

import json

import pytest

from assessor.arm.result import ApiError
from assessor.messages.in_progress import in_progress_message, request_message, scan_message
from assessor.messages.progress import Later, Scan, ScanCompletion, ScanExpansion, scan_id_of
from assessor.messages.request import Rejection, ScanRequest
from assessor.messages.request_body import MAX_TAGS_BYTES, parse_request
from assessor.scan_account import Tally
from assessor.scans.event import scan_completed
from tests.support.builders import NOW, SUBSCRIPTION, VM_ID, incoming
from tests.support.memory_bus import MemoryBus

_WIDE = "\U0001f468"
"""Four bytes in UTF-8, and twelve in JSON in ASCII."""


def _largest(letter: str, tags: int = 50) -> dict[str, object]:
    return {
        "scope": f"/subscriptions/{SUBSCRIPTION}",
        "requestId": letter * 128,
        "requestedBy": letter * 256,
        "reason": letter * 1024,
        "tags": {f"{number:02}{letter * 510}": letter * 256 for number in range(tags)},
    }


@pytest.mark.parametrize("letter", ["a", "\u4eee", _WIDE, "\x00"])
async def test_a_scans_messages_fit_whatever_its_tags_are(letter: str) -> None:
    """The largest that is taken is sent on, summed up, and fits each time."""
    most = next(
        number
        for number in range(50, 0, -1)
        if len(json.dumps(_largest(letter, number)["tags"])) <= MAX_TAGS_BYTES
    )
    request = parse_request(incoming(_largest(letter, most)), ())
    assert isinstance(request, ScanRequest)
    scan = Scan(scan_id_of(request), request, NOW)
    underway = ScanExpansion(
        scan,
        link="https://management.azure.com/" + "x" * 16_384,
        next_turns={f"region-{number}": NOW for number in range(100)},
        seen=("d" * 16,) * 500,
    )
    ended = ScanCompletion(scan, 1, 1, NOW, ApiError(code="Code", message=letter * 1024))
    bus = MemoryBus()
    await bus.send("in-progress", [scan_message(request, NOW)])
    await bus.send("in-progress", [in_progress_message(Later(underway, NOW, "paced"))])
    await bus.send("in-progress", [in_progress_message(Later(ended, NOW, "waits"))])
    await bus.send("results", [scan_completed(ended, Tally(), NOW)])


@pytest.mark.parametrize("letter", ["\u4eee", _WIDE])
def test_tags_that_no_message_could_carry_are_refused(letter: str) -> None:
    """As a scan whose sum could never be published they would be answered by nobody."""
    rejection = parse_request(incoming(_largest(letter)), ())
    assert isinstance(rejection, Rejection)
    assert [(each.field, each.message) for each in rejection.errors] == [
        ("tags", "must be at most 128 KB as JSON in ASCII")
    ]


@pytest.mark.parametrize("letter", ["a", _WIDE, "\x00"])
def test_a_message_for_one_of_many_vms_is_small(letter: str) -> None:
    """A thousand of them follow from one message."""
    texts = {name: text for name, text in _largest(letter).items() if name.startswith("re")}
    requests = parse_request(incoming({"vmIds": [str(VM_ID)], **texts}), ())
    assert isinstance(requests, tuple)
    assert [len(request_message(each).body) < 10 * 1024 for each in requests] == [True]
