"""Keep claims alive from inside the process that runs them, for the engines' own commands.

Under ``taskbridge worker`` the supervisor does this from outside, so that code which holds the GIL keeps its claim.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from .errors import TaskbridgeError
from .store import LEASE_MS, Store

log = logging.getLogger("taskbridge")

#: Renew three times a lease: two may fail.
EVERY_S = LEASE_MS / 3000


def host() -> str:
    """Return this machine's name, short and without blanks, as claims and owners carry it."""
    return socket.gethostname().partition(".")[0][:24].replace(" ", "-")


class Lessor:
    """Names the claims of one process and renews them from a thread; a fork gets names and a thread of its own."""

    def __init__(self, store: Store, backend: str) -> None:
        self._store = store
        self._backend = backend
        self._lock = threading.Lock()
        self._pid = 0
        self._begin_again()

    @contextmanager
    def claim(self, message_id: str) -> Iterator[str]:
        """Name a new claim on this message and keep it alive inside the block."""
        if self._pid != os.getpid():
            self._begin_again()
        claim = f"{self._owner}:{self._backend}:{next(self._numbers)}"
        self._held.add((message_id, claim))
        try:
            yield claim
        finally:
            self._held.discard((message_id, claim))

    def _begin_again(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._owner = f"{host()}.{self._pid}.{os.urandom(3).hex()}"
            self._numbers = count(1)
            self._held: set[tuple[str, str]] = set()
            threading.Thread(target=self._renew, args=(self._held,), name="taskbridge-lease", daemon=True).start()

    def _renew(self, held: set[tuple[str, str]]) -> None:
        pause = threading.Event()
        while not pause.wait(EVERY_S):
            try:
                self._store.claims.renew(list(held))
            except TaskbridgeError as error:
                log.warning("claims of this process were not renewed: %s", error)
            except Exception:  # our own fault, or a vendor's: without this thread every claim would lapse
                log.exception("claims of this process were not renewed")
