"""The whole story of a message: what has happened to it, where it is, what it waits for, and what can be done.

Arguments are shown by name, and nothing of it says what is secret (disclosure.py). Instants are unix milliseconds of
the store's clock. Nothing here is made safe for a terminal or a page: who shows it does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..bridge import Bridge
from .links import Link
from .whereabouts import Whereabouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that has happened: ``what`` in a word, ``words`` in full.

    ``what`` is enqueued, due, published, begun, retried, postponed, parked, locked, throttled, let on, lost, given
    back, adopted, replaced, held, replayed, dead, done or dropped; a step that a later release knows has its own word.
    ``backend`` and ``worker`` are empty where they are not known, or not of the step.
    """

    at_ms: int
    what: str
    words: str
    backend: str = ""
    worker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One thing that it waits for: ``kind`` is lock, limit, pause, run, batch, chain, relay, worker, time or queue.

    ``name`` is its key or id; ``words`` tell who has it and since when, how many are before it, how long it may take.
    """

    kind: str
    name: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What can be done: the command that does it, and what for."""

    command: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A message's whole history, as far as anybody knows.

    ``where`` is the one-line answer of ``taskbridge status``. ``kwargs`` are its arguments by name, JSON values, and
    ``args`` has what stands for each whose name nobody knows; ``arguments`` is False where none are known any more.
    ``steps`` are in their order; ``forgotten`` says that there were more between the first and those that are kept.
    ``traceback`` is that of a dead letter.
    """

    id: str
    where: Whereabouts
    now_ms: int
    task: str = ""
    queue: str = ""
    attempt: int = 1
    starts: int = 0
    arguments: bool = False
    args: Sequence[Any] = ()
    kwargs: dict[str, Any]
    steps: Sequence[Step] = ()
    forgotten: bool = False
    waits: Sequence[Wait] = ()
    advice: Sequence[Advice] = ()
    link: Link | None = None
    run: str = ""
    batches: Sequence[str] = ()
    traceback: str = ""
    problems: Sequence[str] = ()

    @property
    def state(self) -> str:
        """In one word, as ``Whereabouts`` has it."""
        return self.where.state


def why(bridge: Bridge, id: str, *, scan: int = 0, queues: Sequence[str] = ()) -> Story:
    """Return the story of a message.

    Args:
        bridge: where to look.
        id: as ``enqueue`` returned it, or as a native producer knows it; of a chain, for the link that stands.
        scan: how many messages of each queue to look through when the store cannot tell.
        queues: further queues to look through.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    from .telling import story

    return story(bridge, id, scan=scan, queues=queues)
