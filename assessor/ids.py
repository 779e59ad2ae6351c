"""IDs that are made of names, so that whatever is repeated after a crash has the same ones."""

import json
import uuid
from typing import Final

_NAMESPACE: Final = uuid.UUID("7d0c7f0a-4f0e-5a35-9d0e-6b2f4f1b8f5e")
"""Makes this app's name-based UUIDs its own (RFC 9562, version 5)."""


def name_based_id(*names: str) -> str:
    """Returns the UUID that always belongs to these names, in this order, and to no others.

    They are joined as a JSON array: whatever characters are in them, two lists never look alike.
    """
    return str(uuid.uuid5(_NAMESPACE, json.dumps(names)))
