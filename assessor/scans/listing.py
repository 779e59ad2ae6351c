"""Whole fleets as the domain needs them: the VMs of a scope, page by page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from assessor.resource_id import Scope, VirtualMachineId
from dotnet_text import ignoring_case


@dataclass(frozen=True, slots=True)
class ListedVm:
    """A VM as a list shows it. What the list did not tell is None."""

    id: VirtualMachineId
    location: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    power_state: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether ARM says that the VM runs."""
        return self.power_state is not None and self.power_state.lower() == "running"

    def has(self, tags: Mapping[str, str | None]) -> bool:
        """Whether the VM has all of `tags`; None stands for any value.

        As in ARM, names are compared without regard to case, values to the letter.
        """
        mine = {ignoring_case(name): value for name, value in self.tags.items()}
        return all(
            key in mine and value in {None, mine[key]}
            for key, value in ((ignoring_case(name), value) for name, value in tags.items())
        )


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list.

    Attributes:
        vms: the VMs on it.
        next_link: what leads to the next page; None on the last one.
        unreadable: how many more VMs are on it that can't be asked for, by the reason.
    """

    vms: tuple[ListedVm, ...]
    next_link: str | None = None
    unreadable: Mapping[str, int] = field(default_factory=dict)


class PageLinkRefusedError(Exception):
    """A link to a next page that will not be followed.

    Attributes:
        problem: what is wrong with it, without the link's own text.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(f"the link to the next page is refused: {problem}")
        self.problem = problem


class Fleet(Protocol):
    """Lists VMs."""

    async def page(self, scope: Scope, link: str | None) -> Page:
        """Returns a page of the scope's VMs, with location and tags and without power states.

        Args:
            scope: a subscription or a resource group.
            link: the last page's `next_link`; None for the first page.

        Raises:
            ArmError: ARM did not answer as it should.
            PageLinkRefusedError: the link leads anywhere but to ARM and the scope's subscription.
        """
        ...

    async def power_page(self, scope: Scope, link: str | None) -> Page:
        """Returns a page of the scope's VMs with their power states, and nothing else for sure.

        Raises:
            ArmError: ARM did not answer as it should.
            PageLinkRefusedError: the link leads anywhere but to ARM and the scope's subscription.
        """
        ...


async def running_vms(fleet: Fleet, scope: Scope) -> frozenset[str]:
    """Returns the keys of the scope's running VMs: about 10 MiB for 50,000.

    Power states come with a list of their own. What ARM calls `statusOnly` tells no tags
    (https://github.com/Azure/azure-sdk-for-go/issues/18565), and the plain list no power state.

    Raises:
        ArmError: ARM did not answer as it should.
        PageLinkRefusedError: ARM sent a link that leads elsewhere.
    """
    running: set[str] = set()
    seen: set[str] = set()
    link: str | None = None
    while True:
        page = await fleet.power_page(scope, link)
        if page.next_link is not None and page.next_link in seen:
            raise PageLinkRefusedError("it leads back to a page before it")
        seen.add(page.next_link or "")
        running.update(vm.id.key for vm in page.vms if vm.is_running)
        link = page.next_link
        if link is None:
            return frozenset(running)
