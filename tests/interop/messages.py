"""Real messages of the app, read by the `cloudevents` package and judged by ajv.

    python -m tests.interop.messages UP_FILE

In a folder where npm has installed ajv. Prints a line of JSON for each scenario.
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cloudevents.core.bindings.http import HTTPMessage, from_structured_event

from tests.interop.rush import Told, rush

_SCHEMAS: Final = Path(__file__).parents[2] / "schemas"
_TIMES: Final = 6
_LEAST: Final = 400


def _is_read(told: Told) -> bool:
    """Whether the package reads the event as a webhook would get it, and finds what is in it."""
    event = told.event
    read = from_structured_event(HTTPMessage({"content-type": told.content_type}, told.body))
    return (
        read.get_id() == event["id"] == told.message_id
        and read.get_type() == event["type"]
        and read.get_source() == event["source"]
        and read.get_subject() == event.get("subject")
        and read.get_data() == event["data"]
    )


def _taken(told: Sequence[Told]) -> tuple[int, str]:
    """Returns how many ajv takes by their schemas, and what it says of the others."""
    Path("messages.jsonl").write_bytes(b"\n".join(each.body for each in told))
    done = subprocess.run(  # noqa: S603 - a program of this folder
        ["node", "ajv.mjs", str(_SCHEMAS), "messages.jsonl"],  # noqa: S607 - as installed
        capture_output=True,
        text=True,
        check=True,
    )
    judged = json.loads(done.stdout)
    return int(judged["valid"]), str(judged["errors"])


def _say(scenario: str, *, ok: bool, detail: str = "") -> None:
    sys.stdout.write(json.dumps({"scenario": scenario, "ok": ok, "detail": detail}) + "\n")


async def _try(up: Path) -> None:
    told, missing = await rush(up, _TIMES)
    kinds = dict(Counter(each.event["type"].partition(".")[2] for each in told))
    _say(
        f"{len(told)} messages, and no outcome missing",
        ok=len(told) >= _LEAST and not missing,
        detail=json.dumps(kinds | {"missing": missing}),
    )
    _say("each is one by cloudevents", ok=all(map(_is_read, told)))
    valid, errors = await asyncio.to_thread(_taken, told)
    _say("each is as its schema says, by ajv", ok=valid == len(told), detail=errors[:2000])


if __name__ == "__main__":
    asyncio.run(_try(Path(sys.argv[1])))
