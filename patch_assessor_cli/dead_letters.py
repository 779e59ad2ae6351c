"""`dead-letters`: shows what could not be handled, and sends it again."""

import asyncio
import sys
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from patch_assessor_cli.client import (
    ALERTS_TOPIC,
    IN_PROGRESS_QUEUE,
    REQUESTS_QUEUE,
    RESULTS_TOPIC,
    Connection,
    Subscription,
    choose_connection,
    open_client,
    parse_source,
)
from patch_assessor_cli.connection_options import ConnectionString, Namespace
from patch_assessor_cli.dead_letter_queue import DeadLetter, check_window, peek, resubmit
from patch_assessor_cli.errors import CommandError, ExitCode
from patch_assessor_cli.json_lines import json_line
from patch_assessor_cli.progress_bar import progress_bar
from patch_assessor_cli.running import run as run_to_end
from plain_text import one_line, some_lines

_ENTITIES: Final = (
    REQUESTS_QUEUE,
    IN_PROGRESS_QUEUE,
    *(
        f"{RESULTS_TOPIC}/{name}"
        for name in ("all", "rejected", "failures", "reboot-pending", "critical")
    ),
    *(f"{ALERTS_TOPIC}/{name}" for name in ("all", "sev1")),
)
_WINDOW_MINUTES: Final = 5.0  # infra/servicebus.json

Entities = Annotated[
    list[str] | None,
    typer.Option(
        "--entity",
        help="A queue, or topic/subscription; may be given several times. "
        "All of the app's by default.",
        show_default=False,
    ),
]
Entity = Annotated[str, typer.Option("--entity", help="A queue, or topic/subscription.")]

app = typer.Typer(
    help="Show what could not be handled, and send it again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_(
    *,
    entity: Entities = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    connection_string: ConnectionString = None,
    namespace: Namespace = None,
) -> None:
    """List the dead letters, and leave them where they are."""

    async def main() -> ExitCode:
        connection = choose_connection(connection_string, namespace)
        letters = await _find(connection, entity or _ENTITIES, None)
        for letter in letters:
            sys.stdout.write(f"{json_line(to_json(letter)) if as_json else describe(letter)}\n")
        if not letters and not as_json:
            sys.stdout.write("No dead letters.\n")
        return ExitCode.DONE

    run_to_end(main())


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID")],
    *,
    entity: Entities = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    connection_string: ConnectionString = None,
    namespace: Namespace = None,
) -> None:
    """Show a dead letter whole, body included, and leave it where it is."""

    async def main() -> ExitCode:
        connection = choose_connection(connection_string, namespace)
        for letter in await _find(connection, entity or _ENTITIES, [message_id]):
            if as_json:
                sys.stdout.write(f"{json_line(whole(letter))}\n")
                continue
            sys.stdout.write(f"{describe(letter)}\n")
            for name, value in (
                ("content type", letter.content_type),
                ("correlation ID", letter.correlation_id),
                ("body", letter.body_kind),
                *letter.application_properties.items(),
            ):
                sys.stdout.write(f"{one_line(f'{name}: {value}')}\n")
            sys.stdout.write(f"\n{some_lines(letter.body.decode('utf-8', errors='replace'))}\n")
        return ExitCode.DONE

    run_to_end(main())


@app.command("resubmit")
def resubmit_(  # noqa: PLR0913 - one for each command line option
    message_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="MESSAGE_ID", help="Which ones.", show_default=False),
    ] = None,
    *,
    entity: Entity = REQUESTS_QUEUE,
    everything: Annotated[
        bool, typer.Option("--all", help="All dead letters that the entity has now.")
    ] = False,
    new_id: Annotated[
        bool,
        typer.Option(
            "--new-id",
            help="Give the copies new message IDs, so that duplicate detection lets them pass at "
            "once. A request without a request ID of its own is then answered under the new ID.",
        ),
    ] = False,
    window_minutes: Annotated[
        float, typer.Option(min=0, help="The entity's duplicate detection window.")
    ] = _WINDOW_MINUTES,
    yes: Annotated[
        bool, typer.Option("--yes", help="Send to a topic, though all its subscriptions get it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    connection_string: ConnectionString = None,
    namespace: Namespace = None,
) -> None:
    """Send copies of dead letters to their queue, then take the dead letters away.

    A copy has the same body and properties, byte for byte, and says in one more, firstEnqueued,
    when the queue took the original, so that it stays the same request; with --new-id it does not.
    It is sent before its dead letter is completed: after a crash in between there are both, and
    none is lost. A message that can't be read is not sent again, and stays.
    """
    if bool(message_ids) == everything:
        raise typer.BadParameter("Give message IDs or --all, one of the two.")

    async def main() -> ExitCode:
        source = parse_source(entity)
        if isinstance(source, Subscription) and not yes:
            raise CommandError(
                f"What is sent to {source.topic} again reaches all its subscriptions, not "
                f"{source.name} alone. Say --yes if that is what you want.",
                ExitCode.WRONG_USAGE,
            )
        connection = choose_connection(connection_string, namespace)
        letters = await _find(connection, [entity], message_ids)
        if not new_id:
            check_window(letters, timedelta(minutes=window_minutes), datetime.now(UTC))
        make_id = (lambda: str(uuid.uuid4())) if new_id else None
        async with open_client(connection) as client:
            with progress_bar("sent again", len(letters)) as advance:
                sent = await resubmit(client, source, letters, make_id, advance)
        for old, new in sent.items():
            if as_json:
                sys.stdout.write(f"{json_line({'messageId': old, 'sentAs': new})}\n")
                continue
            told = f"{old} is sent again{f' as {new}' if new != old else ''}."
            sys.stdout.write(f"{one_line(told)}\n")
        return ExitCode.DONE

    run_to_end(main())


def describe(letter: DeadLetter) -> str:
    """Returns a dead letter in one line for people."""
    enqueued = letter.enqueued_time
    when = f"{enqueued:%Y-%m-%dT%H:%M:%SZ}" if enqueued else "-"
    return one_line(
        f"{letter.source}  {letter.message_id}  sent {when}  deliveries {letter.delivery_count}  "
        f"{letter.reason}: {' '.join(letter.description.split())}"
    )


def to_json(letter: DeadLetter) -> dict[str, object]:
    """Returns a dead letter without its body as JSON."""
    return {
        "entity": str(letter.source),
        "sequenceNumber": letter.sequence_number,
        "messageId": letter.message_id,
        "correlationId": letter.correlation_id,
        "reason": letter.reason,
        "description": letter.description,
        "deliveryCount": letter.delivery_count,
        "enqueuedTime": letter.enqueued_time.isoformat() if letter.enqueued_time else None,
    }


def whole(letter: DeadLetter) -> dict[str, object]:
    """Returns a dead letter as JSON, with its properties and its body."""
    return to_json(letter) | {
        "contentType": letter.content_type,
        "applicationProperties": dict(letter.application_properties),
        "body": letter.body.decode("utf-8", errors="replace"),
        "bodyKind": letter.body_kind,
    }


async def _find(
    connection: Connection, entities: Sequence[str], message_ids: Sequence[str] | None
) -> list[DeadLetter]:
    """Returns the dead letters with these IDs, or all.

    Raises:
        CommandError: One of the IDs is not among them.
    """
    sources = [parse_source(entity) for entity in entities]
    async with open_client(connection) as client:
        letters = await asyncio.gather(*(peek(client, source) for source in sources))
    found = [
        letter
        for some in letters
        for letter in some
        if message_ids is None or letter.message_id in message_ids
    ]
    absent = set(message_ids or ()) - {letter.message_id for letter in found}
    if absent:
        raise CommandError(
            f"No dead letter of {', '.join(entities)} has the ID {', '.join(sorted(absent))}."
        )
    return found
