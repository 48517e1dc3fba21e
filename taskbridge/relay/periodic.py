"""Fire the ticks of schedules: each becomes one message, whoever fires it. What it calls the relay does not know."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..errors import DecodeError, StoreFull
from ..schedules.plan import in_force, tick_of
from ..store import Store
from ..store.schedules import ScheduleState

log = logging.getLogger("taskbridge.relay")

#: How many schedules are looked at in one trip.
BATCH = 100

#: When a tick is looked at again that a full store refused, and one of a plan that cannot be read here, milliseconds.
FULL_MS, UNREADABLE_MS = 1_000, 60_000

#: A schedule that nobody has declared for so long ends: 24 h.
FORGET_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class FireTicks:
    """The duty of making messages when they are due; whoever publishes comes next."""

    store: Store

    def __call__(self) -> int:
        return sum(map(self._fire, self.store.schedules.due(BATCH)))

    def _fire(self, state: ScheduleState) -> bool:
        """Make the message of a tick; False when that is not to be done now."""
        try:
            tick = tick_of(state, in_force(state))
            became = self.store.schedules.fire(tick)
        except DecodeError as error:
            log.error("a tick is not fired: %s", error)  # noqa: TRY400
            self.store.schedules.put_off(state.name, UNREADABLE_MS)
            return False
        except StoreFull as error:
            log.warning("a tick of %s is fired when there is room: %s", state.name, error)
            self.store.schedules.put_off(state.name, FULL_MS)
            return False
        if tick.missed and became != "stale":
            log.warning("%s: %d ticks were missed", state.name, tick.missed)
        elif became == "skipped":
            log.info("%s: a tick is skipped: the one before it has not come to its end", state.name)
        return became != "stale"


@dataclass(frozen=True, slots=True)
class ForgetSchedules:
    """The duty of ending schedules whose task no worker has any more."""

    store: Store

    def __call__(self) -> int:
        for name in self.store.schedules.forget(FORGET_MS):
            log.warning("the schedule %s ends: nobody has declared it for a day", name)
        return 0
