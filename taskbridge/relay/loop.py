"""One relay leads, by lease; it does its duties in turn and sleeps until something is due."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

from ..clock import Clock
from ..errors import TaskbridgeError
from ..patience import Trouble
from ..store import Store

log = logging.getLogger("taskbridge.relay")

#: How long a leader that dies keeps the lead, milliseconds. Below store.GAP_MS: a change of leader is no outage.
LEAD_MS = 3_000

#: Longest sleep, seconds: the lead is renewed this often at least.
PATIENCE_S = 0.5


@dataclass(slots=True, kw_only=True)
class Duty:
    """Something a relay does: ``run`` returns how much it did; at least ``every_s`` apart unless it did something."""

    name: str
    run: Callable[[], int]
    every_s: float
    due_s: float = 0.0


class Relay:
    """A relay of one namespace.

    Args:
        owner: its name.
        store: where the lead is.
        clock: paces the duties.
        duties: what it does while it leads.
    """

    def __init__(self, owner: str, store: Store, clock: Clock, duties: Sequence[Duty]) -> None:
        self._owner = owner
        self._store = store
        self._clock = clock
        self._duties = duties
        self._troubles: dict[str, Trouble] = {}
        self._stopping = Event()
        self.leads = False
        self._held_s = 0.0

    def run(self, stopping: Event) -> None:
        """Lead, or wait to; until stopping is set."""
        trouble = Trouble(log, self._clock, "the relay waits", "the relay goes on")
        self._stopping = stopping
        while not stopping.is_set():
            try:
                leads = self.lead()
                trouble.over()
                if not leads:
                    stopping.wait(PATIENCE_S)
                    continue
                self.tick()
                if not stopping.is_set():
                    self._store.outbox.wait(PATIENCE_S)
            except TaskbridgeError as error:
                self.leads = False
                trouble.met(error)
                stopping.wait(PATIENCE_S)
        self._resign()

    def lead(self) -> bool:
        """Take or keep the lead; the store is asked again when that was a while ago."""
        led, now_s = self.leads, self._clock.monotonic_s()
        if led and now_s - self._held_s < PATIENCE_S:
            return True
        self.leads, self._held_s = self._store.leader.hold("relay", self._owner, LEAD_MS), now_s
        if self.leads and not led:
            log.info("this relay leads (%s)", self._owner)
        return self.leads

    def tick(self) -> int:
        """Do what is due, once; returns how much was done. Nothing more is begun when it is to stop."""
        done = 0
        for duty in self._duties:
            if self._stopping.is_set():
                break
            now_s = self._clock.monotonic_s()
            if now_s >= duty.due_s:
                did = self._do(duty)
                done += did
                duty.due_s = now_s if did else now_s + duty.every_s
        return done

    def _do(self, duty: Duty) -> int:
        trouble = self._troubles.setdefault(duty.name, self._trouble(f"the relay's duty {duty.name!r}"))
        try:
            done = duty.run()
            trouble.over()
            return done
        except TaskbridgeError as error:
            trouble.met(error)
        except Exception:  # our own fault, or a vendor's: the other duties go on
            log.exception("the relay's duty %r failed and is tried again", duty.name)
        return 0

    def _trouble(self, name: str) -> Trouble:
        return Trouble(log, self._clock, f"{name} failed and is tried again", f"{name} goes on")

    def _resign(self) -> None:
        try:
            self._store.leader.resign("relay", self._owner)
        except TaskbridgeError as error:
            log.info("the lead was not resigned and lapses: %s", error)
