"""Migrations as an operator moves and sees them: begun, shared, ramped, paused, taken back, finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from ..bridge import Bridge
from ..errors import ConfigError
from ..evidence.judge import Bounds
from ..migration.book import Book, Evidence, Migration, Ramp, Step
from ..migration.changes import book_now, change, hold, move, refuse_ended, with_rules
from ..migration.checks import refuse, refuse_share, tasks_of
from ..migration.sides import evidence_of
from ..routes.changes import table_now
from ..routing.table import encode as encode_table
from .audit import audited, whoami
from .landscape import landscape_of
from .progress import waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A migration as it began, or would: ``tasks`` of so many that are ``known``."""

    migration: Migration
    tasks: list[str]
    known: int


#: A step is held for so long at least: evidence comes in slices of ten seconds.
SHORTEST_HOLD_MS = 20_000

#: So long after a step every producer has seen it: each reads the routes once a second.
SEEN_MS = 1_500


@audited("migrate start", "{origin} to {target}", "tasks", "queues", "note", "force")
def start(
    bridge: Bridge,
    *,
    origin: str,
    target: str,
    tasks: Sequence[str] = (),
    queues: Sequence[str] = (),
    key: str = "",
    note: str = "",
    modules: bool = False,
    force: bool = False,
    dry_run: bool = False,
    who: str = "",
) -> Started:
    """Begin a migration at a share of 0, or see what that would come to.

    Args:
        bridge: whose store and settings.
        origin, target: the backends, by their names in the settings.
        tasks, queues: what moves: tasks, ``*`` being any text, or all in these queues. Default to every task.
        key: what the share is sticky by. Defaults to the message id.
        note: why.
        modules: whether the tasks declared here are known beside those that live workers announce.
        force: take what can be insisted on.
        dry_run: write nothing.
        who: does it. Defaults to who runs this process.

    Raises:
        ConfigError: it would lead nowhere; each reason is a line.
        NotSupported: the new side cannot keep what a task asks for.
        StoreUnavailable: it may or may not have begun.
    """
    if tasks and queues:
        raise ConfigError("expected tasks or queues, not both: a message of a task is in one queue")
    landscape, who = landscape_of(bridge, modules=modules), who or whoami()
    made: list[Migration] = []

    def make(id: str) -> Migration:
        step = Step(at_ms=bridge.store.now_ms(), who=who, what="started", share=0.0, why=note)
        return Migration(
            id=id,
            origin=origin,
            target=target,
            tasks=() if queues else tuple(tasks) or ("*",),
            queues=tuple(queues),
            key=key,
            unserved=force and not landscape.serving(target),
            steps=(step,),
        )

    def begun(book: Book) -> Book:
        further = book.begun(make)
        made[:] = [further.migrations[-1]]
        _, table = table_now(bridge.store)
        refuse(made[0], book, table, landscape, force=force)
        encode_table(with_rules(table, made[0]))  # one that is too large is refused before anything is written
        return further

    if dry_run:
        begun(book_now(bridge.store)[1])
    else:
        change(bridge.store, begun, who=who, note=note)
        made[:] = [hold(bridge.store, made[0], who=who, note=note or f"{made[0].id} begins")]
    (migration,) = made
    return Started(migration=migration, tasks=tasks_of(migration, landscape), known=len(landscape.tasks()))


@audited("migrate share", "{id}", "percent", "note", "force")
def share(
    bridge: Bridge, percent: float, *, id: str = "", note: str = "", force: bool = False, who: str = ""
) -> Migration:
    """Move a migration's share to so many percent; a ramp that goes on ends there.

    Raises:
        ConfigError: no share, no migration, or nobody would take the messages.
    """
    if not 0 <= percent <= 100:
        raise ConfigError(f"share: expected 0 to 100 percent, got {percent:g}")
    landscape = landscape_of(bridge, modules=False)

    def shared(migration: Migration) -> Migration:
        refuse_ended(migration)
        step = _step(bridge, "shared", percent, note, who)
        after = migration.after(step, state="waiting")
        refuse_share(after, table_now(bridge.store)[1], landscape, force=force)
        unserved = force and percent > 0 and not landscape.serving(migration.target)
        return msgspec.structs.replace(after, unserved=after.unserved or unserved)

    return _move(bridge, id, shared, note, who)


@audited("migrate ramp", "{id}", "steps", "note")
def ramp(
    bridge: Bridge, steps: Sequence[float], hold_ms: int, bounds: Bounds, *, id: str = "", note: str = "", who: str = ""
) -> Migration:
    """Have the relay raise a migration's share step by step, as long as the new side is no worse.

    Args:
        bridge: whose store and settings.
        steps: the shares, each above the one before; those that are reached are left out.
        hold_ms: how long each is held at least.
        bounds: how much worse is worse.
        id: the migration's name; empty is the only one that goes on.
        note: why.
        who: does it. Defaults to who runs this process.

    Raises:
        ConfigError: steps that do not rise, a hold too short to judge by, or nobody would take the messages.
    """
    if not steps or any(one >= other for one, other in pairwise(steps)):
        raise ConfigError(f"steps: expected shares that rise, such as 1,5,25,50,100; got {_plain(steps)}")
    if not (0 < steps[0] and steps[-1] <= 100):
        raise ConfigError(f"steps: expected shares above 0 and up to 100 percent, got {_plain(steps)}")
    if hold_ms < SHORTEST_HOLD_MS:
        raise ConfigError(f"hold: expected {SHORTEST_HOLD_MS // 1000} s at least, to be judged by slices of 10 s")
    landscape = landscape_of(bridge, modules=False)

    def ramped(migration: Migration) -> Migration:
        refuse_ended(migration)
        left = tuple(one for one in steps if one > migration.share)
        if not left:
            raise ConfigError(f"{migration} has {migration.share:g} % already: no step of {_plain(steps)} is left")
        step = _step(bridge, "ramp", migration.share, note, who)
        after = migration.after(step, state="ramping", ramp=Ramp(steps=left, hold_ms=hold_ms, bounds=bounds))
        whole = msgspec.structs.replace(after, share=left[-1])
        refuse_share(whole, table_now(bridge.store)[1], landscape, force=migration.unserved)
        return after

    return _move(bridge, id, ramped, note, who)


@audited("migrate pause", "{id}", "note")
def pause(bridge: Bridge, *, id: str = "", note: str = "", who: str = "") -> Migration:
    """Leave a ramp where it is: nothing moves by itself, neither on nor back, until ``resume``, ``share`` or ``ramp``.

    Raises:
        ConfigError: it is not ramping.
    """

    def paused(migration: Migration) -> Migration:
        if migration.state != "ramping":
            raise ConfigError(f"{migration} is {migration.state}: only a ramp can be paused")
        return migration.after(_step(bridge, "paused", migration.share, note, who), state="paused")

    return _move(bridge, id, paused, note, who)


@audited("migrate resume", "{id}", "note")
def resume(bridge: Bridge, *, id: str = "", note: str = "", who: str = "") -> Migration:
    """Let a paused ramp go on: its step is held anew.

    Raises:
        ConfigError: it is not paused, or it has no ramp.
    """

    def resumed(migration: Migration) -> Migration:
        if migration.state != "paused" or migration.ramp is None:
            raise ConfigError(f"{migration} is {migration.state}: only a paused ramp can be resumed")
        step = _step(bridge, "resumed", migration.share, note, who)
        ramp = msgspec.structs.replace(migration.ramp, since_ms=step.at_ms)
        return migration.after(step, state="ramping", ramp=ramp)

    return _move(bridge, id, resumed, note, who)


@audited("migrate rollback", "{id}", "note")
def rollback(bridge: Bridge, *, id: str = "", note: str = "", who: str = "") -> Migration:
    """Take a migration's whole share back, at once.

    Raises:
        ConfigError: it has ended.
    """

    def back(migration: Migration) -> Migration:
        refuse_ended(migration)
        return migration.after(_step(bridge, "taken back", 0.0, note, who), state="taken back")

    return _move(bridge, id, back, note, who)


@audited("migrate finish", "{id}", "note", "force")
def finish(bridge: Bridge, *, id: str = "", note: str = "", force: bool = False, who: str = "") -> Migration:
    """End a migration: at 100 % its rules stay as the routes', at 0 % they are taken out.

    What its queues hold is looked at when every producer has seen its share: soon after a step this waits for them.

    Raises:
        ConfigError: its share is neither, or messages lie in the queues that it leaves.
    """
    found = book_now(bridge.store)[1].one(id)
    refuse_ended(found)
    if found.share not in (0.0, 100.0):
        raise ConfigError(
            f"{found} has {found.share:g} %: finish it at 100, or at 0 after `taskbridge migrate rollback`"
        )
    left, word = (found.origin, "old") if found.share else (found.target, "new")
    landscape = landscape_of(bridge, modules=False)
    bridge.clock.sleep(max(0, found.share_since_ms + SEEN_MS - bridge.store.now_ms()) / 1000)
    for one in () if force else waits(bridge, found, landscape):
        number = getattr(one, word)
        if number is None:
            raise ConfigError(
                f"how many messages lie in {one.queue} of {left} is not known; --force ends it all the same"
            )
        if number:
            raise ConfigError(
                f"{number} messages lie in {one.queue} of {left}: let its workers run them, or "
                f"`taskbridge migrate drain` moves them; --force ends the migration all the same"
            )

    def finished(migration: Migration) -> Migration:
        refuse_ended(migration)
        if migration.share != found.share:
            raise ConfigError(f"{migration} has {migration.share:g} % now: look at `taskbridge migrate status`")
        state = "finished" if migration.share else "given up"
        return migration.after(_step(bridge, state, migration.share, note, who), state=state, held=False)

    return _move(bridge, id, finished, note, who)


def _move(bridge: Bridge, id: str, wanted: Callable[[Migration], Migration], note: str, who: str) -> Migration:
    """Take a step; what both sides did in the minutes before it is kept with it."""
    seen = _evidence(bridge, book_now(bridge.store)[1].one(id))

    def moved(migration: Migration) -> Migration:
        after = wanted(migration)
        *before, step = after.steps
        return msgspec.structs.replace(after, steps=(*before, msgspec.structs.replace(step, evidence=seen)))

    return move(bridge.store, id, moved, who=who or whoami(), note=note)


def _evidence(bridge: Bridge, migration: Migration) -> Evidence:
    landscape = landscape_of(bridge, modules=False)
    tasks = tasks_of(migration, landscape)
    return evidence_of(bridge.store, migration, tasks, landscape, bridge.store.now_ms())


def _step(bridge: Bridge, what: str, share: float, why: str, who: str) -> Step:
    return Step(at_ms=bridge.store.now_ms(), who=who or whoami(), what=what, share=share, why=why)


def _plain(steps: Sequence[float]) -> str:
    return ",".join(f"{one:g}" for one in steps) or "none"
