"""Looks at everything for whoever asks, and takes the numbers of it every ten seconds, so that charts have a past.

One lookout for all requests of a process; one dashboard of many takes the numbers, by lease. The thread begins with the
first look in a process, so one that forks afterwards has its own; a process that is a dashboard and nothing else begins
it at once, so that the hours before somebody looks are there.
"""

from __future__ import annotations

import logging
import os
import threading

from ..bridge import Bridge
from ..errors import TaskbridgeError
from ..lease import host
from ..message import new_id
from ..operations.lookout import Lookout
from ..operations.moments import EVERY_MS, take
from ..operations.overview import Overview

log = logging.getLogger("taskbridge.dashboard")

#: The duty of taking numbers, and how long one who has it may be silent.
DUTY, LEASE_MS = "dashboard", 3 * EVERY_MS

#: How long an overview is shown to others who ask, and how long a look may take, seconds.
FRESH_S, PATIENCE_S = 1.0, 3.0

#: How often the numbers are taken, seconds.
EVERY_S = EVERY_MS / 1000


class Watch:
    """Keeps one lookout.

    Args:
        bridge: where to look.
        every_s: how often the numbers are taken; 0 never. Defaults to ten seconds.
        fresh_s: how long an overview is shown to others who ask. Defaults to a second.
    """

    def __init__(self, bridge: Bridge, *, every_s: float = EVERY_S, fresh_s: float = FRESH_S) -> None:
        self._bridge = bridge
        self._every_s = every_s
        self._fresh_s = fresh_s
        self._seen: Overview | None = None
        self._seen_s = 0.0
        self._begin()

    def look(self) -> Overview:
        """Return how everything stands; what does not answer is as it was last seen, and told among the problems."""
        asked_s = self._bridge.clock.monotonic_s()
        if self._pid != os.getpid():
            self._begin()
        self._start(self._every_s)
        with self._lock:
            if self._seen is None or self._seen_s < asked_s - self._fresh_s:
                self._seen = self._lookout.look()
                self._seen_s = self._bridge.clock.monotonic_s()  # whoever has waited for this look has it
            return self._seen

    def keep(self) -> None:
        """Take the numbers from now on, whether somebody looks or not."""
        self._start(0.0)

    def sample(self) -> bool:
        """Take the numbers, if nobody else does; whether they were taken."""
        store = self._bridge.store
        return store.leader.hold(DUTY, self._owner, LEASE_MS) and take(store, self.look())

    def close(self) -> None:
        """Let another dashboard take the numbers, and end the threads."""
        self._ended.set()
        self._lookout.close()
        try:
            if self._pid == os.getpid():
                self._bridge.store.leader.resign(DUTY, self._owner)
        except TaskbridgeError as error:
            log.debug("another dashboard takes the numbers when the lease is over: %s", error)

    def _begin(self) -> None:
        """What belongs to one process."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._lookout = Lookout(self._bridge, patience_s=PATIENCE_S)
        self._seen = None
        self._ended = threading.Event()
        self._owner = f"{host()}.{os.getpid()}.{new_id()[:8]}"
        self._started = False

    def _start(self, after_s: float) -> None:
        with self._lock:
            begins, self._started = not self._started, True
        if begins and self._every_s:
            threading.Thread(target=self._keep, args=(after_s,), name="dashboard's numbers", daemon=True).start()

    def _keep(self, after_s: float) -> None:
        """Take them again and again, until the end; a failure is told once until it is over."""
        ended, failing = self._ended, False
        while not ended.wait(after_s):
            after_s = self._every_s
            try:
                self.sample()
            except Exception as error:
                if not failing:
                    log.warning("the numbers of charts are not taken until this is over: %s", error)
                failing = True
            else:
                failing = False
