"""When a queue took a message first: what a resubmitted dead letter says, and what is believed.

A message without an ID, and a scan, are known by when the queue took them. A copy of a dead letter
is taken anew, so it says when the original was, in an application property that anybody can write.
It is believed only of the past, and only together with the content: nobody takes the place of a
message to come, and whoever forges an earlier one repeats that very request at most.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from assessor.clock import from_text, to_text
from assessor.ids import name_based_id

FIRST_ENQUEUED: Final = "firstEnqueued"
"""The application property; `patch-assessor dead-letters resubmit` writes it."""
_FORM: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\d{1,19})", re.ASCII)


@dataclass(frozen=True, slots=True)
class FirstEnqueued:
    """The place that a message had in its queue when that took it first.

    Attributes:
        at: when, in UTC; milliseconds are all that counts.
        sequence_number: its number there; None where none is known.
    """

    at: datetime
    sequence_number: int | None

    def __str__(self) -> str:
        """Returns it as the application property has it."""
        return f"{to_text(self.at)} {self.sequence_number}"


def first_enqueued(own: FirstEnqueued, properties: Mapping[str, Any]) -> FirstEnqueued:
    """Returns the place of the message that this one is a copy of; its own if it is none."""
    said = properties.get(FIRST_ENQUEUED)
    form = _FORM.fullmatch(said) if isinstance(said, str) else None
    at = from_text(form[1]) if form else None
    if form is None or at is None or to_text(at) > to_text(own.at):
        return own
    return FirstEnqueued(at, int(form[2]))


def content_id(body: bytes, content_type: str | None, properties: Mapping[str, Any]) -> str:
    """Returns what is the same for messages that say the same, whenever they come."""
    said = {name: value for name, value in properties.items() if name != FIRST_ENQUEUED}
    return name_based_id(
        "content",
        hashlib.sha256(body).hexdigest(),
        content_type or "",
        json.dumps(said, sort_keys=True, default=str),
    )


def identity_without_id(first: FirstEnqueued, content: str) -> str:
    """Returns what identifies the request of a message whose sender set no ID.

    A queue that is made anew begins to count again, but not at the same time.
    """
    return name_based_id("numbered-message", str(first), content)
