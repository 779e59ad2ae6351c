"""What to do about a refusal that users meet and can act on.

One table, HINTS. A hint stands beside ARM's own error and takes nothing from it.
"""

import re
from dataclasses import dataclass
from typing import Final

from assessor.arm.result import ApiError

_LEARN: Final = "https://learn.microsoft.com/azure"
_TROUBLES: Final = f"{_LEARN}/azure-resource-manager/troubleshooting"
_IMAGES: Final = f"{_LEARN}/update-manager/support-matrix"
IMAGE_REFUSED: Final = "selected vm image is not supported"
"""What ARM's message of a VM whose image can't be assessed says, in lower case.
Source: microsoft/lisa."""


@dataclass(frozen=True, slots=True)
class Hint:
    """What to do, and where that is explained."""

    action: str
    documentation: str


@dataclass(frozen=True, slots=True)
class HintRule:
    """One line of the table; it applies to an error that has one of the codes, or says the words.

    Attributes:
        action: what to do; `{name}` stands for what a group of that name in `says` has found.
        documentation: where that is explained.
        codes: codes in lower case.
        says: a pattern of what the message says, in any case; empty: its words don't matter.
    """

    action: str
    documentation: str
    codes: frozenset[str] = frozenset()
    says: str = ""

    def hint(self, code: str, message: str) -> Hint | None:
        """Returns the hint to an error; None where this line is not about it."""
        found = re.search(self.says, message, re.IGNORECASE) if self.says else None
        if found is None and code.lower() not in self.codes:
            return None
        groups = found.groupdict() if found is not None else {}
        return Hint(self.action.format_map(groups), self.documentation)


_RIGHT: Final = (
    r"authorization to perform action '(?P<action>[^']{1,200})' over scope '(?P<scope>[^']{1,500})'"
)
_OPERATION_RIGHT: Final = (
    r"authorization to perform action '(?P<action>[^']*locations/operations/read)' over scope "
    r"'(?P<subscription>/subscriptions/[^/']{1,60})[^']*'"
)

HINTS: Final = (
    HintRule(
        "Azure's update management does not assess this image. Take the VM out of the request or "
        "the scan, or move it to an image of the list.",
        _IMAGES,
        says=IMAGE_REFUSED,
    ),
    HintRule(
        "There is no patch extension for Arm64 here. Take the VM out of the request or the scan.",
        _IMAGES,
        says="CPU Architecture 'arm64' was not found in the extension repository",
    ),
    HintRule(
        "Update the Azure Linux Agent in the VM, and ask again.",
        f"{_LEARN}/virtual-machines/extensions/update-linux-agent",
        says="Unsupported older Azure Linux Agent version",
    ),
    HintRule(
        "The list of patches is longer than the extension tells. Install what it shows, and ask "
        "again, or ask the VM's package manager for the rest.",
        f"{_LEARN}/update-manager/troubleshoot",
        frozenset({"package_list_truncated"}),
        "PACKAGE_LIST_TRUNCATED",
    ),
    HintRule(
        "Some patches come with Ubuntu Pro only. Attach the VM to Ubuntu Pro to get them.",
        f"{_LEARN}/update-manager/security-awareness-ubuntu-support",
        frozenset({"ua_esm_required"}),
        "UA_ESM_REQUIRED",
    ),
    HintRule(
        "Register the resource provider Microsoft.Compute in the VM's subscription.",
        f"{_TROUBLES}/error-register-resource-provider",
        frozenset({"missingsubscriptionregistration", "subscriptionnotregistered"}),
    ),
    HintRule(
        "The subscription is disabled and can be read only. Its owner has to enable it again.",
        f"{_LEARN}/cost-management-billing/manage/subscription-states",
        frozenset({"readonlydisabledsubscription", "subscriptiondisabled"}),
    ),
    HintRule(
        "A read-only lock on the VM, its group or its subscription forbids the assessment. Remove "
        "it, or make it one that forbids deletion only.",
        f"{_LEARN}/azure-resource-manager/management/lock-resources",
        frozenset({"scopelocked"}),
    ),
    HintRule(
        "The app's identity lacks {action}. An operation lies under its subscription: assign the "
        "app's role at {subscription}, not at a group or a VM.",
        f"{_LEARN}/role-based-access-control/troubleshooting",
        says=_OPERATION_RIGHT,
    ),
    HintRule(
        "The app's identity lacks {action}. Assign the app's role at {scope} or above it; a new "
        "assignment takes minutes.",
        f"{_LEARN}/role-based-access-control/troubleshooting",
        says=_RIGHT,
    ),
    HintRule(
        "The app's identity lacks a right. Assign the app's role at the VM's subscription; a new "
        "assignment takes minutes.",
        f"{_LEARN}/role-based-access-control/troubleshooting",
        frozenset({"authorizationfailed", "linkedauthorizationfailed"}),
    ),
    HintRule(
        "A deny assignment, as of a managed application, forbids the assessment. No role helps: "
        "ask whoever owns it.",
        f"{_LEARN}/role-based-access-control/deny-assignments",
        frozenset({"denyassignmentauthorizationfailed"}),
    ),
    HintRule(
        "A policy forbids the operation. Its assignment is named in the error; exempt the VM, or "
        "take it out of the request or the scan.",
        f"{_TROUBLES}/error-policy-requestdisallowedbypolicy",
        frozenset({"requestdisallowedbypolicy"}),
    ),
    HintRule(
        "The identity's tenant does not know the subscription. Check the ID, and that the "
        "subscription belongs to the app's tenant.",
        f"{_TROUBLES}/error-not-found",
        frozenset({"subscriptionnotfound", "invalidauthenticationtokentenant"}),
    ),
    HintRule(
        "ARM knows no such VM. Check its ID; a VM that was moved to another group has a new one.",
        f"{_TROUBLES}/error-not-found",
        frozenset({"resourcenotfound", "resourcegroupnotfound"}),
    ),
    HintRule(
        "The VM does not allow extensions, and one makes the assessment: set its "
        "allowExtensionOperations to true.",
        f"{_LEARN}/virtual-machines/extensions/overview",
        says="allowExtensionOperations|extension operations are (disallowed|not allowed)",
    ),
    HintRule(
        "ARM had too many calls until the deadline. Scan fewer VMs of the subscription and region "
        "at a time, or lower SCAN_PACE_PER_MINUTE.",
        f"{_LEARN}/virtual-machines/compute-throttling-limits",
        frozenset({"toomanyrequests", "subscriptionrequeststhrottled"}),
    ),
)
"""Read from the top; the first line about the error, or about one beneath it, is its hint."""

AGENT_HINT: Final = Hint(
    "Install the VM's agent, or start its service; the agent makes the assessment.",
    "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/windows-azure-guest-agent",
)
"""For a VM whose agent is missing or not ready."""


def hint_for(error: ApiError | None) -> Hint | None:
    """Returns what to do about an error; None where nobody knows."""
    if error is None:
        return None
    said = _said(error)
    hints = (rule.hint(code, message) for rule in HINTS for code, message in said)
    return next((each for each in hints if each is not None), None)


def _said(error: ApiError) -> list[tuple[str, str]]:
    """Returns codes and messages: the error's own, those beneath it, and the innermost's."""
    innermost = (error.innererror or {}).get("errordetail")
    return [*error.said, (error.code, str(innermost))]
