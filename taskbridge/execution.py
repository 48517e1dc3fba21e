"""The life of a delivery: begin, attempt, settle.

``begin`` and ``finish`` are the two trips to the store; ``attempt.py`` runs the task, ``settling.py`` says what that
leads to. A worker's loop calls them around the engine's hooks; ``deliver`` is all of it, for the engines' own commands.
"""

from __future__ import annotations

import logging

from . import events
from .attempt import attempt, is_called
from .backend import Delivery
from .claimed import Claimed, early_ms
from .definition import Definition
from .message import Message, encode
from .options import MAX_CRASHES
from .outcome import Again, Done, Ended, Outcome, Parked
from .patience import patiently
from .policies.needs import NOTHING, Needs, needs_of
from .runtime import Runtime
from .settling import telling
from .shadow import BEGUN, run_copy, tell_original
from .store import Begin
from .unrecorded import begun as begun_unrecorded
from .unrecorded import entering, is_unrecorded

log = logging.getLogger("taskbridge")

#: How long a process waits before it calls a start hook that failed again, seconds: first, and at most.
START_PATIENCE_S = (0.25, 10.0)


def ask(delivery: Delivery, message: Message, claim: str, runtime: Runtime, *, ending: bool = False) -> Begin:
    """Return what ``begin`` is to be told; ``ending`` as in ``Begin``."""
    definition = runtime.definitions.get(message.task)
    limit = definition.options.max_crashes if definition else MAX_CRASHES
    locks, rates = _needs(definition, delivery, message, runtime)
    return Begin(
        message=message,
        body=encode(message),
        claim=claim,
        max_crashes=limit,
        held=delivery.held,
        locks=locks,
        rates=rates,
        ending=ending,
    )


def _needs(definition: Definition | None, delivery: Delivery, message: Message, runtime: Runtime) -> Needs:
    """Return what it must have before it runs; one that is early, or cannot say what it needs, will not run."""
    delivery.early = early_ms(message, runtime) > 0
    if definition is None or delivery.early:
        return NOTHING
    try:
        return needs_of(definition, message)
    except Exception as error:  # a value that no key can be made of must not cost the worker
        log.warning("what %s (%s) needs cannot be said", message.task, message.id, exc_info=True)  # its end is an error
        delivery.problem = f"no key of a lock or a limit can be made of its arguments: {type(error).__name__}: {error}"
        return NOTHING


def accepted(claimed: Claimed, runtime: Runtime) -> bool:
    """Tell what ``begin`` answered; False when there is nothing to run."""
    begun = claimed.begun
    runtime.events.emit(claimed.event(events.Received))
    if begun.verdict in ("run", "held"):
        if begun.wait_ms:
            runtime.clock.sleep(begun.wait_ms / 1000)
        if is_called(claimed, runtime):
            runtime.events.emit(_started_now(claimed, runtime))
        return True
    _refused(claimed, runtime)
    return False


def record(claimed: Claimed, runtime: Runtime) -> bool:
    """Take a message that has not succeeded without the ledger into it; False when that knows of it already."""
    request = ask(claimed.delivery, entering(claimed.message), claimed.claim, runtime, ending=True)
    claimed.begun = patiently(lambda: runtime.store.claims.begin(request), runtime.clock)
    if claimed.begun.verdict == "run":
        return True
    _refused(claimed, runtime)
    return False


def _refused(claimed: Claimed, runtime: Runtime) -> None:
    begun = claimed.begun
    if begun.verdict == "expired":
        runtime.events.emit(claimed.event(events.Dropped, how="expired", why="not begun before it expired"))
    elif begun.verdict == "skipped":
        runtime.events.emit(claimed.event(events.Dropped, how="skipped", why=f"the lock {begun.key} is held"))
    elif begun.verdict in ("locked", "throttled", "paused"):
        runtime.events.emit(claimed.event(events.Waiting, how=begun.verdict, key=begun.key))
    elif begun.verdict == "crashed":
        runtime.events.emit(claimed.event(events.Failed, why=f"its worker was lost {begun.crashes} times"))
    else:
        runtime.events.emit(claimed.event(events.Repeated, verdict=begun.verdict))


def _started_now(claimed: Claimed, runtime: Runtime) -> events.Event:
    begun, now_ms = claimed.begun, runtime.clock.now_ms()
    waited_ms = max(0, now_ms - (claimed.message.ready_at_ms or now_ms))  # a native producer may not say
    if not begun.parked_ms:
        return claimed.event(events.Started, waited_ms=waited_ms)
    parked = {"parked_ms": begun.parked_ms, "parked_for": begun.parked_for, "throttled_ms": begun.throttled_ms}
    return claimed.event(events.Started, waited_ms=waited_ms, **parked)


def told(claimed: Claimed, answer: str, outcome: Outcome, runtime: Runtime) -> None:
    """Tell listeners what ``finish`` answered."""
    emit = runtime.events.emit
    if answer == "cancelled":
        why = getattr(outcome, "why", "") or "while it ran"
        emit(claimed.event(events.Dropped, how="cancelled", why=f"cancelled; it was left so: {why}"))
        return
    if answer not in ("ok", "mine"):
        emit(claimed.event(events.ClaimRefused, why=answer))
        return
    if claimed.told is not None:
        tell_original(claimed, runtime)
    match outcome:
        case Done():
            emit(claimed.event(events.Succeeded, ran_ms=claimed.ran_ms))
        case Again(ran=False):
            emit(claimed.event(events.Waiting, how="delayed"))
        case Again():
            more = {"after_ms": outcome.after_ms, "counted": outcome.counted, "why": outcome.why}
            emit(claimed.event(events.Retried, ran_ms=claimed.ran_ms, **more))
        case Parked():
            emit(claimed.event(events.ParkedForRelease, why=outcome.why))
        case Ended(how="dead"):
            emit(claimed.event(events.Failed, why=outcome.why, error=outcome.error, ran_ms=claimed.ran_ms))
        case Ended():
            emit(claimed.event(events.Dropped, how=outcome.how, why=outcome.why))


def deliver(delivery: Delivery, message: Message, claim: str, backend: str, runtime: Runtime) -> Claimed:
    """Begin, attempt and settle one delivery; returns when the store knows. ``outcome`` is None if it was not run."""
    if message.task in runtime.definitions:
        _started(runtime)
    if message.is_copy:
        copy = Claimed(delivery=delivery, message=message, claim=claim, backend=backend, begun=BEGUN)
        run_copy(copy, runtime)
        return copy
    if is_unrecorded(message, runtime) and not runtime.heed.records(message, runtime.store, runtime.clock):
        claimed = Claimed(
            delivery=delivery,
            message=message,
            claim=claim,
            backend=backend,
            begun=begun_unrecorded(message, runtime.clock),
        )
        return _deliver_unrecorded(claimed, runtime)
    request = ask(delivery, message, claim, runtime)
    begun = patiently(lambda: runtime.store.claims.begin(request), runtime.clock)
    claimed = Claimed(delivery=delivery, message=message, claim=claim, backend=backend, begun=begun)
    if not accepted(claimed, runtime):
        return claimed
    outcome = claimed.outcome = attempt(claimed, runtime)
    _finish(claimed, outcome, runtime)
    return claimed


def _deliver_unrecorded(claimed: Claimed, runtime: Runtime) -> Claimed:
    if accepted(claimed, runtime):
        outcome = claimed.outcome = attempt(claimed, runtime)
        if isinstance(outcome, Done):
            told(claimed, "ok", outcome, runtime)
        elif record(claimed, runtime):
            _finish(claimed, outcome, runtime)
    return claimed


def _finish(claimed: Claimed, outcome: Outcome, runtime: Runtime) -> None:
    finish = telling(claimed, outcome, runtime)
    answer = patiently(lambda: runtime.store.claims.finish(finish), runtime.clock)
    told(claimed, answer, outcome, runtime)


def _started(runtime: Runtime) -> None:
    """Call the start hooks before the first task, however long that takes: the engine starts no other process."""
    wait_s, longest_s = START_PATIENCE_S
    while True:
        try:
            return runtime.hooks.start()
        except (Exception, SystemExit):
            log.exception("on_worker_start failed; nothing is begun in this process, trying again in %.2f s", wait_s)
            runtime.clock.sleep(wait_s)
            wait_s = min(wait_s * 2, longest_s)
