"""What `posture` tells machines: a VM, or the VMs of a tag's value, as a row."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from patch_assessor_cli.alert_rules import ALERT_RULES
from patch_assessor_cli.fleet_posture import NO_TAG, VmPosture, sum_by_tag

_RULE_NAMES: Final = {rule.name: f"{rule.name[0].lower()}{rule.name[1:]}" for rule in ALERT_RULES}
"""The rules as fields of JSON and columns have them, by their names."""


def to_json(vm: VmPosture) -> dict[str, Any]:
    """Returns a VM for machines: the attributes in camel case, times as RFC 3339."""
    plain = {_camel(name): _plain(value) for name, value in asdict(vm).items()}
    return plain | {"state": vm.state}


CSV_COLUMNS: Final = (
    "vmId",
    "state",
    "assessedAt",
    "status",
    "criticalAndSecurityCount",
    "otherCount",
    "rebootPending",
    *(f"{name}Since" for name in _RULE_NAMES.values()),
    "attemptedAt",
    "attemptReason",
    "tags",
)
"""The columns of `--csv`: those of `--json`, with one for each alert rule."""


def to_row(vm: VmPosture) -> dict[str, Any]:
    """Returns a VM as a line of a table: what is known of it, by CSV_COLUMNS."""
    plain = to_json(vm)
    since = {f"{name}Since": plain["openAlerts"].get(rule) for rule, name in _RULE_NAMES.items()}
    tags = ";".join(f"{name}={value}" for name, value in sorted((vm.tags or {}).items()))
    return plain | since | {"tags": tags}


TAG_COLUMNS: Final = (
    "tag",
    "value",
    "vms",
    "notAssessed",
    *_RULE_NAMES.values(),
    "oldestAlert",
    "assessedLast",
    "assessedFirst",
)
"""The columns of `--by-tag` for machines: how many VMs of each value, and how many alerts of each
rule are open among them."""


def tag_rows(fleet: Sequence[VmPosture], tag: str) -> list[dict[str, Any]]:
    """Returns the VMs of each value of a tag summed up, by TAG_COLUMNS; no value is None."""
    return [
        {
            "tag": tag,
            "value": None if each.subscription_id == NO_TAG else each.subscription_id,
            "vms": each.vms,
            "notAssessed": each.never_assessed,
            **{name: each.open_alerts[rule] for rule, name in _RULE_NAMES.items()},
            "oldestAlert": _plain(each.oldest_alert),
            "assessedLast": _plain(each.assessed_last),
            "assessedFirst": _plain(each.assessed_first),
        }
        for each in sum_by_tag(fleet, tag)
    ]


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _plain(value: object) -> object:
    match value:
        case datetime():
            text = value.astimezone(UTC).isoformat(timespec="milliseconds")
            return text.replace("+00:00", "Z")
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case _:
            return value
