"""What a claim needs before it may run: locks and tokens of rate limits, as a store is asked for them. Plain values."""

from __future__ import annotations

import msgspec


class NeedsLock(msgspec.Struct, frozen=True):
    """A lock that a claim must have: ``key`` in full, and how many may hold it.

    ``conflict`` says what becomes of a message that it has no room for: wait, skip or fail.
    """

    key: str
    conflict: str = "wait"
    at_most: int = 1


class NeedsTokens(msgspec.Struct, frozen=True):
    """What a claim must have of a limit: ``weight`` tokens.

    ``interval_us`` is how long one takes to come, ``burst`` how many lie ready at most, as the task says; what was set
    for ``name`` at run time goes before that. ``key`` begins with the name.
    """

    name: str
    key: str
    interval_us: int
    burst: int
    weight: int = 1
