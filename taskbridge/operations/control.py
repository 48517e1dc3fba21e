"""Pause and resume a task, a queue or a key; cancel a message or a run; through the store, the same on every engine.

Each action is noted in the audit log. ``who`` is nobody: whoever runs this process.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from ..announcement import announced
from ..bridge import Bridge
from ..errors import ConfigError, StoreUnavailable, nearest
from ..message import MAX_ID_BYTES, foreign_id
from ..store import LONG_WINDOW_MS, Record, Store
from ..store.control import KINDS, MOST_PAUSES, Pause
from . import runs
from .audit import audited, whoami
from .cancelling import CANCELLED, LONGEST_WHY, cancelled, reason
from .runs import run_of
from .whereabouts import message_of, record_of
from .words import instant

log = logging.getLogger("taskbridge")

#: How many messages go on at once where something is resumed; the relay lets on the others.
FIRST = 1_000

#: Most characters of a name.
LONGEST_NAME = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What is paused no more, and how many messages waited for it: they go on now, in their order."""

    kind: str
    name: str
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """What was cancelled: a ``message``, a ``run``, or a ``chain`` with the link that stood; ``ended``: it is over.

    ``says`` is what became of it, in words.
    """

    id: str
    kind: str
    ended: bool
    says: str


@audited("pause", "{kind} {name}", "why", "anyway")
def pause(bridge: Bridge, kind: str, name: str, *, who: str = "", why: str = "", anyway: bool = False) -> Pause:
    """Let nothing of a task or a queue begin, nor what needs a lock or a limit of this key. What runs goes on.

    Args:
        bridge: whose store; its tasks are known beside those that live workers announce.
        kind: task, queue or key.
        name: its name; of a key as `taskbridge locks list` and `limits list` have it.
        who: does it.
        why: kept, and shown to who looks.
        anyway: also where no live worker knows such a task or queue.

    Raises:
        ConfigError: it is paused already, or nobody knows it, or too much is paused.
        StoreUnavailable: it may or may not be paused.
    """
    _refuse_name(kind, name)
    if not anyway and (known := _known(bridge, kind)) and name not in known:
        raise ConfigError(
            f"no {kind} is called {name!r}, as far as live workers, the store and the tasks here tell"
            f"{nearest(name, known)}; --anyway pauses it all the same"
        )
    answer = bridge.store.control.pause(kind, name, who=who or whoami(), why=why[:LONGEST_WHY])
    if answer == "full":
        raise ConfigError(f"{MOST_PAUSES} tasks, queues and keys are paused: resume some, or pause a whole task")
    found = _standing(bridge.store, kind, name)
    if answer == "paused":
        since = f" since {instant(found.at_ms)}, by {found.who}{_because(found.why)}" if found else ""
        raise ConfigError(f"the {kind} {name} is paused already{since}")
    return found or Pause(kind=kind, name=name)


@audited("resume", "{kind} {name}")
def resume(bridge: Bridge, kind: str, name: str, *, who: str = "") -> Resumed:
    """Let it begin again: what waits goes on in its order, a thousand at once and the rest by the relay.

    Raises:
        ConfigError: it is not paused.
        StoreUnavailable: it may or may not be resumed.
    """
    _refuse_name(kind, name)
    control = bridge.store.control
    waiting = control.resume(kind, name)
    if waiting < 0:
        names = [one.name for one in control.pauses() if one.kind == kind and not one.resumed]
        hint = nearest(name, names) if names else f"; no {kind} is"
        raise ConfigError(f"the {kind} {name} is not paused{hint}")
    try:
        control.let_on(FIRST)
    except StoreUnavailable as error:
        log.warning("the relay lets on what waited for the %s %s: %s", kind, name, error)
    return Resumed(kind=kind, name=name, waiting=waiting)


def pauses(bridge: Bridge) -> list[Pause]:
    """Return what is paused, or is resumed and still waited for, by kind and name."""
    return bridge.store.control.pauses()


def doubt(bridge: Bridge, kind: str, name: str) -> str:
    """Return why a name may be of no task, queue or key; empty where it is known."""
    if kind == "key":
        keys = {lock.key for lock in bridge.store.waiting.locks()}
        keys |= {key for limit in bridge.store.waiting.limits() for key in limit.waiting}
        return "" if name in keys else "nobody holds a lock or waits at a limit of this key now"
    known = _known(bridge, kind)
    if not known:
        return f"no worker lives, so whether there is such a {kind} is not known"
    return "" if name in known else f"no live worker knows such a {kind}"


def cancel(bridge: Bridge, id: str, *, who: str = "", kill: bool = False, why: str = "") -> Cancelled:
    """End a message wherever it waits, or a run, or a chain at the link that stands.

    One that runs ends with this attempt unless that succeeds; ``kill`` ends its process besides.

    Raises:
        ConfigError: it has ended already, or is nothing that can be cancelled.
        StoreUnavailable: it may or may not be cancelled.
    """
    if not id or not id.isprintable() or " " in id or len(id.encode()) > MAX_ID_BYTES:
        raise ConfigError(f"expected the id of a message or a run, as enqueue returns it, got {id!r}")
    store = bridge.store
    record = record_of(store, id)
    if run := run_of(store, record.id if record else id, message_of(record)):
        return _cancel_run(bridge, run, who=who, kill=kill, why=why)
    if record is None and (chain := store.chains.look(id)):
        link = cancel(bridge, f"{id}:{chain.at}", who=who, kill=kill, why=why)
        return Cancelled(id=id, kind="chain", ended=link.ended, says=f"link {chain.at}, {link.id}: {link.says}")
    if record is None and store.batches.look(id):
        raise ConfigError(f"{id} is a batch, which keeps no list of its members: cancel them by their own ids")
    return cancel_message(bridge, record.id if record else id, who=who, kill=kill, why=why)


@audited("cancel", "message {id}", "why", "kill")
def cancel_message(bridge: Bridge, id: str, *, who: str = "", kill: bool = False, why: str = "") -> Cancelled:
    """End one message, whatever it is part of; see ``cancel``."""
    store = bridge.store
    before = store.messages.look(id)
    said = reason(who, why)
    if before is None:  # else nobody asks about one of a task with ledger=False
        store.control.record_all(LONG_WINDOW_MS)
    was = store.control.cancel(id, said, kill=kill)
    if was == "unknown" or (before is not None and _was_unseen(before)):  # the last call may have got no answer
        store.control.cancel(foreign_id(id, 0), said)  # so it is called where a native producer has sent it
    if was in ("DONE", "DEAD", "code", "foreign"):
        raise ConfigError(_refusal(id, was, store.messages.look(id)))
    if was == "unknown":
        says = "the store has not seen it: if it lies in a queue it is recognised there, for seven days, and never runs"
        return Cancelled(id=id, kind="message", ended=False, says=says)
    if was == "RUN":
        return Cancelled(id=id, kind="message", ended=False, says=_runs(bridge, id, before, kill=kill))
    if before is not None:
        bridge.events.emit(cancelled(before, said))
    return Cancelled(id=id, kind="message", ended=True, says=f"it was {was.lower()}, and never runs")


def _was_unseen(record: Record) -> bool:
    """Whether it was cancelled while the store knew nothing of it."""
    seen = record.past is not None and record.past.task
    return record.state == "DONE" and record.why.startswith(CANCELLED) and not seen


def _cancel_run(bridge: Bridge, run: str, *, who: str, kill: bool, why: str) -> Cancelled:
    state = bridge.store.runs.look(run)
    before = bridge.store.messages.look(state.current) if state else None
    found = runs.cancel(bridge.store, run, who=who, why=why, kill=kill)
    chunk = found.chunk
    if kill and chunk is not None and chunk.state == "RUN":
        says = f"chunk {found.state.chunk}: {_runs(bridge, chunk.id, chunk, kill=True)}"
        return Cancelled(id=run, kind="run", ended=False, says=says)
    if before is not None and before.state != "RUN" and chunk is not None and chunk.why == reason(who, why):
        bridge.events.emit(cancelled(before, chunk.why))
    return Cancelled(id=run, kind="run", ended=found.state.ended_ms > 0, says=f"it is {found.word}: {found.why}")


def _runs(bridge: Bridge, id: str, record: Record | None, *, kill: bool) -> str:
    """Say what becomes of one that runs; ``record`` is how it was found before that."""
    ends = "it runs, and ends with this attempt: it is not made again"
    if not kill:
        return f"{ends}; --kill ends its process"
    if record is None or not record.claim:  # it has begun since
        record = bridge.store.messages.look(id)
    claim = record.claim if record else ""
    if not any(claim.startswith(f"{worker.name}.") for worker in announced(bridge.store)):
        return f"{ends}; its process is no child of `taskbridge worker`, and is not ended"
    return "it runs; its process is ended within two seconds"


def _refusal(id: str, was: str, record: Record | None) -> str:
    if was == "code":
        return f"{id} is code that holds a lock or a limit, and no message: see taskbridge locks break"
    if was == "foreign":
        return (
            f"{id} is in a queue of workers that are not ours, or on its way there; they ask nobody before they run it"
        )
    why = f" ({record.why})" if record and record.why else ""
    if was == "DEAD":
        return f"{id} is dead already{why}; taskbridge dead purge {id} ends it for good"
    return f"{id} has ended already{why or ' (done)'}: nothing was changed"


def _because(why: str) -> str:
    return f": {why}" if why else ""


def _standing(store: Store, kind: str, name: str) -> Pause | None:
    return next((one for one in store.control.pauses() if (one.kind, one.name) == (kind, name)), None)


def _refuse_name(kind: str, name: str) -> None:
    if kind not in KINDS:
        raise ConfigError(f"expected a task, a queue or a key, got {kind!r}{nearest(kind, KINDS)}")
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ConfigError(f"expected the name of a {kind}, of 1 to {LONGEST_NAME} printable characters, got {name!r}")


def _known(bridge: Bridge, kind: str) -> Collection[str]:
    """What live workers announce, with what the store counts and the tasks here; nothing where no worker lives."""
    workers = announced(bridge.store)
    if not workers or kind == "key":
        return ()
    here = bridge.definitions
    if kind == "task":
        return {*(task for one in workers for task in one.tasks), *here}
    counted = {queue for queue, _ in bridge.store.messages.counts()}
    return {
        *(queue for one in workers for queue in one.queues),
        *counted,
        *(one.options.queue for one in here.values()),
    }
