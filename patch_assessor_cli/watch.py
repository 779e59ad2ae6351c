"""`watch`: follows the outcomes and alerts."""

import asyncio
import sys
from datetime import datetime
from typing import Annotated

import typer

from patch_assessor_cli.arrivals import (
    AlertSummary,
    Arrival,
    OutcomeSummary,
    RejectionSummary,
    is_rejection,
)
from patch_assessor_cli.client import (
    ALERTS_TOPIC,
    RESULTS_TOPIC,
    Subscription,
    choose_connection,
    follow,
    open_client,
)
from patch_assessor_cli.connection_options import ConnectionString, Namespace
from patch_assessor_cli.errors import ExitCode
from patch_assessor_cli.json_lines import json_line
from patch_assessor_cli.running import run as run_to_end
from plain_text import one_line


def watch(  # noqa: PLR0913 - one for each command line option
    *,
    results_topic: Annotated[str, typer.Option(envvar="RESULTS_TOPIC")] = RESULTS_TOPIC,
    results_subscription: Annotated[
        str, typer.Option(help="The subscription of the results topic to receive from.")
    ] = "all",
    alerts_topic: Annotated[str, typer.Option(envvar="ALERTS_TOPIC")] = ALERTS_TOPIC,
    alerts_subscription: Annotated[
        str, typer.Option(help="The subscription of the alerts topic to receive from.")
    ] = "all",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each message whole, as one line of JSON.")
    ] = False,
    count: Annotated[
        int | None, typer.Option(min=1, help="End after so many messages.", show_default=False)
    ] = None,
    for_seconds: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", min=0, help="End then.", show_default=False),
    ] = None,
    connection_string: ConnectionString = None,
    namespace: Namespace = None,
) -> None:
    """Follow the outcomes and alerts, one line for each.

    This receives and completes: what it has shown is gone from the subscriptions, and nobody else
    who receives from them gets it. Next to other consumers give it subscriptions of its own.

    Exit code 0 when --count is reached, or --for is over and no count was asked for; 1 when --for
    is over before the count is reached.
    """
    run_to_end(
        _watch(
            subscriptions=(
                Subscription(results_topic, results_subscription),
                Subscription(alerts_topic, alerts_subscription),
            ),
            as_json=as_json,
            count=count,
            for_seconds=for_seconds,
            connection_string=connection_string,
            namespace=namespace,
        )
    )


async def _watch(  # noqa: PLR0913 - the command's options
    *,
    subscriptions: tuple[Subscription, Subscription],
    as_json: bool,
    count: int | None,
    for_seconds: float | None,
    connection_string: str | None,
    namespace: str | None,
) -> ExitCode:
    alerts_topic = subscriptions[1].topic
    shown = 0

    def show(arrival: Arrival) -> bool:
        nonlocal shown
        try:
            is_alert = arrival.topic == alerts_topic
            text = arrival.to_line() if as_json else describe(arrival, is_alert)
        except Exception as error:  # noqa: BLE001 - it would stop this run, and each one after it
            text = one_line(f"{arrival.message_id} can't be shown: {error!r}")
            sys.stderr.write(f"{text}\n")
            text = json_line({"messageId": arrival.message_id}) if as_json else text
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()  # whoever reads a pipe sees it before the message is completed
        shown += 1
        return shown != count

    def wanted() -> int:
        return sys.maxsize if count is None else count - shown

    async with open_client(choose_connection(connection_string, namespace)) as client:
        try:
            async with asyncio.timeout(for_seconds):
                await follow(client, subscriptions, show, wanted)
        except TimeoutError:
            return ExitCode.DONE if count is None else ExitCode.FAILED
    return ExitCode.DONE


def describe(arrival: Arrival, is_alert: bool) -> str:  # noqa: FBT001 - one of two kinds
    """Returns a message in one line for people.

    Args:
        arrival: The message.
        is_alert: Whether it came from the alerts topic.
    """
    when = _time(arrival.enqueued_time)
    if is_alert:
        alert = AlertSummary.of(arrival)
        parts = [alert.condition, alert.severity, alert.rule, alert.vm, alert.change]
        return _line(when, "alert", parts, alert.trace_id)
    if is_rejection(arrival):
        rejection = RejectionSummary.of(arrival)
        parts = ["Rejected", rejection.reason, rejection.message_id, *rejection.errors]
        return _line(when, "outcome", parts, "")
    outcome = OutcomeSummary.of(arrival)
    parts = [outcome.outcome, outcome.status, outcome.vm, outcome.os, *_findings(outcome)]
    return _line(when, "outcome", parts, outcome.trace_id)


def _findings(outcome: OutcomeSummary) -> list[str]:
    found = []
    if outcome.grave is not None:
        found.append(f"{outcome.grave} critical or security")
    if outcome.other is not None:
        found.append(f"{outcome.other} other")
    if outcome.reboot:
        found.append("reboot pending")
    if outcome.seconds is not None:
        found.append(f"{outcome.seconds:.1f} s")
    return found


def _line(when: str, kind: str, parts: list[str], trace_id: str) -> str:
    told = [part for part in parts if part] + ([f"trace {trace_id}"] if trace_id else [])
    return one_line(f"{when}  {kind:7}  {', '.join(told)}")


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else "-"
