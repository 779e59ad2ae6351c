"""What ARM answered, and what is done about it.

One table, RULES, says for every refusal and every fault of the network whether it is waited out,
checked again, or final. Waiting is never done here: whoever asks schedules a message.
"""

from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum, auto
from http import HTTPStatus
from typing import Final

from assessor.arm.hints import IMAGE_REFUSED
from assessor.arm.result import ApiError

IDENTITY_UNAVAILABLE: Final = "IdentityUnavailable"
"""The code of an error that is the identity endpoint's: ARM was not called."""
GONE_CODES: Final = frozenset({"resourcenotfound", "resourcegroupnotfound"})
"""ARM's codes of a 404 for a VM, in lower case: the VM is unknown, or its whole group is."""


class Phase(StrEnum):
    """What ARM was asked when it refused."""

    READ = auto()
    """GET of the VM."""
    LIST = auto()
    """GET of a scope's VMs."""
    BEGIN = auto()
    """POST of assessPatches."""
    POLL = auto()
    """GET of the operation's status or result."""


class ArmError(Exception):
    """ARM did not do what it was asked.

    Attributes:
        phase: what it was asked.
        status: the HTTP status; None where no answer came.
        error: what ARM said, or what happened on the way to it.
        retry_after: seconds that ARM asks to wait at the least; None where it does not ask.
        request_id: ARM's own ID of the call (x-ms-request-id), for a support case.
    """

    def __init__(
        self,
        phase: Phase,
        status: int | None,
        error: ApiError,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(f"{phase}: {status or 'no answer'} {error.code}: {error.message}")
        self.phase = phase
        self.status = status
        self.error = error
        self.retry_after = retry_after
        self.request_id = request_id

    @property
    def is_throttle(self) -> bool:
        """Whether ARM refused because of too many calls, not because of this one."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS or any(
            code == "TooManyRequests" for code, _ in self.error.said[1:]
        )


class Verdict(StrEnum):
    """What is done about a refusal."""

    WAIT = auto()
    """Ask again later: nothing is wrong with the request."""
    RECHECK = auto()
    """Read the VM again: its state has changed, or the refusal is final."""
    LOST = auto()
    """The operation can't be followed any more; the VM's instance view still knows of it."""
    UNSUPPORTED = auto()
    """This VM can't be assessed, and nothing is wrong with the request."""
    FINAL = auto()
    """The assessment failed."""


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One line of the table; it applies where all of its conditions hold."""

    why: str
    verdict: Verdict
    phases: frozenset[Phase] = frozenset(Phase)
    statuses: Container[int | None] | None = None
    """HTTP statuses, None among them for no answer; left out: whatever came."""
    codes: frozenset[str] = frozenset()
    """ARM's codes in lower case; none: any code."""
    throttle: bool = False
    says: str = ""
    """What the message, or one beneath it, says, in lower case; empty: anything."""

    def applies(self, error: ArmError) -> bool:
        """Whether this line is about `error`."""
        return (
            error.phase in self.phases
            and (self.statuses is None or error.status in self.statuses)
            and (not self.codes or error.error.code.lower() in self.codes)
            and (not self.throttle or error.is_throttle)
            and any(self.says in message for message in _messages(error))
        )


_NO_ANSWER: Final = (None,)
_SERVER_ERRORS: Final = range(500, 1000)
_POLL: Final = frozenset({Phase.POLL})
_BEGIN: Final = frozenset({Phase.BEGIN})

RULES: Final = (
    ErrorRule(
        "the identity endpoint gives no token, and ARM was not called",
        Verdict.WAIT,
        statuses=_NO_ANSWER,
        codes=frozenset({IDENTITY_UNAVAILABLE.lower()}),
    ),
    ErrorRule(
        "ARM's answer leads away from ARM, and nothing was called",
        Verdict.FINAL,
        statuses=_NO_ANSWER,
        codes=frozenset({"urlrefused"}),
    ),
    ErrorRule(
        "no answer came: the call may or may not have arrived", Verdict.WAIT, statuses=_NO_ANSWER
    ),
    ErrorRule("too many calls", Verdict.WAIT, throttle=True),
    ErrorRule(
        "the VM's image can't be assessed",
        Verdict.UNSUPPORTED,
        frozenset({Phase.BEGIN, Phase.POLL}),
        says=IMAGE_REFUSED,
    ),
    ErrorRule("ARM or the provider is unwell", Verdict.WAIT, statuses=_SERVER_ERRORS),
    ErrorRule("ARM gave up waiting for the request", Verdict.WAIT, statuses=(408,)),
    ErrorRule(
        "another operation holds the VM, and will let go of it",
        Verdict.WAIT,
        _BEGIN,
        (409,),
        frozenset(
            {
                "conflict",
                "anotheroperationinprogress",
                "operationpreempted",
                "retryableerror",
                "patchoperationinprogress",
            }
        ),
    ),
    ErrorRule(
        "the VM refuses: stopped since it was read, or already being assessed",
        Verdict.RECHECK,
        _BEGIN,
        (409,),
    ),
    ErrorRule(
        "ARM does not take the token any more: a new one is taken",
        Verdict.WAIT,
        statuses=(401,),
        codes=frozenset({"expiredauthenticationtoken"}),
    ),
    ErrorRule(
        "ARM does not take the token in mid-operation: a new one is taken",
        Verdict.WAIT,
        _POLL,
        (401,),
    ),
    ErrorRule(
        "the identity may not read the operation, or ARM has forgotten it",
        Verdict.LOST,
        _POLL,
        (403, 404, 410),
    ),
    ErrorRule("ARM refuses for good", Verdict.FINAL),
)
"""Read from the top; the first line that applies decides. The last one always applies."""


def judge(error: ArmError) -> ErrorRule:
    """Returns the line of the table that says what is done about `error`."""
    return next(rule for rule in RULES if rule.applies(error))


def _messages(error: ArmError) -> list[str]:
    """Returns what the error says, and what those beneath it say, in lower case."""
    return [message.lower() for _, message in error.error.said]
