"""What a worker does to a store for the chunks of a run, in one line each."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from ...message import Flow, Message
from ...needs import Same, Within
from ...store import LAST_RESORT_MS, Store
from ...store.flow import Next, RunState
from ..fakes import a_message
from .steps import begin, finish, publish, put_once

BOUNDS = Raw(b'{"kind":"ids","start":0,"stop":100,"step":1,"total":100}')

DAY_MS = 24 * 3_600_000


def a_run(**changes: Any) -> Message:
    """Return a message that begins a run."""
    return a_message(task="tests.walk", queue="walks", **changes)


def open_run(store: Store, message: Message, claim: str, **said: Any) -> Raw | None:
    """Say what the run is, as its first chunk does."""
    fields: dict[str, Any] = {"bounds": BOUNDS, "at": Raw(b"0"), "total": 100, "max_backlog": -1, "pause_ms": 0}
    return store.runs.open(message, claim, **(fields | said))


def start(
    store: Store,
    claim: str = "c0",
    *,
    message: Message | None = None,
    unique: str = "",
    needs: dict[str, Any] | None = None,
    **said: Any,
) -> Message:
    """Enqueue a run, begin its first chunk and open it; returns the copy that runs."""
    message = message or a_run()
    if unique:
        put_once(store, [message], [(Same("walk", unique, LAST_RESORT_MS),)], 0)
    else:
        store.outbox.put([message], 0)
    (copy,) = [copy for copy in publish(store) if copy.id == message.id]
    assert "run" == begin(store, copy, claim, **(needs or {})).verdict
    assert BOUNDS == open_run(store, copy, claim, **said)
    return copy


def run_id(chunk: Message) -> str:
    """The run of a chunk."""
    return chunk.flow.run if chunk.flow else chunk.id


def after(chunk: Message, *, by: int = 1, round: int = 0) -> Message:
    """The message of the chunk that follows."""
    run, number = run_id(chunk), (chunk.flow.chunk if chunk.flow else 0) + by
    flow = Flow(run=run, chunk=number, round=round, at=Raw(b"%d" % (number * 10)), bounds=BOUNDS)
    return chunk.copy(id=f"{run}:{number}", seq=1, attempt=1, flow=flow)


def goes_on(store: Store, chunk: Message, claim: str, **more: Any) -> str:
    """Say that a chunk has done ten, and that there is another."""
    following = after(chunk)
    assert following.flow is not None
    return finish(store, chunk, claim, next=Next(did=10, at=following.flow.at, message=following), **more)


def ends(store: Store, chunk: Message, claim: str) -> str:
    """Say that a chunk was the last."""
    return finish(store, chunk, claim, next=Next(did=10))


def coming(store: Store) -> Message | None:
    """What a relay publishes of walks now, at most one copy."""
    copies = [copy for copy in publish(store) if copy.queue == "walks"]
    assert len(copies) <= 1
    return copies[0] if copies else None


def follow(store: Store, claim: str, **needs: Any) -> Message:
    """Publish the chunk that is due, and begin it; returns its copy."""
    copy = coming(store)
    assert copy is not None, "no chunk is due"
    assert "run" == begin(store, copy, claim, **needs).verdict
    return copy


def within(chunk: Message, claim: str) -> Within:
    """Where that belongs which a chunk enqueues."""
    return Within(runs=(run_id(chunk),), chunk=chunk.id, claim=claim)


def enqueue(store: Store, chunk: Message, claim: str, *messages: Message, wait_ms: int = 0) -> list[bool]:
    """Enqueue from inside a chunk."""
    return store.outbox.put(messages, wait_ms, within(chunk, claim))


def seen(store: Store, chunk: Message) -> RunState:
    """How far the run of a chunk is."""
    state = store.runs.look(run_id(chunk))
    assert state is not None
    return state


def alive(store: Store, run: str, chunks: int = 12) -> list[str]:
    """The states of those chunks of a run that have not ended; more than one would be a fork."""
    ids = [run, *(f"{run}:{number}" for number in range(1, chunks))]
    records = [record for id in ids if (record := store.messages.look(id))]
    return [record.state for record in records if record.state not in ("DONE", "DEAD")]
