"""Text that others wrote, made safe to show: on a terminal, and as one line of a log.

IDs, names and reasons come from whoever may send a message, and from VMs. A terminal obeys what
stands in them: it clears itself, writes its title, or shows text in another order than it has. A
line break makes two lines of a log out of one, and what takes no room makes two names look alike.
What is shown goes through here. It stands by itself, without anything but the standard library,
because the app, the commands and the local cloud need it and must not import each other.

Left out: characters that merely look like others.
"""

import re
from typing import Final

_ALWAYS: Final = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: line breaks, and what terminals obey
    "\u2028\u2029"  # separators of lines and paragraphs
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the direction of writing
    "\u00ad\u115f\u1160\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
    # the two lines above: what takes no room, and nobody's name needs
    "\ud800-\udfff"  # halves of surrogate pairs, which no encoding takes
)
_JOINERS: Final = "\u200c\u200d"
_VARIATIONS: Final = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_LETTER: Final = f"[^\x00-\x7f{_ALWAYS}{_JOINERS}{_VARIATIONS}]"
"""What such a joiner or variation can belong to: Persian, Hindi, Japanese, an emoji."""
_UNSAFE: Final = re.compile(
    f"[{_ALWAYS}]|(?<!{_LETTER})[{_VARIATIONS}]"
    f"|(?<!{_LETTER})(?<!{_LETTER}[{_VARIATIONS}])[{_JOINERS}]"
)


def one_line(text: str) -> str:
    r"""Returns the text with each such character as JSON writes it: `\u001b`.

    So the text of a JSON document, which has such characters within strings only, stays the same
    document.
    """
    if text.isascii() and text.isprintable():
        return text  # as most are; it is told ten times as fast
    return _UNSAFE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def some_lines(text: str, indent: str = "") -> str:
    """Returns the text line by line, each as by `one_line`.

    Args:
        text: what others wrote.
        indent: what lines after the first begin with, where they must not pass for lines of their
            own.
    """
    return f"\n{indent}".join(map(one_line, text.split("\n")))
