"""The store's part in chains, batches and runs: what follows a message is there before the message ends.

The next link of a chain, a batch's callback and the next chunk of a run become ready in the step that ends what they
follow, so that no kill lies between. Instants and spans are milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ..message import NULL, Message

#: Where the result goes in the body of what follows: an argument that is this text.
HOLE = "\0result"


class Follower(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is to be made later, so long after what it follows. ``HOLE`` in its arguments is filled then.

    ``for_others``: only workers that are not ours can run it, and nobody tells how it ends. It is the end of its chain.
    """

    message: Message
    wait_ms: int = 0
    for_others: bool = False


class ChainState(msgspec.Struct, frozen=True, kw_only=True):
    """A chain that has not ended: ``at`` is the link that is on its way or has failed, ``left`` how many follow."""

    id: str
    at: int
    left: int
    on_error: str
    made_ms: int


class Chains(Protocol):
    """Links that wait for the one before them. The first is put with ``Flow(chain=...)`` when the others are kept."""

    def keep(self, id: str, links: Sequence[Follower], *, first: int = 1, on_error: str, call: Follower | None) -> None:
        """Keep links from number ``first`` on; several calls add up. Forgotten after a day unless the first is put.

        A chain whose first message was put stays as it is.

        Args:
            id: the chain's.
            links: each with an id that only it can have.
            first: the number of the first of these.
            on_error: ``stop``, ``continue`` with null as the result, or ``call``.
            call: for ``call``, what is made then; its hole is filled with the id of the link that failed.

        Raises:
            StoreFull: the store has no memory left.
        """

    def look(self, id: str) -> ChainState | None:
        """What is left of a chain; None when it has ended."""

    def newest(self, limit: int) -> list[ChainState]:
        """Those that have not ended, the newest first."""


class BatchState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a batch is. ``total`` is ``open`` and ``done``, ``failed`` and ``dropped`` together."""

    id: str
    total: int = 0
    open: int = 0
    done: int = 0
    failed: int = 0
    dropped: int = 0
    builder: str = ""
    """The id of the message whose task fills it; empty when no task does."""
    sealed: bool = False
    made_ms: int = 0
    ended_ms: int = 0
    """When it was complete; 0 while it is not."""


class Batches(Protocol):
    """Messages that are counted together: they are put ``Within(batches=...)``.

    A batch with open members is kept as long as they are. One that is complete is forgotten after a day; if some
    failed, or if it was never sealed, 14 days after its last member ended.
    """

    def open(self, id: str, *, when: str, then: Follower | None, error: Follower | None, builder: str = "") -> bool:
        """Begin a batch; False, and nothing changed, when it was there.

        Args:
            id: the batch's.
            when: ``all_done``, or ``all_succeeded`` for ``then`` only if none failed.
            then: made once, when it is sealed and none is open.
            error: made once, in the same way, if some failed.
            builder: the id of the message whose task fills it. What that puts in is remembered as long as the batch is,
                however long ago the members ended: a builder that is repeated adds none twice. When it is sealed, the
                same may be put again, and nothing else.
        """

    def seal(self, id: str) -> bool:
        """Say that nothing more comes; may be repeated. False when there is no such batch."""

    def look(self, id: str) -> BatchState | None:
        """How far it is; None when there is none, or it is forgotten."""

    def newest(self, limit: int) -> list[BatchState]:
        """The newest first."""


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """What a chunk came to: how many it ``did``, the cursor the next begins ``at``, and the next if any is left."""

    did: int
    at: msgspec.Raw = NULL
    message: Message | None = None


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is.

    ``state`` is running, done, failed, cancelled or dropped. ``current`` is the message id of the chunk that stands,
    ``chunk`` its number. ``open`` counts what the run has enqueued and has not ended. ``since_ms`` and ``since_done``
    are when it began or was last rewound, and how much was done then. -1 is not known, or no bound.
    """

    id: str
    task: str
    queue: str
    state: str
    paused: bool
    stopping: bool
    current: str
    chunk: int
    round: int
    done: int
    total: int
    at: msgspec.Raw
    bounds: msgspec.Raw
    open: int
    max_backlog: int
    enqueued: int
    pause_ms: int
    started_ms: int
    ended_ms: int
    error: str
    since_ms: int = 0
    since_done: int = 0


class Runs(Protocol):
    """Chunks, one after another: the next is made by ``finish`` of the one before."""

    def open(
        self,
        message: Message,
        claim: str,
        *,
        bounds: msgspec.Raw,
        at: msgspec.Raw,
        total: int,
        max_backlog: int,
        pause_ms: int,
    ) -> msgspec.Raw | None:
        """Say what the run is that this message begins.

        Returns the bounds that were said first, for it may be begun twice; None when that claim does not stand, or
        the run has gone on without it.
        """

    def steer(self, id: str, how: str, why: str = "") -> str:
        """``pause``, ``resume`` or ``cancel`` a run; returns ``ok``, ``unknown`` or ``ended``.

        A chunk that runs is left alone; its run obeys when it ends. ``why`` it is cancelled is its ``error`` then.
        """

    def rewind(self, id: str, current: str, chunk: Message, *, at: msgspec.Raw, done: int) -> str:
        """Let a run that is paused or has failed go on with another chunk in place of the one that stands.

        Returns ``ok``, ``unknown``, ``ended``, or ``running`` when ``current`` is not held or dead.
        """

    def look(self, id: str) -> RunState | None:
        """How far it is; None when it is unknown, or forgotten, a day after it ended."""

    def newest(self, limit: int) -> list[RunState]:
        """The newest first."""
