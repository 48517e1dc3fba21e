"""Runs of chunked tasks as an operator sees and steers them: how far, how fast, what they wait for, from where on."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ..chunking import Bounds
from ..chunking import decode as read_bounds
from ..errors import ConfigError, UnknownMessage
from ..flow.positions import done_before
from ..message import Flow, Message, decode
from ..store import Record, Store
from ..store.flow import RunState
from .audit import audited
from .cancelling import reason
from .words import instant, seen_from, span

#: How many runs are looked at for those that go on.
LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run. ``why`` says in words what ``word`` says in one.

    ``word`` is running (its chunk is in a worker), waiting (for its turn, a lock, a limit, a worker), backlog, pausing
    (its chunk still runs), paused, stopping, done, failed, cancelled or dropped. ``per_s`` is how much it does in a
    second on average, 0 where nothing is known; ``left_ms`` is None where that cannot be told.
    """

    state: RunState
    word: str
    why: str
    chunk: Record | None = None
    bounds: Bounds
    per_s: float = 0.0
    left_ms: int | None = None


def runs(store: Store, limit: int, offset: int = 0) -> list[Run]:
    """Return runs of the last thousand, the newest first: those that go on, then those that have ended."""
    found = store.runs.newest(LOOKED_AT)
    found.sort(key=lambda state: state.ended_ms > 0)
    now_ms = store.now_ms()
    return [_run(store, state, now_ms) for state in found[offset : offset + limit]]


def look(store: Store, id: str) -> Run:
    """Return one run.

    Raises:
        UnknownMessage: no run is known under this id.
    """
    state = store.runs.look(id)
    if state is None:
        raise UnknownMessage(
            f"no run is called {id!r}; taskbridge runs list shows those that there are. A run begins with its first "
            f"chunk (taskbridge status {id}), and is forgotten a day after it ended"
        )
    return _run(store, state, store.now_ms())


@audited("runs pause", "{id}")
def pause(store: Store, id: str, *, who: str = "") -> Run:
    """Let a run rest before its next chunk; one that runs goes on to its end.

    Raises:
        UnknownMessage: no run is known under this id.
        ConfigError: it has ended.
    """
    return _steered(store, id, "pause")


@audited("runs resume", "{id}")
def resume(store: Store, id: str, *, who: str = "") -> Run:
    """Let a run that is paused go on.

    Raises:
        UnknownMessage: no run is known under this id.
        ConfigError: it has ended, or is not paused.
    """
    found = look(store, id)
    if not found.state.ended_ms and not found.state.paused:
        raise ConfigError(f"the run {id} is not paused: {found.why}")
    return _steered(store, id, "resume")


@audited("runs cancel", "{id}", "why", "kill")
def cancel(store: Store, id: str, *, who: str = "", why: str = "", kill: bool = False) -> Run:
    """End a run: at once where it waits, else with the chunk that runs. What it has enqueued stays.

    Args:
        store: where it is.
        id: its id.
        who: does it. Defaults to who runs this process.
        why: kept with it.
        kill: end the process of a chunk that runs, too.

    Raises:
        UnknownMessage: no run is known under this id.
        ConfigError: it has ended.
    """
    said = reason(who, why)
    found = _steered(store, id, "cancel", said)
    if kill and found.chunk is not None and found.chunk.state == "RUN":
        store.control.cancel(found.chunk.id, said, kill=True)
    return found


@audited("runs rewind", "{id}")
def rewind(store: Store, id: str, to: msgspec.Raw | None = None, *, who: str = "") -> Run:
    """Let a run that is paused or has failed go on from another place, in a new chunk; what it enqueues is made anew.

    Args:
        store: where it is.
        id: its id.
        to: the cursor, JSON. Defaults to the start.
        who: does it, for the audit log.

    Raises:
        UnknownMessage: no run is known under this id.
        ConfigError: it has ended, or neither is paused nor has failed, or has no such place.
        DecodeError: the cursor is none of its kind.
    """
    found = look(store, id)
    state, record = found.state, found.chunk
    if state.ended_ms and (state.state != "failed" or record is None or record.state != "DEAD"):
        raise ConfigError(_has_ended(found))
    at = found.bounds.start if to is None else to
    done = done_before(found.bounds, at) or 0
    if record is None or not record.body or record.state == "RUN" or not (state.paused or state.ended_ms):
        raise ConfigError(_goes_on(found))
    answer = store.runs.rewind(id, state.current, _from(decode(record.body), state, at), at=at, done=done)
    if answer != "ok":
        raise ConfigError(_has_ended(look(store, id)) if answer == "ended" else _goes_on(look(store, id)))
    return look(store, id)


def run_of(store: Store, id: str, message: Message | None) -> str:
    """Return the run that a message is or was a chunk of; empty for another one.

    Args:
        store: where runs are.
        id: the message's.
        message: itself, if the store has it still.
    """
    run, _, number = id.rpartition(":")
    names = [message.flow.run if message and message.flow else "", run if number.isdigit() else "", id]
    return next((name for name in names if name and store.runs.look(name)), "")


def _steered(store: Store, id: str, how: str, why: str = "") -> Run:
    answer = store.runs.steer(id, how, why)
    found = look(store, id)
    if answer == "ended":
        raise ConfigError(_has_ended(found))
    return found


def _from(message: Message, state: RunState, at: msgspec.Raw) -> Message:
    """The chunk that takes the place of the one that stands."""
    number = state.chunk + 1
    changes = {"run": state.id, "chunk": number, "round": state.round + 1, "at": at, "bounds": state.bounds}
    flow = msgspec.structs.replace(message.flow or Flow(), **changes)
    fresh = {"seq": 1, "attempt": 1, "due_at_ms": 0, "expires_at_ms": 0, "released_at_ms": 0}
    return message.copy(id=f"{state.id}:{number}", flow=flow, **fresh)


def _run(store: Store, state: RunState, now_ms: int) -> Run:
    record = store.messages.look(state.current)
    word, why = _words(state, record, now_ms)
    elapsed_s = ((state.ended_ms or now_ms) - state.since_ms) / 1000
    per_s = (state.done - state.since_done) / elapsed_s if elapsed_s > 0 else 0.0
    left = state.total - state.done
    left_ms = round(left / per_s * 1000) if state.total >= 0 and per_s > 0 and not state.ended_ms else None
    bounds = read_bounds(state.bounds)
    return Run(state=state, word=word, why=why, chunk=record, bounds=bounds, per_s=per_s, left_ms=left_ms)


def _words(state: RunState, record: Record | None, now_ms: int) -> tuple[str, str]:
    if state.ended_ms:
        return state.state, _ended(state, record, now_ms)
    chunk = f"chunk {state.chunk}"
    last = f"; last time: {record.why}" if record and record.why else ""
    kept = record.state if record else ""
    if kept == "RUN":
        word = "stopping" if state.stopping else "pausing" if state.paused else "running"
        then = {"stopping": "; the run ends with it", "pausing": "; the run rests after it", "running": ""}[word]
        return word, f"{chunk} runs{then}{last}"
    if state.paused:
        return "paused", f"before {chunk}; taskbridge runs resume {state.id}{last}"
    if kept == "HELD":
        return "backlog", f"{state.open} of what it has enqueued have not ended, and {state.max_backlog} may be open"
    return "waiting", f"{chunk} {_waits(record, now_ms)}{last}"


def _waits(record: Record | None, now_ms: int) -> str:
    if record is None:
        return "has just ended"
    match record.state:
        case "DELAYED":
            return f"is due at {seen_from(record.at_ms, now_ms)}"
        case "LOCKED":
            return f"waits for the lock {record.waits_at}"
        case "THROTTLED":
            return f"waits for its turn at the limit {record.waits_at}"
        case "PAUSED":
            return f"waits until the {record.waits_at} is resumed"
        case "PARKED":
            return f"waits for a worker that knows {record.group}"
        case _:
            return f"waits for a worker; taskbridge status {record.id}"


def _ended(state: RunState, record: Record | None, now_ms: int) -> str:
    at = seen_from(state.ended_ms, now_ms)
    if state.state == "failed" and record and record.state == "DEAD":
        return f"at {at}: {state.error}; taskbridge dead replay {state.current} goes on, rewind goes elsewhere"
    return f"at {at}" + (f": {state.error}" if state.error else "")


def _has_ended(found: Run) -> str:
    failed = found.chunk is not None and found.chunk.state == "DEAD"
    advice = f"replay or purge its chunk: taskbridge dead show {found.state.current}" if failed else "start a new one"
    return f"the run {found.state.id} has ended ({found.word} {found.why}); {advice}"


def _goes_on(found: Run) -> str:
    id = found.state.id
    if found.state.paused:
        return f"the run {id} is not at rest yet: {found.why}; try again when taskbridge runs show {id} says paused"
    return f"the run {id} goes on ({found.why}): pause it first, taskbridge runs pause {id}"


def amount(found: Run, number: int) -> str:
    """Return so much of a run's range as people say it; a range of instants without a step is time."""
    return span(number // 1000) if _in_time(found) else f"{number:,}"


def progress(found: Run) -> str:
    """``1,000 of 5,000 (20 %), 16.7 a second on average, 4 min left``."""
    state = found.state
    words = amount(found, state.done)
    if state.total > 0:
        words += f" of {amount(found, state.total)} ({state.done * 100 // state.total} %)"
    if found.per_s:
        words += f", {pace(found)} a second on average"
    return words if found.left_ms is None else f"{words}, {span(found.left_ms)} left"


def pace(found: Run) -> str:
    """How much it does in a second."""
    if _in_time(found) or found.per_s >= 100:
        return amount(found, round(found.per_s))
    return f"{found.per_s:.3g}"


def _in_time(found: Run) -> bool:
    """Whether it counts microseconds."""
    return found.bounds.kind == "times" and not found.bounds.step


def next_due(found: Run) -> str:
    """When its next chunk is due, if that is known."""
    return instant(found.chunk.at_ms) if found.chunk and found.chunk.state == "DELAYED" else ""
