"""Ends a child from outside: over its hard timeout, or over the hard memory cap. Looked at each tick of the supervisor.

A child over its deadline is asked for the stacks of its threads first, which C code that holds the GIL does not stop
(``faulthandler``, SIGUSR1); when it still runs the same task a moment later it is killed. Instants are monotonic
seconds.
"""

from __future__ import annotations

import logging

from ..errors import NotSupported
from .memory import CAN_LOOK, resident_mb
from .posts import Post

log = logging.getLogger("taskbridge.worker")

#: How long a child has to write down its stacks, seconds.
STACKS_S = 0.1


class Limits:
    """What children are held to.

    Args:
        hard_memory_mb: the most a child may hold, MiB; 0 is no limit.

    Raises:
        NotSupported: this system does not tell what another process holds.
    """

    def __init__(self, hard_memory_mb: int) -> None:
        if hard_memory_mb and not CAN_LOOK:
            raise NotSupported("hard_memory_mb needs /proc, as Linux has it; max_memory_mb works without")
        self._hard_memory_mb = hard_memory_mb

    def look(self, post: Post, now_s: float) -> None:
        """End the child of this post if it is over a limit."""
        deadline_s = post.slot.deadline_s
        if post.ended_for or not post.pid:
            return
        if deadline_s and now_s >= deadline_s:
            self._over_time(post, deadline_s, now_s)
        elif self._hard_memory_mb and (mb := resident_mb(post.pid)) > self._hard_memory_mb:
            why = f"it holds {mb:.0f} MiB, over hard_memory_mb={self._hard_memory_mb}"
            log.error("child %d is ended: %s; it ran %s", post.pid, why, post.runs())
            post.end_for("memory")

    def _over_time(self, post: Post, deadline_s: float, now_s: float) -> None:
        if post.stacks_for_s != deadline_s:
            post.show_stacks(deadline_s, now_s)
        elif now_s - post.stacks_at_s >= STACKS_S:
            log.error("child %d is ended: %s is over its hard timeout", post.pid, post.runs())
            post.end_for("time")
