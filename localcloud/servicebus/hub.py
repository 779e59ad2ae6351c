"""What the connections share: the broker, the faults, and the moment when deliveries are made.

Whatever changes the broker calls `touch`; once in that turn of the event loop everything due is
done, ready messages are handed out, and a timer is set for the next change that time will bring.
"""

import asyncio

from localcloud.servicebus.broker import Broker
from localcloud.servicebus.clock import Clock, Milliseconds
from localcloud.servicebus.dispatch import Browser, Consumer, Dispatcher
from localcloud.servicebus.faults import Faults
from localcloud.servicebus.store import MessageStore

_LONGEST_WAIT_SECONDS = 3600.0


class Hub:
    """The shared heart of a running bus; made and used on one event loop.

    Args:
        broker: the entities.
        faults: the faults that tests asked for.
        clock: tells the time.
    """

    def __init__(self, broker: Broker, faults: Faults, clock: Clock) -> None:
        self.broker = broker
        self.faults = faults
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due: Milliseconds | None = None  # what the timer is set for
        self._closed = False
        self._dispatchers: dict[MessageStore, Dispatcher] = {}
        self._waiting: dict[Dispatcher, None] = {}  # an ordered set: those with something ready
        for store in broker.stores():
            self._watch(store)

    def _watch(self, store: MessageStore) -> None:
        dispatcher = Dispatcher(store)
        self._dispatchers[store] = dispatcher

        def ready() -> None:
            self._waiting[dispatcher] = None

        store.on_ready = ready

    def subscribe(self, store: MessageStore, consumer: Consumer) -> None:
        """Let a consumer compete for a store's messages."""
        self._dispatchers[store].add(consumer)

    def unsubscribe(self, store: MessageStore, consumer: Consumer) -> None:
        """Let a consumer compete no more."""
        self._dispatchers[store].remove(consumer)

    def subscribe_browser(self, store: MessageStore, browser: Browser) -> None:
        """Let a browser look at a store's messages."""
        self._dispatchers[store].add_browser(browser)

    def unsubscribe_browser(self, store: MessageStore, browser: Browser) -> None:
        """Let a browser look no more."""
        self._dispatchers[store].remove_browser(browser)

    def wanted(self, store: MessageStore) -> None:
        """Say that a consumer or browser of this store has new credit."""
        self._waiting[self._dispatchers[store]] = None
        self.touch()

    def touch(self) -> None:
        """Say that something may have changed."""
        if self._turn is None and not self._closed:
            self._turn = self._loop.call_soon(self.run)

    def run(self) -> None:
        """Do now what is due, and hand out what is ready."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self.broker.advance()
        while self._waiting:
            waiting, self._waiting = self._waiting, {}
            for dispatcher in waiting:
                dispatcher.run()
        self._set_timer()

    def _set_timer(self) -> None:
        due = self.broker.next_due()
        if due == self._due and self._timer is not None:
            return
        self._due = due
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None and not self._closed:
            # One millisecond more: the loop's clock may be ahead of the bus's by a fraction of it.
            wait = max(0, due - self._clock() + 1) / 1000
            self._timer = self._loop.call_later(min(wait, _LONGEST_WAIT_SECONDS), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.run()

    def close(self) -> None:
        """Do nothing any more."""
        self._closed = True
        for handle in (self._turn, self._timer):
            if handle is not None:
                handle.cancel()
        self._turn = self._timer = None
