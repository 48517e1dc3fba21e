"""How full the store is, for gauges that are read every few seconds: bounded, whatever the store holds.

Instants and spans are milliseconds.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from .flow import RunState
from .messages import Record
from .waiting import LimitState, LockState


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """What stood in the store at ``now_ms``.

    ``counts`` is as ``Messages.counts`` has it. ``running`` has the queue and the claim of each message that runs,
    ``claims`` how many claims stand, of code that holds too. ``overdue_ms`` is how long ago the first of what is ready
    or delayed was due, 0 when nothing is. ``limits`` are as ``Waiting.limits`` has them, ``limit_keys`` how many of
    their keys are waited at. ``runs`` go on, the newest first; ``batches`` is how many have open members.
    """

    now_ms: int
    counts: dict[tuple[str, str], int]
    running: list[tuple[str, str]]
    claims: int
    overdue_ms: int
    leader: str
    """Who leads the duty that was asked for; empty when nobody does."""
    limits: list[LimitState]
    limit_keys: int
    runs: list[RunState]
    batches: int
    longest: list[Record] = []
    """What has been running for the longest, the longest first."""
    locks: list[LockState] = []
    """Locks that are waited at, those that most wait at first."""


class Gauging(Protocol):
    """One look at all of it."""

    def read(self, duty: str, *, limit: int, runs: int, most: int = 0) -> Levels:
        """Read what stands, in a few trips.

        Args:
            duty: whose leader is asked for.
            limit: how many claims, keys that are waited at, and runs are looked at, at most. Where there are more, the
                keys whose turn is farthest and the oldest runs are left out.
            runs: how many runs are returned, at most.
            most: how many of what runs, and of the locks that are waited at, are told in full, at most; both are found
                by the claims that are looked at. Defaults to none.
        """
