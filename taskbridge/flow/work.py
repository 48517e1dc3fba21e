"""One chunk of a run at work: what is handed to the task, what it enqueues, and the chunk that follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from ..chunking import Bounds, ChunkPolicy, decode, encode
from ..clock import Clock
from ..enqueue import refuse_large
from ..errors import ClaimLost
from ..message import NULL, Flow, Message
from ..needs import Within
from ..patience import patiently
from ..scope import Scope
from ..store import Store
from ..store.flow import Next
from .chunk import Chunk, advanced


@dataclass(slots=True, kw_only=True)
class Work:
    """The chunk that a message is. Called in place of the task's function; ``came_to`` is asked afterwards.

    Args:
        message: of a chunked task.
        claim: whose it is.
        function: the task's own, which takes the chunk first.
        chunks: what was declared.
        store: where its run is.
        clock: what ``max_runtime`` is of.
        max_payload: most bytes of the next chunk's message.
        stopping: whether the worker is asked to stop.
    """

    message: Message
    claim: str
    function: Callable[..., Any]
    chunks: ChunkPolicy
    store: Store
    clock: Clock
    max_payload: int
    stopping: Callable[[], bool] | None = None
    flow: Flow = field(init=False)
    _bounds: Bounds | None = field(default=None, init=False)
    _at: msgspec.Raw = field(init=False)
    _chunk: Chunk[Any] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        asked = self.message.flow or Flow()
        self.flow = asked if asked.run else msgspec.structs.replace(asked, run=self.message.id)
        self._at = self.flow.at

    @property
    def scope(self) -> Scope:
        """Where what the chunk enqueues belongs, as long as its claim stands."""
        flow = self.flow
        return Scope(f"{flow.run}:{flow.round}", Within(runs=(flow.run,), chunk=self.message.id, claim=self.claim))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        chunk = self._open()
        return None if chunk is None else self.function(chunk, *args, **kwargs)

    def came_to(self) -> Next | None:
        """What the chunk did and the message of the next one; None for a run over nothing, which was never opened.

        Raises:
            CursorStuck: the next chunk would be the same one.
            PayloadTooLarge: its cursor is no small one.
        """
        if self._bounds is None:
            return None
        if self._chunk is None:
            return Next(did=0)
        reached = advanced(self._at, self._chunk.reached)
        following = None if reached is None else self._following(self._bounds, reached)
        return Next(did=self._did(self._bounds, reached), at=NULL if reached is None else reached, message=following)

    def _open(self) -> Chunk[Any] | None:
        """Make the chunk; None when nothing is left."""
        begins = self.message.flow is None or not self.message.flow.run
        bounds = self._begin() if begins else decode(self.flow.bounds)
        if bounds is None or bounds.cursor is None:
            return None
        self._bounds = bounds
        self._at = bounds.cursor if begins else self.flow.at
        chunk: Chunk[Any] | None = self.chunks.range.chunk(bounds, self._at, self.chunks.size)
        if chunk is None:
            return None
        if chunk.next is not None:
            self._following(bounds, chunk.next)  # what is too large is refused before the work is done
        max_runtime_s = self.chunks.max_runtime_ms / 1000
        self._chunk = chunk.under(
            number=self.flow.chunk,
            run=self.flow.run,
            clock=self.clock,
            until_s=self.clock.monotonic_s() + max_runtime_s if max_runtime_s else None,
            stopping=self.stopping,
        )
        return self._chunk

    def _begin(self) -> Bounds | None:
        """Open the run; None when it is over nothing. Bounds that were said before, by a chunk that died, hold.

        Raises:
            ClaimLost: the message has another owner by now.
        """
        asked = self.flow.bounds
        bounds = self.chunks.range.open() if asked == NULL else decode(asked)
        if bounds.cursor is None:
            return None
        opening = partial(
            self.store.runs.open,
            self.message,
            self.claim,
            bounds=msgspec.Raw(encode(bounds)),
            at=bounds.cursor,
            total=-1 if bounds.total is None else bounds.total,
            max_backlog=-1 if self.chunks.max_backlog is None else self.chunks.max_backlog,
            pause_ms=self.chunks.pause_ms,
        )
        said = patiently(opening, self.clock)
        if said is None:
            raise ClaimLost(f"{self.message.id} has another owner by now")
        return decode(said)

    def _following(self, bounds: Bounds, reached: msgspec.Raw) -> Message:
        number = self.flow.chunk + 1
        flow = msgspec.structs.replace(self.flow, chunk=number, at=reached, bounds=msgspec.Raw(encode(bounds)))
        message = self.message.copy(
            id=f"{self.flow.run}:{number}", flow=flow, seq=1, attempt=1, due_at_ms=0, expires_at_ms=0, released_at_ms=0
        )
        refuse_large(message, self.max_payload)
        return message

    def _did(self, bounds: Bounds, reached: msgspec.Raw | None) -> int:
        """How much of the range this chunk has covered, in the unit of its total; items where nobody knows that."""
        before = self.chunks.range.done(bounds, self._at)
        if before is None or bounds.total is None:
            return self._chunk.covered if self._chunk else 0
        after = bounds.total if reached is None else self.chunks.range.done(bounds, reached)
        return (after or 0) - before
