"""Tells of errors that nobody foresaw: a count, and a record with the stack."""

import logging
import traceback
from typing import Final

from assessor.telemetry.metrics import Metrics

_LOG: Final = logging.getLogger(__name__)


def note_unforeseen(error: Exception, metrics: Metrics, what: str) -> None:
    """Counts the error and logs where it came from.

    What it says is left out: it may repeat what was in a message or in an answer.
    """
    metrics.unforeseen(type(error).__name__)
    stack = "".join(traceback.format_tb(error.__traceback__))
    kind = type(error).__name__
    _LOG.error(
        "%s failed by what nobody foresaw, %s\n%s",
        what,
        kind,
        stack,
        # Which makes it an exception to whoever collects, with its stack and without its words.
        extra={"exception.type": kind, "exception.stacktrace": stack},
    )
