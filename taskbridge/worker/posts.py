"""A post: one slot of a worker, and the child that stands there now."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from .slots import Slot

if TYPE_CHECKING:
    from .generation import Generation
    from .keep import Keep


class Post:
    """Knows its child's pid and name, and when to ask for another. Instants are monotonic seconds.

    ``generation`` is whose child stands here, or stood here last; ``group`` is the name of its group. ``wanted`` is
    whether there is to be one at all.
    """

    def __init__(self, number: int, slot: Slot, group: str = "") -> None:
        self.number = number
        self.slot = slot
        self.group = group
        self.generation: Generation | None = None
        self.wanted = True
        self.pid = 0
        self.owner = ""
        self.boots = 0
        self.hand_emptied = False
        self.draining = False
        self.ended_for = ""
        self.stacks_for_s = self.stacks_at_s = 0.0
        self._ordered = False
        self._since_s = 0.0
        self._told_s: float | None = None
        self._not_before_s = 0.0
        self._early_ends = 0

    def wants_child(self, now_s: float) -> bool:
        """Whether there is to be one, nobody stands here, and it is time to ask."""
        return self.wanted and not self.taken and now_s >= self._not_before_s

    @property
    def taken(self) -> bool:
        """Whether a child stands here or is on its way."""
        return bool(self.pid) or self._ordered

    @property
    def keep(self) -> Keep:
        """What keeps the child that stands here, or stood here last."""
        assert self.generation is not None
        assert self.generation.keep is not None
        return self.generation.keep

    @property
    def retiring(self) -> bool:
        """Whether the child was told to make room for another."""
        return self._told_s is not None

    def retiring_for_s(self, now_s: float) -> float:
        """How long ago it was told; 0 when it was not."""
        return now_s - self._told_s if self._told_s is not None else 0.0

    def changes_hands(self, now_s: float, at_most_s: float) -> bool:
        """Whether one child is about to leave, or the next to begin; neither is waited for longer than so."""
        if self._told_s is not None:
            return now_s - self._told_s < at_most_s
        begun = self.slot.last_life_s > self._since_s or bool(self.slot.running())
        return self.taken and not begun and now_s - self._since_s < at_most_s

    def busy_s(self, now_s: float) -> float:
        """How long the child has had something to do, its start included, seconds; 0 where nobody stands."""
        return max(0.0, now_s - self._since_s - self.slot.idle_s(now_s)) if self.taken else 0.0

    def went_for(self, code: int) -> str:
        """Return in a word why the child has gone, which ended with this code."""
        if self.ended_for:
            return {"time": "hard_timeout", "memory": "hard_memory"}.get(self.ended_for, self.ended_for)
        if self.draining:
            return "grace"
        if not self.wanted:
            return "scaled"
        if self.retiring:
            return "reload"
        return "crash" if code else self.slot.leaves or "ended"

    def ordered(self, owner: str, now_s: float) -> None:
        """A child of this name was asked for."""
        self.boots += 1
        self.owner = owner
        self.slot.reset(now_s)
        self._ordered, self._since_s, self._told_s = True, now_s, None
        self.hand_emptied = self.draining = False
        self.ended_for, self.stacks_for_s = "", 0.0

    def forked(self, pid: int) -> None:
        """It came."""
        self.pid, self._ordered = pid, False

    def vacated(self, now_s: float, *, too_soon_s: float, patience_s: float) -> None:
        """It is gone; one that went too soon, and had settled nothing, is not replaced at once.

        One that we ended for what its task did is no sign of trouble.
        """
        self.pid, self._ordered = 0, False
        futile = now_s - self._since_s < too_soon_s and not self.slot.settled and not self.retiring
        futile = futile and not (self.ended_for and self.slot.running())
        self._early_ends = self._early_ends + 1 if futile else 0
        wait_s = 0.0 if self._early_ends < 3 else min(patience_s, 0.25 * 2 ** min(self._early_ends, 16))
        self._not_before_s = now_s + wait_s
        self._told_s = None

    def forgive(self) -> None:
        """Ask at once again: there is new code."""
        self._early_ends, self._not_before_s = 0, 0.0

    def dismiss(self, now_s: float) -> None:
        """There is to be none here: the child that is there finishes."""
        self.wanted = False
        if self.pid and not self.retiring:
            self.retire(now_s)

    def retire(self, now_s: float) -> None:
        """Ask the child to finish and make room for another."""
        self._told_s = now_s
        self.terminate()

    def terminate(self) -> None:
        """Ask it to finish."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._send(signal.SIGKILL)

    def end_for(self, why: str) -> None:
        """End it for what its task does, ``time`` or ``memory``, or because it is ``deaf``."""
        self.ended_for = why
        self.kill()

    def show_stacks(self, deadline_s: float, now_s: float) -> None:
        """Have it write the stacks of its threads to the log, for it has missed this deadline."""
        self.stacks_for_s, self.stacks_at_s = deadline_s, now_s
        self._send(signal.SIGUSR1)

    def runs(self) -> str:
        """What it runs, for the log."""
        return " and ".join(one.id for one in self.slot.running()) or "nothing"

    def _send(self, number: signal.Signals) -> None:
        if self.pid:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return
