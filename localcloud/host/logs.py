"""The host's own log: each record on one line, its traceback indented below.

Much of what it says others wrote: what a function raised may repeat what was in a message.
"""

import logging

from plain_text import some_lines

_INDENT = "    "


class PlainFormatter(logging.Formatter):
    """Shows records so that none of them can pass for two, or command the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns what is shown of a record."""
        return some_lines(super().format(record), _INDENT)
