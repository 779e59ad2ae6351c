"""What a month of assessments costs, from docs/costs.json: `python infra/costs.py`.

Calls to ARM are free, and so are managed identities, role assignments and the workbook. Left out:
traffic out of Azure, Event Grid (100,000 events a month are free), and zone redundancy.
"""
# ruff: noqa: INP001, T201 - a script beside what it is about, which prints

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DATA = Path(__file__).resolve().parents[1] / "docs" / "costs.json"
_SECONDS_A_DAY = 86_400
_MILLION = 1_000_000
_KB_A_GB = 1_000_000
_ENDPOINTS = 3
"""Blobs, tables and Service Bus have a private endpoint and a private DNS zone each."""


@dataclass(frozen=True, slots=True)
class Month:
    """What one fleet costs in a month, in US dollars.

    Attributes:
        vms_a_day: how many VMs are assessed.
        trace_ratio: the share of assessments whose traces are kept.
        functions: executions and memory.
        bus_standard: a Standard namespace with its operations.
        bus_premium: a Premium namespace with one messaging unit.
        logs: what Log Analytics takes in: telemetry and diagnostics.
        network: private endpoints and zones for storage and for Service Bus.
        rest: alert rules and storage.
    """

    vms_a_day: int
    trace_ratio: float
    functions: float
    bus_standard: float
    bus_premium: float
    logs: float
    network: float
    rest: float

    @property
    def default(self) -> float:
        """The sum of what is deployed where nothing is chosen: Standard, no private endpoints."""
        return self.functions + self.bus_standard + self.logs + self.rest

    @property
    def private(self) -> float:
        """The sum with PRIVATE_NETWORK=true: Premium, and everything behind private endpoints."""
        return self.functions + self.bus_premium + self.network + self.logs + self.rest


def invocations(assumptions: Mapping[str, Any]) -> float:
    """Returns the invocations of one assessment: its begin, and one for each poll."""
    return 1 + float(assumptions["polls"])


def gb_seconds(seconds: float, window: float, concurrency: float, instance_gb: float) -> float:
    """Returns the memory that is paid for, in GB-seconds.

    An instance is paid for while at least one invocation runs on it. With invocations that come at
    random, `load` of them at a time, that is 1 - e^-load of the time.

    Args:
        seconds: what all invocations take together, each rounded up to the least that is billed.
        window: the time within which they come, evenly.
        concurrency: how many run on one instance at the same time.
        instance_gb: an instance's memory.
    """
    load = seconds / window
    instances = max(1, math.ceil(load / concurrency))
    busy = 1 - math.exp(-load / instances)
    return instances * busy * window * instance_gb


def gb_seconds_a_day(vms: int, assumptions: Mapping[str, Any]) -> float:
    """Returns the memory that is paid for if the day's requests come evenly, the dearest case.

    Flex Consumption scales each Service Bus function on instances of its own: those that begin and
    those that poll do not share one.
    """
    begins, polls = 1.0, invocations(assumptions) - 1
    return sum(
        gb_seconds(
            vms * each * float(assumptions["invocation_seconds"]),
            _SECONDS_A_DAY,
            assumptions["concurrency"],
            assumptions["instance_gb"],
        )
        for each in (begins, polls)
    )


def metric_kb_a_day(paid_gb_seconds: float, assumptions: Mapping[str, Any]) -> float:
    """Returns what metrics take in a day: instances that work send those that have changed."""
    sent = (
        paid_gb_seconds / float(assumptions["instance_gb"]) / float(assumptions["metric_seconds"])
    )
    return sent * float(assumptions["metric_series"]) * float(assumptions["metric_kb_a_point"])


def bus_operations(assumptions: Mapping[str, Any]) -> float:
    """Returns the operations of one assessment: each message is sent, received and settled."""
    polls = invocations(assumptions) - 1
    outcome = 1 + 2 * int(assumptions["subscriptions_that_get_an_outcome"])
    return int(assumptions["bus_operations_a_message"]) * (1 + polls) + outcome


def tiered(millions: float, tiers: Sequence[Mapping[str, Any]]) -> float:
    """Returns the price of so many million operations, each tier's share at its own price."""
    total, start = 0.0, 0.0
    for tier in tiers:
        end = math.inf if tier["up_to_million"] is None else float(tier["up_to_million"])
        total += max(0.0, min(millions, end) - start) * float(tier["a_million"])
        start = end
    return total


def month(fleet: Mapping[str, Any], data: Mapping[str, Any]) -> Month:
    """Returns what a fleet costs, by the prices and assumptions of `data`."""
    prices, assumptions = data["prices"], data["assumptions"]
    vms, ratio = int(fleet["vms_a_day"]), float(fleet["trace_ratio"])
    assessments = vms * prices["days_a_month"]
    executions = assessments * invocations(assumptions)
    memory_a_day = gb_seconds_a_day(vms, assumptions)
    memory = memory_a_day * prices["days_a_month"]
    logged = assumptions["app_span_kb"] * ratio + assumptions["app_record_kb"]
    sent = assessments * logged + executions * assumptions["host_kb_an_invocation"]
    sent += metric_kb_a_day(memory_a_day, assumptions) * prices["days_a_month"]
    diagnostics = assumptions["diagnostics_kb_a_day"] * prices["days_a_month"]
    logs_gb = (sent * assumptions["billed_share"] + diagnostics) / _KB_A_GB
    millions = assessments * bus_operations(assumptions) / _MILLION
    tables = assessments * assumptions["table_operations"] / 10_000
    return Month(
        vms_a_day=vms,
        trace_ratio=ratio,
        functions=(
            max(0.0, memory - prices["functions_free_gb_seconds"]) * prices["functions_gb_second"]
            + max(0.0, executions - prices["functions_free_executions"])
            / _MILLION
            * prices["functions_million_executions"]
        ),
        bus_standard=prices["service_bus_standard_month"]
        + tiered(millions, prices["service_bus_standard_tiers"]),
        bus_premium=prices["service_bus_premium_month"],
        logs=max(0.0, logs_gb - prices["logs_free_gb"]) * prices["logs_gb"],
        network=_ENDPOINTS * (prices["private_endpoint_month"] + prices["private_zone_month"]),
        rest=(
            assumptions["log_alert_rules"] * prices["log_alert_rule_month"]
            + assumptions["metric_alert_series"] * prices["metric_alert_series_month"]
            + prices["storage_month"]
            + tables * prices["table_10000_operations"]
        ),
    )


def table(months: Sequence[Month]) -> str:
    """Returns the sums as the Markdown table of docs/deploy.md."""
    rows: list[tuple[str, list[str]]] = [
        ("traces kept", [f"{each.trace_ratio:.0%}" for each in months]),
        ("functions", [_dollars(each.functions) for each in months]),
        ("logs, traces, metrics, diagnostics", [_dollars(each.logs) for each in months]),
        ("alert rules, storage", [_dollars(each.rest) for each in months]),
        ("Service Bus Standard", [_dollars(each.bus_standard) for each in months]),
        ("**sum, by default**", [f"**{_dollars(each.default)}**" for each in months]),
        ("Service Bus Premium instead", [_dollars(each.bus_premium) for each in months]),
        ("three private endpoints", [_dollars(each.network) for each in months]),
        ("**sum, private**", [f"**{_dollars(each.private)}**" for each in months]),
    ]
    head = ["US dollars a month", *(f"{each.vms_a_day:,} VMs a day" for each in months)]
    lines = [_row(head), _row(["---", *("---:" for _ in months)])]
    return "\n".join([*lines, *(_row([name, *cells]) for name, cells in rows)])


def _dollars(amount: float) -> str:
    return f"{amount:,.0f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Prints the table."""
    data = json.loads(_DATA.read_text())
    print(table([month(fleet, data) for fleet in data["fleets"]]))


if __name__ == "__main__":
    main()
