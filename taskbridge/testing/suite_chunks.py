"""The chunked tasks of ``BackendSuite``: they note each chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..bridge import Bridge
from ..clock import SystemClock
from ..current import current
from ..flow.chunk import Chunk
from ..flow.chunked import chunked
from ..flow.intervals import ids
from ..policies.lock import Lock
from ..policies.retry import Backoff
from ..task import Task
from .suite_notes import QUEUE, note

_clock = SystemClock()


def declare_chunked(bridge: Bridge) -> dict[str, Task[..., Any]]:
    """Declare them on a bridge as ``suite.<name>``; returns them by name."""
    quick = Backoff(max_retries=3, base=0.01)

    @bridge.task(name="suite.counted", queue=QUEUE, retry=quick)
    def counted(n: int, gate: str) -> None:
        """Fail, and so stay open, until the gate is there."""
        note("counted", n=n)
        if gate and not Path(gate).exists():
            raise ConnectionError("the gate is shut")

    @bridge.task(name="suite.generates", queue=QUEUE, retry=quick)
    @chunked(over=ids(0, lambda: 25), size=10)
    def generates(chunk: Chunk[int], kind: str, *, page: int = 1) -> None:
        """Note the chunk."""
        note("chunk", items=list(chunk), kind=kind, page=page, number=chunk.number, run=chunk.run)

    @bridge.task(name="suite.floods", queue=QUEUE, retry=quick)
    @chunked(over=ids(0, 6), size=2, max_backlog=0)
    def floods(chunk: Chunk[int], gate: str = "") -> None:
        """Enqueue, fail once, and enqueue again."""
        made = counted.using(delay=0.3).enqueue_many({"n": n, "gate": gate} for n in chunk)
        note("chunk", number=chunk.number, created=made.created)
        if current().attempt == 1:
            raise ConnectionError("it is repeated")

    @bridge.task(name="suite.alone", queue=QUEUE, retry=quick, unique="until_done", lock=Lock("suite:alone", "fail"))
    @chunked(over=ids(0, 3), size=1, pause=0.1)
    def alone(chunk: Chunk[int], gate: str) -> None:
        """Be the only run; stay in the second chunk until the gate is there."""
        note("chunk", number=chunk.number)
        while chunk.number == 1 and not Path(gate).exists():
            _clock.sleep(0.01)

    steered_alone = Lock("suite:steered", "fail")

    @bridge.task(name="suite.steered", queue=QUEUE, retry=quick, unique="until_done", lock=steered_alone)
    @chunked(over=ids(0, 10_000), size=1, pause=0.1)
    def steered(chunk: Chunk[int]) -> None:
        """Go on for longer than anybody has patience, to be caught on a slow machine, too."""
        note("chunk", number=chunk.number)

    @bridge.task(name="suite.breaks", queue=QUEUE, retry=None)
    @chunked(over=ids(0, 3), size=1)
    def breaks(chunk: Chunk[int], gate: str) -> None:
        """Fail in the second chunk until the gate is there."""
        note("chunk", number=chunk.number)
        if chunk.number == 1 and not Path(gate).exists():
            raise ValueError("no disk")

    return {
        "counted": counted,
        "generates": generates,
        "floods": floods,
        "alone": alone,
        "steered": steered,
        "breaks": breaks,
    }
