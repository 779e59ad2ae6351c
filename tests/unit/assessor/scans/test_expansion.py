"""A scan's list of VMs: which are asked for and when, and what comes after each page or error."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

import pytest

from assessor.arm.errors import ArmError, Phase
from assessor.arm.listing import ListedVm, Page, PageLinkRefusedError
from assessor.arm.result import ApiError
from assessor.backoff import GIVES_UP_AFTER, delay
from assessor.bus.message import PublishError
from assessor.clock import PollingWindow
from assessor.errors import UnavailableError
from assessor.messages.in_progress import request_message
from assessor.messages.progress import Later, Scan, ScanCompletion, ScanExpansion
from assessor.messages.request import AssessmentRequest, child_identity
from assessor.posture.model import Posture
from assessor.posture.store import PostureError
from assessor.resource_id import Scope
from assessor.scan_account import RUNNING_DIGEST_BYTES, ScanState, Tally
from assessor.scans.expansion import Expander
from assessor.scans.store import MemoryScans, ScanStoreError
from tests.support.builders import NOW, OTHER_SUBSCRIPTION, TRACEPARENT, VM_ID
from tests.support.fakes import FakeBus, FakeClock
from tests.support.scans import OTHER_SCAN_ID, SCAN, SCAN_ID, SCAN_REQUEST, SCOPE, vm

QUEUE = "in-progress"
DEADLINE = timedelta(minutes=120)
A_MOMENT = timedelta(microseconds=1)
OF_ALL = timedelta(minutes=1) / 184
"""The time between two turns of a subscription."""
OF_A_REGION = timedelta(seconds=10)
"""The time between two turns of a region, at 6 a minute."""


def _listed(
    name: str, *, location: str | None = "eastus", power_state: str | None = None, **tags: str
) -> ListedVm:
    return ListedVm(vm(name), location, tags, power_state)


def _digest(link: str) -> str:
    return hashlib.sha256(link.encode()).hexdigest()[:12]


def _runs(name: str) -> bytes:
    return hashlib.sha256(vm(name).key.encode()).digest()[:RUNNING_DIGEST_BYTES]


Answers = Mapping[str | None, Page | Exception]


@dataclass
class Lists:
    """ARM's two lists by script: what is at each link."""

    pages: Answers
    powers: Answers = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def page(self, scope: Scope, link: str | None) -> Page:
        """Shows a page."""
        self.asked.append(f"page {scope} {link}")
        return _shown(self.pages[link])

    async def power_page(self, scope: Scope, link: str | None) -> Page:
        """Shows a page of power states."""
        self.asked.append(f"power {scope} {link}")
        return _shown(self.powers[link])


def _shown(answer: Page | Exception) -> Page:
    if isinstance(answer, Exception):
        raise answer
    return answer


@dataclass
class Scene:
    """What is around the expansion of a scan."""

    lists: Lists
    bus: FakeBus = field(default_factory=FakeBus)
    store: MemoryScans = field(default_factory=MemoryScans)
    sighted: list[Posture] = field(default_factory=list)
    at: datetime = NOW
    sight_fails: bool = False

    async def sight(self, found: Sequence[Posture]) -> None:
        """Remembers what was found."""
        if self.sight_fails:
            raise PostureError(VM_ID, "no answer")
        self.sighted += found

    def expander(self, *, window: float = 0.0, allowed: Sequence[Scope] = ()) -> Expander:
        """Returns what is tested; its window is over after each page unless it lasts."""
        return Expander(
            lister=self.lists,
            bus=self.bus,
            store=self.store,
            clock=FakeClock(self.at),
            random=Random(1),
            new_window=lambda: PollingWindow(window, lambda: 0.0, asyncio.Event()),
            in_progress_queue=QUEUE,
            allowed_scopes=allowed,
            pace_per_minute=6,
            deadline=DEADLINE,
            sight=self.sight,
        )

    @property
    def asked_for(self) -> list[str | None]:
        """The VMs that requests were sent for."""
        return [each.subject for each in self.bus.sent.get(QUEUE, [])]


def _of_three_pages() -> Scene:
    return Scene(
        Lists(
            {
                None: Page((_listed("vm-0"), _listed("vm-1")), "next-1", {"NoResourceId": 1}),
                "next-1": Page((_listed("vm-2"),), "next-2", {"NoResourceId": 2, "OutOfScope": 1}),
                "next-2": Page((_listed("vm-3"),)),
            }
        )
    )


async def test_a_page_becomes_requests_and_the_next_one_is_for_later() -> None:
    """Each carries the scan, and appears when it is its turn; each has a record first."""
    scene = _of_three_pages()
    turns = {"eastus": NOW + 20 * OF_A_REGION, "*": NOW + 5 * OF_ALL}
    step = ScanExpansion(
        SCAN,
        "next-1",
        found=3,
        requested=2,
        next_turns=turns,
        reschedules=1,
        attempt=4,
        seen=(_digest("next-1"),),
        unreadable={"NoResourceId": 1},
    )
    later = await scene.expander().expand(step)

    released_at = NOW + 3 * OF_A_REGION  # the 21st turn, where 18 come at once
    assert later == Later(
        ScanExpansion(
            SCAN,
            "next-2",
            found=7,
            requested=3,
            next_turns={"eastus": NOW + 21 * OF_A_REGION, "*": NOW + 6 * OF_ALL},
            reschedules=2,
            attempt=0,
            seen=(_digest("next-1"), _digest("next-2")),
            unreadable={"NoResourceId": 3, "OutOfScope": 1},
        ),
        NOW,
        "there are more pages",
    )
    assert scene.lists.asked == [f"page {SCOPE} next-1"]
    assert await scene.store.tally(SCAN_ID) == Tally(requested=1)
    assert scene.bus.sent[QUEUE] == [
        request_message(
            AssessmentRequest(
                vm("vm-2"),
                "request-1",
                released_at,
                requested_by="ops",
                reason="monthly",
                traceparent=TRACEPARENT,
                scan_id=SCAN_ID,
                identity=child_identity(SCAN_ID, vm("vm-2")),
            ),
            released_at,
        )
    ]


async def test_after_the_last_page_the_outcomes_are_awaited() -> None:
    """From the release of the last request on."""
    scene = _of_three_pages()
    step = ScanExpansion(
        SCAN,
        "next-2",
        found=3,
        requested=2,
        next_turns={"eastus": NOW + 20 * OF_A_REGION},
        reschedules=7,
        attempt=1,
        unreadable={"NoResourceId": 1},
    )
    released_at = NOW + 3 * OF_A_REGION
    assert await scene.expander().expand(step) == Later(
        ScanCompletion(SCAN, 4, 3, released_at, None, unreadable={"NoResourceId": 1}),
        released_at,
        "outcomes are awaited",
    )


async def test_as_many_pages_as_the_window_has_time_for() -> None:
    """All of them, where it lasts; the scan is remembered from the first one on."""
    scene = _of_three_pages()
    later = await scene.expander(window=20.0).expand(ScanExpansion(SCAN))

    assert later is not None
    assert later.progress == ScanCompletion(
        SCAN, 8, 4, NOW, None, unreadable={"NoResourceId": 3, "OutOfScope": 1}
    )
    assert scene.asked_for == [str(vm(f"vm-{index}")) for index in range(4)]
    assert await scene.store.state(SCAN_ID) == ScanState(NOW)


async def test_a_scan_that_was_expanded_before_asks_for_nothing() -> None:
    """Its message has come again; nothing comes after it either."""
    scene = _of_three_pages()
    await scene.store.open(SCAN_ID, NOW)
    await scene.store.mark_expanded(SCAN_ID)
    assert await scene.expander().expand(ScanExpansion(SCAN)) is None
    assert scene.lists.asked == []


async def test_a_page_without_vms_sends_nothing() -> None:
    """And remembers none."""
    scene = Scene(Lists({None: Page(())}))
    later = await scene.expander().expand(ScanExpansion(SCAN))
    assert later == Later(ScanCompletion(SCAN, 0, 0, NOW), NOW, "outcomes are awaited")
    assert (scene.bus.effects, scene.sighted) == ([], [])


async def test_vms_with_other_tags_are_found_and_not_asked_for() -> None:
    """Nor are they remembered."""
    scene = Scene(Lists({None: Page((_listed("vm-0", env="test"), _listed("vm-1", env="prod")))}))
    scan = replace(SCAN, request=replace(SCAN_REQUEST, tags={"Env": "prod"}))
    later = await scene.expander().expand(ScanExpansion(scan))

    assert later is not None
    assert later.progress == ScanCompletion(scan, 2, 1, NOW)
    assert scene.asked_for == [str(vm("vm-1"))]
    assert scene.sighted == [
        Posture(vm("vm-1"), location="eastus", tags={"env": "prod"}, known_since=NOW)
    ]


async def test_without_anybody_who_remembers_a_scan_goes_on() -> None:
    """As where no alert about overdue VMs is set."""
    scene = _of_three_pages()
    expander = scene.expander()
    expander.sight = None
    await expander.expand(ScanExpansion(SCAN))
    assert len(scene.asked_for) == 2


RUNNING_ONLY = replace(SCAN, request=replace(SCAN_REQUEST, running_only=True))


def _of_running_and_stopped() -> Scene:
    vms = tuple(_listed(f"vm-{index}") for index in range(4))
    states = ("running", "deallocated", "running", "running")
    powers = [
        _listed(each.id.name.upper(), power_state=state)
        for each, state in zip(vms, states, strict=True)
    ]
    return Scene(
        Lists(
            {None: Page(vms[:2], "next-1"), "next-1": Page(vms[2:])},
            {
                None: Page(tuple(powers[:2]), "power-1"),
                "power-1": Page((powers[2],), "power-2"),
                "power-2": Page((powers[3],)),
            },
        )
    )


async def test_only_vms_that_run_are_asked_for_where_that_is_wished() -> None:
    """However ARM writes their names; those that are stopped are remembered, too."""
    scene = _of_running_and_stopped()
    later = await scene.expander(window=20.0).expand(ScanExpansion(RUNNING_ONLY))

    assert later is not None
    assert later.progress == ScanCompletion(RUNNING_ONLY, 4, 3, NOW)
    assert scene.asked_for == [str(vm("vm-0")), str(vm("vm-2")), str(vm("vm-3"))]
    assert [each.vm_id for each in scene.sighted] == [vm(f"vm-{index}") for index in range(4)]
    assert scene.lists.asked == [
        f"power {SCOPE} None",
        f"power {SCOPE} power-1",
        f"power {SCOPE} power-2",
        f"page {SCOPE} None",
        f"page {SCOPE} next-1",
    ]
    assert await scene.store.running(SCAN_ID) == frozenset(map(_runs, ("vm-0", "vm-2", "vm-3")))


async def test_another_worker_gets_from_the_store_which_vms_run() -> None:
    """And lists them no more."""
    scene = _of_running_and_stopped()
    await scene.store.keep_running(SCAN_ID, frozenset({_runs("vm-1")}))
    await scene.expander(window=20.0).expand(ScanExpansion(RUNNING_ONLY))

    assert scene.asked_for == [str(vm("vm-1"))]
    assert not any(each.startswith("power") for each in scene.lists.asked)


async def test_a_worker_knows_which_vms_run_for_one_scan() -> None:
    """It does not ask the store again for the same one, and lists them for another one."""
    scene = _of_running_and_stopped()
    expander = scene.expander(window=20.0)
    await expander.expand(ScanExpansion(RUNNING_ONLY))
    listed = list(scene.lists.asked)

    await scene.store.keep_running(SCAN_ID, frozenset())  # as another worker never would
    again = await expander.expand(ScanExpansion(RUNNING_ONLY))
    assert again is not None
    assert again.progress == ScanCompletion(RUNNING_ONLY, 4, 3, NOW)
    assert len(scene.lists.asked) == len(listed) + 2

    await expander.expand(ScanExpansion(Scan(OTHER_SCAN_ID, RUNNING_ONLY.request, NOW)))
    assert len(scene.lists.asked) == len(listed) + 2 + 5


@pytest.mark.parametrize("back_to", ["power-1", "power-2"])
async def test_power_states_that_lead_in_a_circle_end_the_scan(back_to: str) -> None:
    """To the page itself or to one before it."""
    powers = {
        None: Page((), "power-1"),
        "power-1": Page((), "power-2"),
        "power-2": Page((), back_to),
    }
    scene = Scene(Lists({}, powers))
    later = await scene.expander().expand(ScanExpansion(RUNNING_ONLY))
    assert later is not None
    assert isinstance(later.progress, ScanCompletion)
    assert later.progress.error == _REFUSED
    assert len(scene.lists.asked) == 3


_REFUSED = ApiError(
    "PageLinkRefused", "the link to the next page is refused: it leads back to a page before it"
)


async def test_a_link_that_leads_back_ends_the_scan_with_what_its_page_brought() -> None:
    """Its VMs are asked for."""
    scene = Scene(Lists({"next-1": Page((_listed("vm-0"),), "next-1")}))
    step = ScanExpansion(SCAN, "next-1", seen=(_digest("next-1"),))
    later = await scene.expander().expand(step)
    assert later is not None
    assert later.progress == ScanCompletion(SCAN, 1, 1, NOW, _REFUSED)


async def test_any_text_can_be_a_link() -> None:
    """Also one that UTF-8 has no bytes for: whether it is followed, the lister decides."""
    scene = Scene(Lists({None: Page((), "\ud800")}))
    later = await scene.expander().expand(ScanExpansion(SCAN))
    assert later is not None
    assert later.progress == ScanExpansion(SCAN, "\ud800", reschedules=1, seen=(_digest("?"),))


def _refusal(status: int, code: str, retry_after: float | None = None) -> ArmError:
    return ArmError(Phase.LIST, status, ApiError(code, "no"), retry_after)


STEP = ScanExpansion(SCAN, "next-1", found=2, requested=2, reschedules=5, attempt=3)


@pytest.mark.parametrize("retry_after", [None, 1200.0])
async def test_an_arm_that_is_unwell_is_asked_again(retry_after: float | None) -> None:
    """For the same page, less and less often, and never before it wishes."""
    error = _refusal(429, "TooManyRequests", retry_after)
    scene = Scene(Lists({"next-1": error}))
    seconds = delay(3, retry_after, Random(1))
    assert await scene.expander().expand(STEP) == Later(
        replace(STEP, reschedules=6, attempt=4),
        NOW + timedelta(seconds=seconds),
        "list: 429 TooManyRequests: no",
    )


async def test_what_was_sent_before_an_error_is_not_sent_again() -> None:
    """The page that failed is what comes next."""
    scene = Scene(
        Lists({"next-1": Page((_listed("vm-0"),), "next-2"), "next-2": _refusal(503, "Unwell")})
    )
    later = await scene.expander(window=20.0).expand(STEP)
    assert later is not None
    assert isinstance(later.progress, ScanExpansion)
    assert (later.progress.link, later.progress.found, later.progress.attempt) == ("next-2", 3, 1)


async def test_an_arm_that_is_unwell_until_the_deadline_ends_the_list() -> None:
    """Not a moment before; what was sent is awaited."""
    scene = Scene(Lists({"next-1": _refusal(503, "ServiceUnavailable")}))
    scene.at = NOW + DEADLINE - A_MOMENT
    before = await scene.expander().expand(STEP)
    assert before is not None
    assert isinstance(before.progress, ScanExpansion)

    scene.at = NOW + DEADLINE
    error = ApiError("ServiceUnavailable", "no")
    assert await scene.expander().expand(STEP) == Later(
        ScanCompletion(SCAN, 2, 2, scene.at, error), scene.at, "outcomes are awaited"
    )


async def test_a_refusal_for_good_ends_the_list() -> None:
    """With ARM's words."""
    scene = Scene(Lists({"next-1": _refusal(403, "AuthorizationFailed")}))
    later = await scene.expander().expand(STEP)
    assert later is not None
    error = ApiError("AuthorizationFailed", "no")
    assert later.progress == ScanCompletion(SCAN, 2, 2, NOW, error)


async def test_a_link_that_the_lister_refuses_ends_the_list() -> None:
    """With its reason."""
    scene = Scene(Lists({"next-1": PageLinkRefusedError("it leads elsewhere")}))
    later = await scene.expander().expand(STEP)
    assert later is not None
    text = "the link to the next page is refused: it leads elsewhere"
    error = ApiError("PageLinkRefused", text)
    assert later.progress == ScanCompletion(SCAN, 2, 2, NOW, error)


class Silent(MemoryScans):
    """A store that does not answer."""

    async def expect(self, scan_id: str, vms: object) -> None:
        """Raises ScanStoreError."""
        del vms
        raise ScanStoreError(scan_id, "no answer")


def _silent(kind: type[UnavailableError]) -> Scene:
    scene = Scene(Lists({"next-1": Page((_listed("vm-0"),))}))
    if kind is ScanStoreError:
        scene.store = Silent()
    scene.sight_fails = kind is PostureError
    scene.bus.refuse = lambda _: kind is PublishError
    return scene


@pytest.mark.parametrize("kind", [ScanStoreError, PublishError, PostureError])
async def test_a_table_or_a_bus_that_is_unwell_is_asked_again_for_a_week(
    kind: type[UnavailableError],
) -> None:
    """Then the host gets the error; not a moment before."""
    scene = _silent(kind)
    scene.at = NOW + GIVES_UP_AFTER - A_MOMENT
    later = await scene.expander().expand(STEP)
    assert later is not None
    assert later.progress == replace(STEP, reschedules=6, attempt=4)
    assert later.at == scene.at + timedelta(seconds=delay(3, None, Random(1)))
    assert "no answer" in later.why or "refused" in later.why

    scene.at = NOW + GIVES_UP_AFTER
    with pytest.raises(kind):
        await scene.expander().expand(STEP)


@pytest.mark.parametrize(
    ("allowed", "lists"), [([], True), ([SCOPE], True), ([Scope(OTHER_SUBSCRIPTION)], False)]
)
async def test_a_scope_that_is_allowed_no_more_is_listed_no_more(
    allowed: Sequence[Scope],
    lists: bool,  # noqa: FBT001 - one of the table's columns
) -> None:
    """What was sent is awaited, and the sum says why there is no more."""
    scene = _of_three_pages()
    later = await scene.expander(allowed=allowed).expand(STEP)
    assert bool(scene.lists.asked) is lists
    assert later is not None
    if not lists:
        error = ApiError(
            "OutOfScope", "The scope lies in none of ALLOWED_SCOPES now; nothing more was listed."
        )
        assert later.progress == ScanCompletion(SCAN, 2, 2, NOW, error)


def test_where_the_app_itself_fails_what_was_sent_is_awaited() -> None:
    """The sum names the app as the one that failed."""
    scene = _of_three_pages()
    error = ApiError("InternalError", "The app failed; its log has the stack.")
    assert scene.expander().give_up(STEP) == Later(
        ScanCompletion(SCAN, 2, 2, NOW, error), NOW, "outcomes are awaited"
    )
