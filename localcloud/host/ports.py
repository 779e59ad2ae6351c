"""What the trigger loop needs of a bus and of the worker: narrow, so that tests can stand in."""

from datetime import datetime
from typing import Protocol

from localcloud.host.messages import BusMessage


class Delivery(Protocol):
    """One message under a peek-lock. Its methods raise `BusUnavailableError`."""

    @property
    def message(self) -> BusMessage:
        """The message."""
        ...

    @property
    def locked_until(self) -> datetime:
        """When the lock ends, with a time zone."""
        ...

    async def complete(self) -> None:
        """Remove the message from its entity."""
        ...

    async def abandon(self) -> None:
        """Give the message back; it is delivered again at once."""
        ...

    async def renew_lock(self) -> datetime:
        """Lengthen the lock.

        Returns:
            When it ends now.
        """
        ...


class Inbox(Protocol):
    """An open receiver of one entity, used by one task at a time."""

    async def receive(self) -> Delivery | None:
        """Wait for the next message.

        Returns:
            A delivery, or None when there was none for a while.

        Raises:
            BusUnavailableError: The receiver is no longer usable.
        """
        ...

    async def close(self) -> None:
        """Close the receiver; never raises."""
        ...


class OpenInbox(Protocol):
    """Opens a receiver of one entity."""

    async def __call__(self) -> Inbox:
        """Open it.

        Returns:
            The open receiver.

        Raises:
            BusUnavailableError: It can't be opened now.
        """
        ...


class HandleMessage(Protocol):
    """Runs a function for a message."""

    async def __call__(self, message: BusMessage) -> bool:
        """Run it.

        Returns:
            Whether it succeeded.
        """
        ...


class Listener(Protocol):
    """Serves one function's trigger. The seam for further triggers."""

    async def start(self) -> None:
        """Attach; returns when triggers can fire, or when it is known that they can't yet."""
        ...

    def stop(self) -> None:
        """Stop firing at once; what is in flight goes on."""
        ...

    async def drained(self) -> None:
        """Wait, after `stop`, until nothing is in flight and everything is settled."""
        ...
