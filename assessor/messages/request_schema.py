"""What schemas/ says of a request: the grammars of `assessor.resource_id` as patterns.

ECMA's regular expressions know no word characters of other scripts, so the patterns name what may
not be there, and take a few characters that .NET counts as no letters.
"""

from typing import Any, Final

from pydantic import WithJsonSchema

_GUID: Final = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_GROUP: Final = r"[^\x00-'*-,/:-@\[-^`{-\x7F]{0,89}[^\x00-'*-,./:-@\[-^`{-\x7F]"
_VM: Final = r"[^\x00-/:-@\[-`{-\x7F]([^\x00-,/:-@\[-^`{-\x7F]{0,78}[^\x00-/:-@\[-^`{-\x7F])?"


def _any_case(text: str) -> str:
    return "".join(f"[{each.lower()}{each.upper()}]" if each.isalpha() else each for each in text)


_SUBSCRIPTION: Final = f"/{_any_case('subscriptions')}/{_GUID}"
_GROUPS: Final = f"/{_any_case('resourceGroups')}/{_GROUP}"
_MACHINES: Final = (
    f"/{_any_case('providers')}/{_any_case('Microsoft')}\\.{_any_case('Compute')}"
    f"/{_any_case('virtualMachines')}/{_VM}"
)


def _text(pattern: str, **more: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", **more})


VM_ID: Final = _text(
    _SUBSCRIPTION + _GROUPS + _MACHINES,
    description="/subscriptions/{guid}/resourceGroups/{name}/providers/Microsoft.Compute"
    "/virtualMachines/{name}; case does not matter.",
)
SUBSCRIPTION_ID: Final = _text(_GUID)
GROUP_NAME: Final = _text(_GROUP)
VM_NAME: Final = _text(_VM)
SCOPE: Final = _text(f"{_SUBSCRIPTION}({_GROUPS})?/?")


def _has(name: str) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


_NAMES: Final = ("subscriptionId", "resourceGroupName", "vmName")

FORMS: Final[dict[str, Any]] = {
    "oneOf": [
        {"$ref": "#/$defs/hasVmId"},
        {"$ref": "#/$defs/hasNames"},
        {"$ref": "#/$defs/hasVmIds"},
        {"$ref": "#/$defs/hasScope"},
    ],
    "allOf": [
        {
            "if": {"$ref": "#/$defs/hasNames"},
            "then": {
                "required": list(_NAMES),
                "properties": {name: {"type": "string"} for name in _NAMES},
            },
        },
        {
            "if": {"anyOf": [_has("tags"), _has("runningOnly")]},
            "then": {"$ref": "#/$defs/hasScope"},
        },
    ],
    "$defs": {
        "hasVmId": _has("vmId"),
        "hasVmIds": _has("vmIds"),
        "hasScope": _has("scope"),
        "hasNames": {"anyOf": [_has(name) for name in _NAMES]},
    },
}
"""Which fields go together; the reader's own rules say the same (a test holds them together)."""
