"""Text that others wrote, made safe to show: on a terminal, and as one line of a log.

IDs, names and reasons come from whoever may send a message, and from VMs. A terminal obeys what
stands in them: it clears itself, writes its title, or shows text in another order than it has; and
a line break makes two lines of a log out of one. What is shown goes through here. It stands by
itself, without anything but the standard library, because the app, the commands and the local cloud
need it and must not import each other.

Left out: characters that merely look like others, or take no room.
"""

import re
from typing import Final

_UNSAFE: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: line breaks, and what terminals obey
    "\u2028\u2029"  # separators of lines and paragraphs
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the direction of writing
    "\ud800-\udfff"  # halves of surrogate pairs, which no encoding takes
    "]"
)


def one_line(text: str) -> str:
    r"""Returns the text with each control character as JSON writes it: `\u001b`.

    So the text of a JSON document, which has such characters within strings only, stays the same
    document.
    """
    if text.isascii() and text.isprintable():
        return text  # as most are; it is told ten times as fast
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def some_lines(text: str, indent: str = "") -> str:
    """Returns the text line by line, each as by `one_line`.

    Args:
        text: what others wrote.
        indent: what lines after the first begin with, where they must not pass for lines of their
            own.
    """
    return f"\n{indent}".join(map(one_line, text.split("\n")))
