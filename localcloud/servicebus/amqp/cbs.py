"""`$cbs`, where clients put their tokens: any token is good.

The service checks the signature and the rights in it, and closes links when it expires; like the
official emulator, this bus lets everybody do everything.
"""

from localcloud.servicebus import wire
from localcloud.servicebus.amqp.requests import Reply
from localcloud.servicebus.message import Message

ADDRESS = "$cbs"

_ACCEPTED = Reply(
    application_properties=(
        (wire.string("status-code"), wire.integer(202)),
        (wire.string("status-description"), wire.string("Accepted")),
    ),
    body=wire.NULL,
)


def respond(_request: Message) -> Reply:
    """Accept a token."""
    return _ACCEPTED
