"""Lists of VMs: what a page of ARM's list holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from assessor.resource_id import VirtualMachineId
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
