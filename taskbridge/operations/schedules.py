"""Schedules as an operator sees and changes them: when each ticks next, what became of the last tick, what was set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from ..bridge import Bridge
from ..enqueue import publish, tell
from ..errors import ConfigError, DecodeError, NotSupported, StoreUnavailable, nearest
from ..message import new_id
from ..policies.schedule import Schedule
from ..policies.ticks import Timing
from ..schedules.plan import Changes, Plan, changed, changes_of, in_force, next_tick, plan_of
from ..store import Store
from ..store.schedules import ScheduleState
from .audit import audited

#: How often a change is tried while the schedule ticks under it.
TRIES = 20

#: What a message's state says of a tick.
OUTCOMES = {
    **dict.fromkeys(("READY", "OUT"), "waits for a worker"),
    "DELAYED": "waits for its time",
    "RUN": "running",
    "DONE": "done",
    "DEAD": "dead",
    "PARKED": "parked",
    "LOCKED": "waits for a lock",
    "THROTTLED": "waits at a limit",
    "PAUSED": "waits to be resumed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One schedule. Instants are unix milliseconds, 0 for none.

    ``state`` is ``on``, ``paused``, ``orphaned`` (no live process declares it: it ticks for a day), ``ended`` (code has
    taken it back) or ``unreadable`` (a newer release wrote it). ``set`` is what was changed at run time.
    """

    name: str
    state: str
    task: str = ""
    queue: str = ""
    when: str = ""
    set: str = ""
    next_ms: int = 0
    last_ms: int = 0
    last_id: str = ""
    outcome: str = ""
    missed: str = ""
    overlap: str = ""
    jitter_ms: int = 0
    origin: str = ""
    args: str = ""
    kwargs: str = ""
    fired: int = 0
    skipped_count: int = 0
    missed_count: int = 0


def schedules(store: Store, limit: int | None = None, offset: int = 0) -> list[Line]:
    """Return schedules, by name: so many from a place on, or all; what became of the last tick is asked for each."""
    states = store.schedules.all()
    return [_line(state, store) for state in states[offset : None if limit is None else offset + limit]]


def one(store: Store, name: str) -> Line:
    """Return one schedule.

    Raises:
        ConfigError: none is called so.
    """
    return _line(_state(store, name), store)


@audited("schedules pause", "{name}")
def pause(store: Store, name: str, *, who: str = "") -> None:
    """Let a schedule tick no more until it is resumed, whatever its code says.

    Raises:
        ConfigError: none is called so.
    """
    _change(store, name, lambda state, plan: (changes_of(state), True))


@audited("schedules resume", "{name}")
def resume(store: Store, name: str, *, who: str = "") -> int:
    """Let it go on; what would have ticked meanwhile is no missed tick. Returns its next tick.

    Raises:
        ConfigError: none is called so, or it is not paused.
    """

    def on(state: ScheduleState, _plan: Plan) -> tuple[Changes, bool]:
        if not state.paused:
            raise ConfigError(f"the schedule {name!r} is not paused")
        return changes_of(state), False

    return _change(store, name, on)


@audited("schedules set", "{name}", "changes")
def set_to(store: Store, name: str, changes: Changes, *, who: str = "") -> int:
    """Change a schedule for everyone, from now on, until it is reset; a pause stays. Returns its next tick.

    Raises:
        ConfigError: none is called so, or a word nobody knows.
    """

    def with_changes(state: ScheduleState, plan: Plan) -> tuple[Changes, bool]:
        words = {word: value for word, value in msgspec.structs.asdict(changes).items() if value is not None}
        wanted = msgspec.structs.replace(changes_of(state), **words)
        _refuse(changed(plan, wanted))
        return wanted, state.paused

    return _change(store, name, with_changes)


@audited("schedules reset", "{name}")
def reset(store: Store, name: str, *, who: str = "") -> int:
    """Give a schedule back to what was declared; a pause stays. Returns its next tick.

    Raises:
        ConfigError: none is called so, or nothing was set for it.
    """

    def declared(state: ScheduleState, _plan: Plan) -> tuple[Changes, bool]:
        if not state.changes:
            raise ConfigError(f"nothing was set for a schedule called {name!r}: its own word holds")
        return Changes(), state.paused

    return _change(store, name, declared)


@audited("schedules run-now", "{name}")
def run_now(bridge: Bridge, name: str, *, who: str = "") -> tuple[str, bool]:
    """Enqueue what a tick would, at once; the ticks stay as they are. Returns the id, and whether it is a new message.

    Raises:
        ConfigError: none is called so.
        NotSupported: its backend cannot be reached from another process.
        BrokerUnavailable, StoreUnavailable, StoreFull: it may or may not have been sent.
    """
    plan, now_ms = _readable(_state(bridge.store, name)), bridge.store.now_ms()
    message = plan.made(new_id(), now_ms, now_ms)
    if plan.same:
        (stands,) = bridge.store.outbox.put_once([message], [plan.same], 0)
        tell([message], [stands.created], bridge.sender)
        return stands.id, stands.created
    backend = bridge.backend(bridge.sender.route(message))
    if not backend.capabilities.processes:
        raise NotSupported(f"backend {backend.name!r} lives in one process: what this sends would be gone with it")
    publish([message], bridge.sender)
    tell([message], [True], bridge.sender)
    return message.id, True


Wanted = Callable[[ScheduleState, Plan], tuple[Changes, bool]]


def _change(store: Store, name: str, wanted: Wanted) -> int:
    """Write what is wanted for a schedule as it stands; it may tick meanwhile. Returns its next tick."""
    for _ in range(TRIES):
        state = _state(store, name)
        plan = _readable(state)
        if plan.ended:
            raise ConfigError(f"the schedule {name!r} was taken out of where it was declared, and ticks no more")
        changes, paused = wanted(state, plan_of(state))
        tick_ms = _tick(state, changed(plan_of(state), changes), paused=paused)
        text = msgspec.json.encode(changes) if changes != Changes() else b""
        if store.schedules.change(name, state.version, changes=text, paused=paused, tick_ms=tick_ms):
            return tick_ms
    raise StoreUnavailable(f"the schedule {name!r} changes all the while; try again")


def _tick(state: ScheduleState, plan: Plan, *, paused: bool) -> int:
    """The next tick after a change; what a pause left out was not missed."""
    if state.paused and not paused:
        return plan.timing.after(state.now_ms) or 0
    kept = next_tick(state, plan, state.now_ms)
    return state.tick_ms if kept is None else kept


def _state(store: Store, name: str) -> ScheduleState:
    states = {state.name: state for state in store.schedules.all()}
    if name not in states:
        hint = nearest(name, states) if states else "; there is none: a worker declares those of its tasks"
        raise ConfigError(f"no schedule is called {name!r}{hint}")
    return states[name]


def _readable(state: ScheduleState) -> Plan:
    try:
        return in_force(state)
    except DecodeError as error:
        raise ConfigError(str(error)) from None


def _refuse(plan: Plan) -> None:
    """Refuse words of policies that nobody knows, as code would be."""
    words: dict[str, Any] = {"missed": plan.missed, "overlap": plan.overlap, "jitter": plan.jitter_ms / 1000}
    Schedule(timing=plan.timing, **words)
    if plan.foreign and plan.overlap == "skip":
        raise ConfigError("overlap: skip needs a task of a worker of ours: of others' nobody tells the end")


def _line(state: ScheduleState, store: Store) -> Line:
    try:
        plan, changes = in_force(state), changes_of(state)
        message = plan.sent
    except DecodeError:
        return Line(name=state.name, state="unreadable", next_ms=state.tick_ms, last_ms=state.last_ms)
    stopped = plan.ended or state.paused
    return Line(
        name=state.name,
        state=_stands(state, plan),
        task=message.task,
        queue=message.queue,
        when=str(plan.timing),
        set=_told(changes),
        next_ms=0 if stopped else state.tick_ms,
        last_ms=state.last_ms,
        last_id=state.last_id,
        outcome=_outcome(state, plan, store),
        missed=plan.missed,
        overlap=plan.overlap,
        jitter_ms=plan.jitter_ms,
        origin=plan.origin,
        args=bytes(message.args).decode(),
        kwargs=bytes(message.kwargs).decode(),
        fired=state.fired,
        skipped_count=state.skipped,
        missed_count=state.missed,
    )


def _stands(state: ScheduleState, plan: Plan) -> str:
    if plan.ended:
        return "ended"
    if state.paused:
        return "paused"
    return "orphaned" if state.lapses_ms < state.now_ms else "on"


def _outcome(state: ScheduleState, plan: Plan, store: Store) -> str:
    """What became of the last message: a record that is gone was done."""
    if not state.last_id:
        return ""
    run = store.runs.look(state.last_id)
    if run is not None:
        return f"run {run.state}"
    record = store.messages.look(state.last_id)
    if record is None:
        return "published" if plan.foreign else "ended"
    if plan.foreign and record.state == "OUT":
        return "published"
    return record.why if record.state == "DONE" and record.why else OUTCOMES.get(record.state, record.state)


def _told(changes: Changes) -> str:
    timing: Timing | None = changes.timing
    words = [str(timing)] if timing is not None else []
    words += [f"missed {changes.missed}"] if changes.missed is not None else []
    words += [f"overlap {changes.overlap}"] if changes.overlap is not None else []
    words += [f"jitter {changes.jitter_ms / 1000:g} s"] if changes.jitter_ms is not None else []
    return ", ".join(words)
