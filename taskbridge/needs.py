"""What a store is asked for beside a message: locks and tokens before it runs, and to be the only one of its kind."""

from __future__ import annotations

import msgspec


class NeedsLock(msgspec.Struct, frozen=True):
    """A lock that a claim must have: ``key`` in full, and how many may hold it.

    ``conflict`` says what becomes of a message that it has no room for: wait, skip or fail.
    """

    key: str
    conflict: str = "wait"
    at_most: int = 1


class Same(msgspec.Struct, frozen=True):
    """A key under which only one message is taken at a time.

    ``until`` is ``until_started`` or ``until_done``, ``window`` (for ``ttl_ms`` from the first call, whatever becomes
    of it) or ``debounce`` (a later call takes its place, and its delay begins anew). ``ttl_ms`` is the last resort.
    """

    key: str
    until: str
    ttl_ms: int


class Within(msgspec.Struct, frozen=True):
    """Where new messages belong: what counts them, and the chunk whose claim enqueues them.

    ``batches`` and ``runs`` are ids. A chunk's messages are kept only while its ``claim`` stands. ``foreign``: no
    worker of ours runs them, so nothing may count them, and their records end by themselves once they are published.
    """

    batches: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    chunk: str = ""
    claim: str = ""
    foreign: bool = False

    def for_others(self) -> Within:
        """Return where messages belong that no worker of ours runs: nobody tells how they end."""
        return Within(chunk=self.chunk, claim=self.claim, foreign=True)


#: Messages that belong nowhere.
ALONE = Within()


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
