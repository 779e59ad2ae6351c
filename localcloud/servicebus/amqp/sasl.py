"""The SASL layer of a connection: every mechanism that Service Bus clients offer, and any secret.

Proton serves ANONYMOUS and, with Cyrus SASL installed, what that library knows; .NET's client
offers nothing but MSSBCBS, and JMS sends a user and a password. So the layer is spoken here, and
Proton is given what comes behind it. Like the official emulator, the bus lets everybody in; what
a client is asked for in earnest is a token, at `$cbs`, and there too any one is good.

Layout: AMQP 1.0, part 5, section 5.3.
"""

from dataclasses import dataclass

from localcloud.servicebus import wire

MECHANISMS = ("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL")
"""In the order of the service's own offer."""

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"

_SASL_FRAME = 1
_SASL_MECHANISMS, _SASL_OUTCOME = 0x40, 0x44
_OK, _AUTHENTICATION_FAILED = 0, 1
_PREFIX = 8
_LONGEST = 64 * 1024  # of an init frame; a token may be its password


def _frame(performative: int, field: bytes) -> bytes:
    body = wire.described(performative, wire.listing([field]))
    return (_PREFIX + len(body)).to_bytes(4) + bytes((2, _SASL_FRAME, 0, 0)) + body


_OFFER = _frame(_SASL_MECHANISMS, wire.array([wire.symbol(name) for name in MECHANISMS]))


@dataclass(frozen=True, slots=True)
class Step:
    """What bytes of the client led to.

    Attributes:
        reply: to be sent at once.
        rest: what is meant for the layer behind.
        refused: whether the connection is to be closed after the reply.
    """

    reply: bytes = b""
    rest: bytes = b""
    refused: bool = False


class Handshake:
    """The beginning of one connection, up to AMQP's own header.

    A client may do without the layer, and begin with AMQP's header at once.
    """

    def __init__(self) -> None:
        self._unread = b""
        self._offered = False
        self.done = False
        """Whether everything from now on is meant for the layer behind."""

    def feed(self, data: bytes) -> Step:
        """Take in bytes, in any portions."""
        if self.done:
            return Step(rest=data)
        self._unread += data
        return self._negotiate() if self._offered else self._begin()

    def _begin(self) -> Step:
        if len(self._unread) < _PREFIX and SASL_HEADER[:4].startswith(self._unread[:4]):
            return Step()
        header, self._unread = self._unread[:_PREFIX], self._unread[_PREFIX:]
        if header == AMQP_HEADER:
            self.done = True
            return Step(rest=header + self._unread)
        if header != SASL_HEADER:
            # Part 2, section 2.2: the header that would have been taken, and no more.
            return Step(reply=SASL_HEADER, refused=True)
        self._offered = True
        then = self._negotiate()
        return Step(SASL_HEADER + _OFFER + then.reply, then.rest, then.refused)

    def _negotiate(self) -> Step:
        size = int.from_bytes(self._unread[:4]) if len(self._unread) >= _PREFIX else 0
        if size > _LONGEST or len(self._unread) > _LONGEST:
            return Step(refused=True)
        if not size or len(self._unread) < size:
            return Step()
        frame, self._unread = self._unread[:size], self._unread[size:]
        if not _is_known(frame):
            return Step(_frame(_SASL_OUTCOME, wire.ubyte(_AUTHENTICATION_FAILED)), refused=True)
        self.done = True
        return Step(_frame(_SASL_OUTCOME, wire.ubyte(_OK)), self._unread)


def _is_known(frame: bytes) -> bool:
    """Whether a frame chooses one of the mechanisms."""
    try:
        init, _ = wire.decode(frame, frame[4] * 4)
    except (wire.WireError, IndexError):
        return False
    match init:
        case wire.Described(descriptor=0x41, value=[str(mechanism), *_]):
            return mechanism in MECHANISMS
        case _:
            return False
