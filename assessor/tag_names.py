"""What the application property of a tag is called.

A tag's name may hold what no name in a SQL filter holds without brackets; each such character is an
underscore in the property's name: `cost center` is `tag_cost_center`.
"""

import re
from typing import Final

_NO_WORD: Final = re.compile(r"\W")


def property_name(tag: str) -> str:
    """Returns the name of the application property that carries a tag."""
    return f"tag_{_NO_WORD.sub('_', tag)}"
