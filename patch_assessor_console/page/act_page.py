"""Act: ask for assessments; on a local cloud also try what happens when things go wrong."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from azure.core.exceptions import AzureError
from nicegui.elements.mixins.text_element import TextElement

from patch_assessor_cli.errors import CommandError
from patch_assessor_console.page.elements import button, tag, text_field
from patch_assessor_console.page.shell import Context, shell
from patch_assessor_console.readers.bus import ask
from patch_assessor_console.readers.local import LocalCloud
from plain_text import one_line

_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class _Act:
    """Something that can be done.

    Attributes:
        name: What the button says.
        says: What it will do, told before it is done.
        perform: Does it; returns what was done.
    """

    name: str
    says: str
    perform: Callable[[], Awaitable[str]]


def act_page(context: Context, vm_ids: Sequence[str]) -> None:
    """Shows what can be asked for; `vm_ids` are those that the address names."""
    with shell(context, "Act"):
        tag("h1", "Act")
        if not context.target.may_send:
            tag("p", "This console is read-only: it was started with --read-only.", "note")
            return
        _ActView(context, vm_ids)


class _ActView:
    def __init__(self, context: Context, vm_ids: Sequence[str]) -> None:
        self._context = context
        self._vm_ids = "\n".join(vm_ids)
        self._scope = self._tag = ""
        with tag("section", classes="panel"):
            tag("h2", "VMs")
            self._vms_field()
            with tag("div", classes="acts"):
                button("Assess these VMs", lambda: self._propose(self._assess()), "primary")
        with tag("section", classes="panel"):
            tag("h2", "A scope")
            with tag("div", classes="toolbar"):
                text_field("Scope", self._set_scope, "/subscriptions/…")
                text_field("Only with the tag", self._set_tag, "name=value")
            with tag("div", classes="acts"):
                button("Scan this scope", lambda: self._propose(self._scan()))
        if context.target.local is not None:
            self._local = LocalCloud(context.http, context.target.local)
            self._trials()
        self._proposal = tag("div", tabindex="-1")
        self._told = tag("p", classes="told", role="status")

    def _vms_field(self) -> None:
        with tag("label", classes="field"):
            tag("span", "Resource IDs, one a line")
            field = tag("textarea", value=self._vm_ids, spellcheck="false")
        field.on("input", self._set_vms, js_handler="(e) => emit(e.target.value)")

    def _trials(self) -> None:
        with tag("section", classes="panel"):
            tag("h2", "Trials on the local cloud")
            tag("p", "They are about the first VM above, or about a worker.", "note")
            with tag("div", classes="acts"):
                button("Stop it", lambda: self._propose(self._stop()))
                button("Start it", lambda: self._propose(self._start()))
                button("Give it patches", lambda: self._propose(self._patch()))
                button("Throttle it", lambda: self._propose(self._throttle()))
                button("Kill a worker", lambda: self._propose(self._kill()))

    def _set_vms(self, event: object) -> None:
        self._vm_ids = str(getattr(event, "args", ""))

    def _set_scope(self, text: str) -> None:
        self._scope = text.strip()

    def _set_tag(self, text: str) -> None:
        self._tag = text.strip()

    def _named(self) -> list[str]:
        return list(
            dict.fromkeys(line.strip() for line in self._vm_ids.splitlines() if line.strip())
        )

    def _propose(self, act: _Act | str) -> None:
        """Says what would be done, and asks; a text says why nothing can be."""
        self._told.set_text("")
        self._proposal.clear()
        if isinstance(act, str):
            self._told.set_text(act)
            return
        with self._proposal, tag("div", classes="confirm", role="group", aria_label=act.name):
            tag("p", act.says)
            with tag("div", classes="acts"):
                button("Do it", lambda: self._perform(act), "primary")
                button("Leave it", self._proposal.clear)
        self._focus(self._proposal)

    async def _perform(self, act: _Act) -> None:
        self._proposal.clear()
        self._told.set_text("…")
        try:
            self._told.set_text(await act.perform())
        except CommandError as error:
            self._told.set_text(one_line(error.sentence))
        except AzureError as error:
            self._told.set_text(one_line(f"{type(error).__name__}: {error.message}"))

    def _focus(self, element: TextElement) -> None:
        element.client.run_javascript(f"document.getElementById('{element.html_id}').focus()")

    def _assess(self) -> _Act | str:
        vm_ids, target = self._named(), self._context.target
        if not vm_ids:
            return "Name a VM first."

        async def perform() -> str:
            return f"Sent. The message's ID is {await ask(target, vm_ids)}."

        return _Act(
            "Assess these VMs",
            f"Sends one request for {_those(vm_ids)} to {target.requests_queue} of {target.name}. "
            "Each is then assessed by Azure, which changes nothing on it.",
            perform,
        )

    def _scan(self) -> _Act | str:
        scope, target = self._scope, self._context.target
        if not scope:
            return "Name a scope first: a subscription or a resource group."
        name, equals, value = self._tag.partition("=")
        fields: dict[str, object] = {"scope": scope}
        if name:
            fields["tags"] = {name: value if equals else None}

        async def perform() -> str:
            message_id = await ask(target, (), fields)
            return f"Sent. The message's ID is {message_id}."

        only = f" that have the tag {self._tag}" if name else ""
        return _Act(
            "Scan this scope",
            f"Sends one request for all VMs of {scope}{only} to {target.requests_queue} of "
            f"{target.name}. Each of them is then assessed by Azure.",
            perform,
        )

    def _stop(self) -> _Act | str:
        return self._trial(
            "Stop it",
            "Has the local ARM say that {vm} is deallocated: its next assessment is skipped.",
            self._local.stop_vm,
        )

    def _start(self) -> _Act | str:
        return self._trial(
            "Start it", "Has the local ARM say that {vm} is running.", self._local.start_vm
        )

    def _patch(self) -> _Act | str:
        return self._trial(
            "Give it patches",
            "Has {vm} lack one security and one critical patch, and its reboot pending, from its "
            "next assessment on.",
            self._local.add_patches,
        )

    def _throttle(self) -> _Act | str:
        return self._trial(
            "Throttle it",
            "Has the local ARM refuse the next three calls about {vm} with 429 and a Retry-After "
            "of 5 seconds.",
            self._local.throttle,
        )

    def _trial(self, name: str, says: str, change: Callable[[str], Awaitable[None]]) -> _Act | str:
        vm_ids = self._named()
        if not vm_ids:
            return "Name a VM first."

        async def perform() -> str:
            await change(vm_ids[0])
            return "Done."

        return _Act(name, says.replace("{vm}", vm_ids[0]), perform)

    def _kill(self) -> _Act:
        async def perform() -> str:
            killed = await self._local.kill_worker()
            return "Killed; its host starts another." if killed else "No worker is up to be killed."

        return _Act(
            "Kill a worker",
            "Kills a host's worker process with SIGKILL, as Azure takes a machine away. What it "
            "worked on comes again, and is done once.",
            perform,
        )


def _those(vm_ids: Sequence[str]) -> str:
    if len(vm_ids) == 1:
        return vm_ids[0]
    names = ", ".join(each.rpartition("/")[2] for each in vm_ids[:_MOST_NAMED])
    left_out = len(vm_ids) - _MOST_NAMED
    more = f" and {left_out} more" if left_out > 0 else ""
    return f"{len(vm_ids)} VMs ({names}{more})"
