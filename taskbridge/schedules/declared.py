"""What a process declares: the schedules of its tasks and of its settings, written into the store again and again.

Of two processes that say different things of one schedule the one that was started last counts, while it lives.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from threading import Event
from typing import Any

import msgspec

from ..clock import milliseconds, seconds_of
from ..codec import Arguments
from ..config import ScheduleSettings
from ..definition import Definition, Definitions
from ..enqueue import Sender, stamp
from ..errors import ArgumentError, ConfigError, DecodeError, TaskbridgeError
from ..message import NO_KWARGS, encode
from ..options import TaskOptions
from ..policies.schedule import Schedule, check_name, instant_ms, named
from ..policies.ticks import Crontab, Interval, Timing
from ..policies.unique import sameness_of
from ..store import Store
from ..store.schedules import Declaration, ScheduleState
from .plan import Plan, changed, changes_of, next_tick, plan_of

log = logging.getLogger("taskbridge")

#: How long a declaration stands, milliseconds, and how often it is made, seconds.
LEASE_MS = 60_000
EVERY_S = 10.0


def plans_of(definitions: Definitions, sender: Sender) -> dict[str, msgspec.Raw]:
    """Return the plans of a process by name: those of its tasks, and of the settings where it knows what to send.

    Raises:
        ConfigError: two of them have one name, or one cannot be.
    """
    found: dict[str, msgspec.Raw] = {}
    for definition in definitions.values():
        for name, schedule in named(definition).items():
            _add(found, name, _plan(definition, definition.options, schedule, sender))
    for name, entry in sender.settings.schedules.items():
        plan = _plan_of_file(name, entry, definitions, sender)
        if plan is not None:
            _add(found, name, plan)
    return found


class Declarer:
    """Says what a process declares; call it every ``EVERY_S``. What nobody says any more ends.

    Args:
        store: where.
        plans: by name, as ``plans_of`` returns them.
        tasks: the tasks this process has: a schedule of one of them that it does not declare was taken out of its code.
    """

    def __init__(self, store: Store, plans: Mapping[str, msgspec.Raw], tasks: Collection[str]) -> None:
        self._store = store
        self._plans = plans
        self._tasks = tasks
        self._started_ms = 0

    def __call__(self) -> None:
        """Say it, for one lease.

        Raises:
            StoreUnavailable, StoreFull: it was not said.
        """
        states = {state.name: state for state in self._store.schedules.all()}
        now_ms = self._store.now_ms()
        self._started_ms = self._started_ms or now_ms
        said = [_declared(name, plan, states.get(name), now_ms) for name, plan in self._plans.items()]
        said += [
            _ended(state) for name, state in states.items() if name not in self._plans and self._ends(state, now_ms)
        ]
        if said:
            self._store.schedules.declare(said, self._started_ms, LEASE_MS)

    def keep_on(self, stopping: Event) -> None:
        """Say it again and again until stopping is set; for a thread."""
        while True:
            try:
                self()
            except TaskbridgeError as error:
                log.warning("the schedules were not declared and are again: %s", error)
            if stopping.wait(EVERY_S):
                return

    def _ends(self, state: ScheduleState, now_ms: int) -> bool:
        """Whether a schedule was taken out of the code or the file that it was declared in."""
        try:
            plan = plan_of(state)
            ours = plan.sent.task in self._tasks
        except DecodeError as error:
            log.warning("%s", error)
            return False
        return ours if plan.origin == "code" else not plan.ended and state.lapses_ms < now_ms


def declarer_of(definitions: Definitions, sender: Sender) -> Declarer:
    """Return what declares the schedules of these tasks and of the settings.

    Raises:
        ConfigError: as ``plans_of``.
    """
    return Declarer(sender.store(), plans_of(definitions, sender), definitions.keys())


def _declared(name: str, document: msgspec.Raw, state: ScheduleState | None, now_ms: int) -> Declaration:
    plan = msgspec.json.decode(document, type=Plan)
    if state is None:
        return Declaration(name=name, version=0, document=bytes(document), tick_ms=next_tick(None, plan, now_ms))
    try:
        tick_ms = next_tick(state, changed(plan, changes_of(state)), now_ms)
    except DecodeError as error:  # what a newer release has set for it: its tick is not ours to tell
        log.warning("%s", error)
        tick_ms = None
    return Declaration(name=name, version=state.version, document=bytes(document), tick_ms=tick_ms)


def _ended(state: ScheduleState) -> Declaration:
    ended = msgspec.structs.replace(plan_of(state), ended=True)
    return Declaration(name=state.name, version=state.version, document=msgspec.json.encode(ended), tick_ms=0)


def _add(found: dict[str, msgspec.Raw], name: str, plan: Plan) -> None:
    if name in found:
        raise ConfigError(f"two schedules are called {name!r}; give one another name")
    found[name] = msgspec.Raw(msgspec.json.encode(plan))


def _plan(definition: Definition, options: TaskOptions, schedule: Schedule, sender: Sender) -> Plan:
    """What a schedule of a task is: stamped as a call of it, but for what is the tick's own: id, instants, trace."""
    message = stamp(definition, options, tuple(schedule.args), schedule.kwargs, sender)
    sent = message.copy(id="", enqueued_at_ms=0, due_at_ms=0, expires_at_ms=0, route_keys=None, trace=NO_KWARGS)
    return Plan(
        timing=schedule.timing,
        message=msgspec.Raw(encode(sent)),
        missed=schedule.missed,
        overlap=schedule.overlap,
        jitter_ms=schedule.jitter_ms,
        delay_ms=options.delay_ms,
        expires_ms=options.expires_ms,
        same=sameness_of(definition, options, message) if options.claims_in_store else (),
    )


def _plan_of_file(name: str, entry: ScheduleSettings, definitions: Definitions, sender: Sender) -> Plan | None:
    """What a schedule of the settings is; None for one that only who has the task can tell."""
    known = definitions.get(entry.task)
    try:
        schedule = _schedule_of(name, entry)
        if known is None and not entry.queue:
            return None
        if known is None and entry.overlap == "skip":
            raise ConfigError("overlap: skip needs a task of a worker of ours: of others' nobody tells the end")
        definition = known or _elsewhere(entry)
        options = definition.options.with_changes({"queue": entry.queue}) if entry.queue else definition.options
        plan = _plan(definition, options, _as_annotated(schedule, definition), sender)
    except (ArgumentError, ConfigError, DecodeError) as error:
        raise ConfigError(f"schedules.{name}: {error}") from None
    return msgspec.structs.replace(plan, origin="file", foreign=known is None)


def _schedule_of(name: str, entry: ScheduleSettings) -> Schedule:
    """A schedule of the settings as code would declare it."""
    check_name(name)
    return Schedule(
        timing=timing_of(entry),
        missed=entry.missed,  # type: ignore[arg-type]  # the schedule refuses what it does not know
        overlap=entry.overlap,  # type: ignore[arg-type]
        jitter=seconds_of(entry.jitter, "jitter"),
        args=entry.args,
        kwargs=entry.kwargs,
        name=name,
    )


def _as_annotated(schedule: Schedule, definition: Definition) -> Schedule:
    """With arguments as the task has them: a file has no Decimal."""
    raw_args, raw_kwargs = msgspec.json.encode(schedule.args), msgspec.json.encode(schedule.kwargs)
    args, kwargs = definition.arguments.decode(msgspec.Raw(raw_args), msgspec.Raw(raw_kwargs))
    return replace(schedule, args=args, kwargs=kwargs)


def timing_of(entry: ScheduleSettings) -> Timing:
    """Return when a schedule of the settings ticks."""
    if entry.cron:
        return Crontab(entry.cron, entry.tz or "UTC")
    start_ms = instant_ms(entry.start, "start") if entry.start is not None else 0
    return Interval(milliseconds(seconds_of(entry.every, "every"), "every"), start_ms)


def _elsewhere(entry: ScheduleSettings) -> Definition:
    """A task that only other workers have: its arguments are theirs to check."""

    def anything(*args: Any, **kwargs: Any) -> None: ...

    options = TaskOptions(queue=entry.queue)
    return Definition(name=entry.task, function=anything, options=options, arguments=Arguments(anything, entry.task))
