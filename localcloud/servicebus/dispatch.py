"""Competing consumers: who gets the next message of a store.

Consumers with credit take turns, one message each. One without credit gets nothing.
"""

from typing import Protocol

from localcloud.servicebus.entry import Delivery
from localcloud.servicebus.store import MessageStore


class Consumer(Protocol):
    """A receiver's link, as its store's dispatcher sees it."""

    deletes: bool
    """Whether what it gets is deleted at once rather than locked."""

    def is_willing(self) -> bool:
        """Whether it has credit for one more message."""
        ...

    def deliver(self, delivery: Delivery) -> None:
        """Give it a message."""
        ...


class Browser(Protocol):
    """A link that looks at a store's messages and takes none."""

    def show(self) -> None:
        """Look at what is new, as far as its credit goes."""
        ...


class Dispatcher:
    """Hands the ready messages of one store to its consumers.

    Args:
        store: where they come from.
    """

    def __init__(self, store: MessageStore) -> None:
        self._store = store
        self._consumers: list[Consumer] = []  # the next one to be served first
        self._browsers: list[Browser] = []

    def add(self, consumer: Consumer) -> None:
        """Let a consumer take its turns, beginning with the last."""
        self._consumers.append(consumer)

    def remove(self, consumer: Consumer) -> None:
        """Let a consumer take no more turns."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def add_browser(self, browser: Browser) -> None:
        """Let a browser look."""
        self._browsers.append(browser)

    def remove_browser(self, browser: Browser) -> None:
        """Let a browser look no more."""
        if browser in self._browsers:
            self._browsers.remove(browser)

    def run(self) -> None:
        """Deliver until there is no ready message, or nobody who wants one; browsers look first."""
        for browser in tuple(self._browsers):
            browser.show()
        while self._store.has_ready():
            consumer = self._next_willing()
            if consumer is None:
                return
            delivery = self._store.take() if consumer.deletes else self._store.receive()
            if delivery is None:
                return
            consumer.deliver(delivery)

    def _next_willing(self) -> Consumer | None:
        # A consumer may leave the list while it is asked, so the turns are counted beforehand.
        for consumer in tuple(self._consumers):
            if consumer.is_willing():
                self.remove(consumer)
                self._consumers.append(consumer)
                return consumer
        return None
