"""Whether a message without a ledger is to be recorded all the same, where no supervisor says so."""

from __future__ import annotations

import logging
from threading import Lock

from .clock import Clock
from .errors import StoreUnavailable, StoreUnfit
from .message import Message
from .store import Store
from .store.control import Halts

log = logging.getLogger("taskbridge")

#: How old what is known of the store's wishes may be, seconds.
HEARD_S = 1.0

#: How long a thread waits for the answer that another has asked for, seconds: an answer takes no longer.
PATIENCE_S = 5.0


class Heed:
    """Asks the store what is paused, once a second at most; while it is away, what it last said holds.

    One thread asks and the others wait for the answer; nobody waits for a store that was away the last time.
    """

    def __init__(self) -> None:
        self._asking = Lock()
        self._asked_s = float("-inf")
        self._away = False
        self._halts = Halts()

    def records(self, message: Message, store: Store, clock: Clock) -> bool:
        """Whether this message is to be recorded."""
        if self._is_old(clock) and self._asking.acquire(timeout=0 if self._away else PATIENCE_S):
            try:
                if self._is_old(clock):
                    self._ask(store, clock)
            finally:
                self._asking.release()
        halts = self._halts
        return halts.records or message.task in halts.tasks or message.queue in halts.queues

    def _is_old(self, clock: Clock) -> bool:
        return clock.monotonic_s() - self._asked_s >= HEARD_S

    def _ask(self, store: Store, clock: Clock) -> None:
        asked_s = clock.monotonic_s()  # the answer is no younger than the question, whatever halts us behind it
        try:
            self._halts = store.control.halts()
            self._away = False
        except (StoreUnavailable, StoreUnfit) as error:
            self._away, asked_s = True, clock.monotonic_s()
            log.warning("what is paused is not known, and tasks without a ledger go on: %s", error)
        self._asked_s = asked_s
