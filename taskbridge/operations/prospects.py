"""What a message waits for, and what can be done about it."""

from __future__ import annotations

from collections.abc import Sequence

from ..announcement import Announcement
from ..bridge import Bridge
from ..policies.rate import spoken
from ..store import Record, Store, Turn
from ..store.control import Pause
from ..store.flow import RunState
from .history import Advice, Wait
from .lookout import worker_of
from .whereabouts import NO_RELAY_MS, Whereabouts
from .words import seen_from, span

#: How the words begin of what is paused no more, and is yet waited for.
RESUMED = "it is resumed"


def waits(bridge: Bridge, where: Whereabouts, now_ms: int, workers: Sequence[Announcement]) -> list[Wait]:
    """Return what a message waits for now; nothing where it runs or has ended.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    record, store = where.record, bridge.store
    if record is None:
        return _yet_to_come(where, store, now_ms)
    found = [_turn(store, turn, now_ms, workers) for turn in store.waiting.turns(record.id)]
    if record.state in ("READY", "DELAYED") and record.at_ms > now_ms:
        found.append(Wait(kind="time", name="", words=f"it is due at {seen_from(record.at_ms, now_ms)}"))
    elif record.state == "READY":
        late = now_ms - record.at_ms > NO_RELAY_MS
        found.append(
            Wait(kind="relay", name="", words="no relay publishes it" if late else "the relay publishes it now")
        )
    if record.state == "PARKED":
        words = f"a worker that knows it; dead at {seen_from(record.at_ms, now_ms)} unless one comes"
        found.append(Wait(kind="worker", name=record.group, words=words))
    if record.state == "OUT":
        found.append(_in_queue(record, workers))
    if record.state in ("READY", "DELAYED", "OUT"):
        found += _yet_to_come(where, store, now_ms)
    if record.state == "PAUSED":
        found += [_pause(one, now_ms) for one in store.control.pauses() if f"{one.kind} {one.name}" == record.waits_at]
    if record.state == "HELD" and where.run and (run := store.runs.look(where.run)):
        found.append(Wait(kind="run", name=where.run, words=_held(run)))
    return found


def advice(where: Whereabouts, waits: Sequence[Wait]) -> list[Advice]:
    """Return what can be done about a message that waits for this, as commands."""
    paused = [wait.name for wait in waits if wait.kind == "pause" and not wait.words.startswith(RESUMED)]
    found = [_do(f"control resume {name}", "let it go on, with all that waits for it") for name in paused]
    return found + _of_its_state(where)


def _of_its_state(where: Whereabouts) -> list[Advice]:
    record, id = where.record, where.id
    if record is None:
        return [] if where.found else [_do(f"why {id} --scan 1000", "look for it in the queues")]
    match record.state:
        case "DEAD":
            return [
                _do(f"dead replay {id}", "let it run again, with its attempts from the start"),
                _do(f"dead purge {id}", "end it for good"),
            ]
        case "LOCKED":
            keys = record.waits_at.split(", ")
            return [_do(f"locks break {key}", "take the lock from who has it, who goes on running") for key in keys]
        case "THROTTLED":
            name = record.waits_at.partition(":")[0]
            return [_do(f"limits set {name} RATE", "change the limit for everyone, from now on")]
        case "HELD" if where.run:
            return [
                _do(f"runs resume {where.run}", "let its run go on"),
                _do(f"runs show {where.run}", "see its run"),
            ]
        case "READY":
            return [_do("relay", "publish what is due, where no worker does")]
        case "PARKED":
            return [_do("tasks", "see which tasks live workers know")]
        case "OUT" if not where.found:
            return [_do(f"why {id} --scan 1000", "look for it in the queues")]
    return []


def _do(command: str, words: str) -> Advice:
    return Advice(command=f"taskbridge {command}", words=words)


def _yet_to_come(where: Whereabouts, store: Store, now_ms: int) -> list[Wait]:
    """What is paused of a message that has not come to it yet: its queue, or its task."""
    queue = where.record.queue if where.record else where.message.queue if where.message else ""
    task = where.message.task if where.message else ""
    rests = {f"queue {queue}", f"task {task}"}
    standing = [one for one in store.control.pauses() if not one.resumed] if queue else []
    return [_pause(one, now_ms) for one in standing if f"{one.kind} {one.name}" in rests]


def _turn(store: Store, turn: Turn, now_ms: int, workers: Sequence[Announcement]) -> Wait:
    since = f"waits since {seen_from(turn.since_ms, now_ms)}" if turn.since_ms else "waits"
    place = "the next" if not turn.ahead else f"{turn.ahead} before it"
    if turn.kind == "lock":
        return Wait(kind="lock", name=turn.key, words=f"{since}, {place}; {_holders(store, turn, now_ms, workers)}")
    if turn.paused:
        return Wait(kind="limit", name=turn.key, words=f"{since}, {place}; the limit is paused")
    left_ms = max(0, turn.due_ms - now_ms) + turn.left_ms
    pace = f"{spoken(turn.interval_us)}, burst {turn.burst}"
    return Wait(kind="limit", name=turn.key, words=f"{since}, {place}; {pace}: in about {span(left_ms)}")


def _pause(pause: Pause, now_ms: int) -> Wait:
    by = f" by {pause.who}" if pause.who else ""
    why = f": {pause.why}" if pause.why else ""
    words = f"{RESUMED}, and lets go on what waits in its turn" if pause.resumed else f"paused{by}"
    since = f" since {seen_from(pause.at_ms, now_ms)}" if pause.at_ms else ""
    return Wait(kind="pause", name=f"{pause.kind} {pause.name}", words=f"{words}{since}{why}")


def _holders(store: Store, turn: Turn, now_ms: int, workers: Sequence[Announcement]) -> str:
    """Who has a lock, each with since when: of many the first."""
    held = [_holder(id, store.messages.look(id), now_ms, workers) for id in turn.holders[:3]]
    more = [f"{len(turn.holders) - 3} more"] if len(turn.holders) > 3 else []
    kept = [f"kept for {id}" for id in turn.reserved[:3]]
    return ", ".join([*held, *more, *kept]) or "nobody has it: its turn comes at once"


def _holder(id: str, record: Record | None, now_ms: int, workers: Sequence[Announcement]) -> str:
    if record is None or record.state != "RUN":
        return f"held by {id}, which has just ended"
    since = f" since {seen_from(record.begun_ms, now_ms)}" if record.begun_ms else ""
    return f"held by {id}{since}, run by {worker_of(record.claim, workers)}"


def _in_queue(record: Record, workers: Sequence[Announcement]) -> Wait:
    backend = record.sent_to
    serving = [one for one in workers if record.queue in one.queues and (not backend or backend in one.backends)]
    processes = sum(one.processes_of(record.queue) for one in serving)
    where = f" of {backend}" if backend else ""
    by = f"{processes} processes serve it" if serving else "no live worker serves it"
    return Wait(kind="queue", name=record.queue, words=f"in its queue{where}; {by}")


def _held(run: RunState) -> str:
    if run.paused:
        return "its run is paused"
    return f"{run.open} of what its run has enqueued have not ended, and {run.max_backlog} may be open"
