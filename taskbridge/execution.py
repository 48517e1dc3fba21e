"""The life of a delivery: begin, attempt, settle.

``begin`` and ``finish`` are the two trips to the store; ``attempt`` runs the task and says what became of it. A
worker's loop calls them around the engine's hooks; ``deliver`` is all three, for the engines' own commands.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from . import events
from .alarm import Alarm, can_ring
from .backend import Capabilities, Delivery
from .clock import Clock, milliseconds
from .current import Current, TimeLeft, running
from .definition import Definition
from .errors import (
    ConfigError,
    DecodeError,
    Drop,
    HardTimeout,
    LockHeld,
    NotSupported,
    Reschedule,
    StoreUnavailable,
    Throttled,
)
from .message import Message, encode
from .options import MAX_CRASHES, NO_TIMEOUTS, PARK_FOR, Timeouts
from .outcome import Again, Done, Ended, Outcome, Parked
from .policies.needs import NOTHING, Needs, needs_of
from .policies.retry import NEVER
from .policies.timeout import Overdue, refuse_unkept, timeouts_for
from .policies.unknown import judge_unknown
from .runtime import Runtime
from .store import Begin, Begun, Finish

log = logging.getLogger("taskbridge")

T = TypeVar("T")

#: How long a worker waits before it asks an absent store again, seconds: first, and at most.
PATIENCE_S = (0.05, 2.0)

#: How long a process waits before it calls a start hook that failed again, seconds: first, and at most.
START_PATIENCE_S = (0.25, 10.0)

#: A traceback in the dead letters is cut to its end.
MAX_TRACEBACK = 16_384


class Watch(Protocol):
    """Who ends this process at a hard timeout, and tells the store then what that leads to."""

    def limit(self, deadline_s: float, overdue: Overdue) -> None:
        """From now until ``unlimit``; ``deadline_s`` is monotonic seconds."""

    def unlimit(self) -> None:
        """The task has left."""


@dataclass(slots=True, kw_only=True)
class Claimed:
    """A delivery that is this worker's to run; without a ``watch`` nobody keeps a hard timeout."""

    delivery: Delivery
    message: Message
    claim: str
    backend: str
    begun: Begun
    watch: Watch | None = None
    timeouts: Timeouts = NO_TIMEOUTS
    outcome: Outcome | None = None
    ran_ms: float = 0.0

    def event(self, kind: Callable[..., events.Event], **more: Any) -> events.Event:
        """Return an event about this message."""
        message = self.message
        attempt = self.begun.attempt
        return kind(
            id=message.id, task=message.task, queue=message.queue, backend=self.backend, attempt=attempt, **more
        )


def ask(delivery: Delivery, message: Message, claim: str, runtime: Runtime) -> Begin:
    """Return what ``begin`` is to be told."""
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
    )


def _needs(definition: Definition | None, delivery: Delivery, message: Message, runtime: Runtime) -> Needs:
    """Return what it must have before it runs; one that is early, or cannot say what it needs, will not run."""
    if definition is None or _early_ms(message, runtime) > 0:
        return NOTHING
    try:
        return needs_of(definition, message)
    except Exception as error:  # a value that no key can be made of must not cost the worker
        log.exception("what %s (%s) needs cannot be said", message.task, message.id)
        delivery.problem = f"no key of a lock or a limit can be made of its arguments: {type(error).__name__}: {error}"
        return NOTHING


def accepted(claimed: Claimed, runtime: Runtime) -> bool:
    """Tell what ``begin`` answered; False when there is nothing to run."""
    begun, message = claimed.begun, claimed.message
    if begun.verdict in ("run", "held"):
        if begun.wait_ms:
            runtime.clock.sleep(begun.wait_ms / 1000)
        ready_at_ms = message.ready_at_ms or runtime.clock.now_ms()  # a native producer may not say
        waited_ms = max(0, runtime.clock.now_ms() - ready_at_ms)
        runtime.events.emit(claimed.event(events.Started, waited_ms=waited_ms))
        return True
    if begun.verdict == "expired":
        runtime.events.emit(claimed.event(events.Dropped, how="expired", why="not begun before it expired"))
    elif begun.verdict == "skipped":
        runtime.events.emit(claimed.event(events.Dropped, how="skipped", why=f"the lock {begun.key} is held"))
    elif begun.verdict in ("locked", "throttled"):
        runtime.events.emit(claimed.event(events.Waiting, how=begun.verdict, key=begun.key))
    elif begun.verdict == "crashed":
        runtime.events.emit(claimed.event(events.Failed, why=f"its worker was lost {begun.crashes} times"))
    else:
        runtime.events.emit(claimed.event(events.Repeated, verdict=begun.verdict))
    return False


def attempt(claimed: Claimed, runtime: Runtime) -> Outcome:
    """Run the task once, unless it is early or unknown here, and say what became of it."""
    message = claimed.message
    definition = runtime.definitions.get(message.task)
    if claimed.delivery.problem:
        return Ended(how="dead", why=claimed.delivery.problem)
    if definition is None:
        return Parked(why=f"no task named {message.task!r} in this release")
    early_ms = _early_ms(message, runtime)
    if early_ms > 0:
        return Again(after_ms=early_ms, counted=False, ran=False, why="not due yet")
    try:
        unknown = definition.arguments.unknown(message.kwargs)
        if unknown:
            refusal = judge_unknown(unknown, message.task, definition.options.unknown_args)
            if refusal is not None:
                return refusal
        args, kwargs = definition.arguments.decode(message.args, message.kwargs, without=unknown)
    except (DecodeError, msgspec.DecodeError) as error:
        return Ended(how="dead", why=str(error), error=error)
    try:
        claimed.timeouts = _kept(claimed, definition, runtime)
    except NotSupported as error:
        return Ended(how="dead", why=f"NotSupported: {error}", error=error)
    started_s = runtime.clock.monotonic_s()
    try:
        return _run(definition, claimed, args, kwargs, runtime)
    finally:
        claimed.ran_ms = (runtime.clock.monotonic_s() - started_s) * 1000


def judge(error: BaseException, claimed: Claimed, runtime: Runtime, *, later_ms: int = 0) -> Outcome:
    """Say what a failure leads to, by the task's own policy; where nothing can be said, it is dead.

    Args:
        error: what the attempt raised.
        claimed: whose attempt.
        runtime: where its task and the time are.
        later_ms: how far ahead the failure lies.
    """
    definition = runtime.definitions.get(claimed.message.task)
    try:
        if isinstance(error, Drop):
            return Ended(how="dropped", why=str(error))
        if isinstance(error, Reschedule) and definition is not None:
            return _rescheduled(error, claimed.message, definition)
        if isinstance(error, Throttled) and definition is not None:
            return _throttled(error, claimed.message, definition)
        policy = (definition.options.retry if definition else None) or NEVER
        age_ms = runtime.clock.now_ms() + later_ms - claimed.message.first_due_ms
        return policy.judge(error, attempt=claimed.begun.attempt, age_ms=age_ms)
    except Exception as wrong:  # a wait that is none, arguments that do not fit, a policy of the user's that fails
        wrong.__cause__ = error  # the letter shows where in the task it was asked for
        log.exception("what becomes of %s (%s) cannot be said", claimed.message.task, claimed.message.id)
        return Ended(how="dead", why=f"{type(wrong).__name__}: {wrong}", error=wrong)


def telling(claimed: Claimed, outcome: Outcome, runtime: Runtime) -> Finish:
    """Return what ``finish`` is to be told of an outcome."""
    message = claimed.message
    held = claimed.delivery.held
    match outcome:
        case Done():
            return Finish(id=message.id, claim=claimed.claim, state="DONE", held=held)
        case Again():
            return Finish(
                id=message.id,
                claim=claimed.claim,
                state="THROTTLED" if outcome.shuts else "DELAYED" if outcome.after_ms > 0 else "READY",
                counted=outcome.counted,
                ran=outcome.ran,
                due_ms=outcome.after_ms,
                group=outcome.shuts,
                why=outcome.why,
                traceback=_traceback(outcome.error),
                body=outcome.body,
                held=held,
            )
        case Parked():
            return Finish(
                id=message.id,
                claim=claimed.claim,
                state="PARKED",
                ran=False,
                due_ms=_park_for_ms(message, runtime),
                group=" ".join((message.task, *outcome.missing)),
                why=outcome.why,
                held=held,
            )
        case Ended():
            return Finish(
                id=message.id,
                claim=claimed.claim,
                state="DEAD" if outcome.how == "dead" else "DONE",
                why=outcome.why if outcome.how == "dead" else f"{outcome.how}: {outcome.why}",
                traceback=outcome.traceback or _traceback(outcome.error),
                held=held,
            )


def told(claimed: Claimed, answer: str, outcome: Outcome, runtime: Runtime) -> None:
    """Tell listeners what ``finish`` answered."""
    emit = runtime.events.emit
    if answer not in ("ok", "mine"):
        log.warning("the result of %s (%s) was refused: %s", claimed.message.task, claimed.message.id, answer)
        emit(claimed.event(events.ClaimRefused))
        return
    match outcome:
        case Done():
            emit(claimed.event(events.Succeeded, ran_ms=claimed.ran_ms))
        case Again():
            more = {"after_ms": outcome.after_ms, "counted": outcome.counted, "why": outcome.why}
            emit(claimed.event(events.Retried, ran_ms=claimed.ran_ms, **more))
        case Parked():
            emit(claimed.event(events.ParkedForRelease, why=outcome.why))
        case Ended(how="dead"):
            emit(claimed.event(events.Failed, why=outcome.why, error=outcome.error, ran_ms=claimed.ran_ms))
        case Ended():
            emit(claimed.event(events.Dropped, how=outcome.how, why=outcome.why))


def patiently(call: Callable[[], T], clock: Clock) -> T:
    """Call until the store answers: the same call, for as long as it takes."""
    wait_s, longest_s = PATIENCE_S
    while True:
        try:
            return call()
        except StoreUnavailable as error:
            log.warning("%s; trying again in %.2f s", error, wait_s)
            clock.sleep(wait_s)
            wait_s = min(wait_s * 2, longest_s)


def deliver(delivery: Delivery, message: Message, claim: str, backend: str, runtime: Runtime) -> Claimed:
    """Begin, attempt and settle one delivery; returns when the store knows. ``outcome`` is None if it was not run."""
    if message.task in runtime.definitions:
        _started(runtime)
    request = ask(delivery, message, claim, runtime)
    begun = patiently(lambda: runtime.store.claims.begin(request), runtime.clock)
    claimed = Claimed(delivery=delivery, message=message, claim=claim, backend=backend, begun=begun)
    if not accepted(claimed, runtime):
        return claimed
    outcome = claimed.outcome = attempt(claimed, runtime)
    finish = telling(claimed, outcome, runtime)
    answer = patiently(lambda: runtime.store.claims.finish(finish), runtime.clock)
    told(claimed, answer, outcome, runtime)
    return claimed


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


def _kept(claimed: Claimed, definition: Definition, runtime: Runtime) -> Timeouts:
    """Return how long this attempt may take.

    Raises:
        NotSupported: nobody here would see to it; a message with a caller's own timeouts may come to any worker.
    """
    timeouts = timeouts_for(claimed.message, definition.options, runtime.timeouts)
    if runtime.enforced and (timeouts.soft_ms or timeouts.hard_ms):
        kept = Capabilities(soft_timeout=can_ring(), hard_timeout=claimed.watch is not None)
        refuse_unkept(timeouts, kept, claimed.message.task, "this worker")
    return timeouts


def _run(
    definition: Definition, claimed: Claimed, args: list[Any], kwargs: dict[str, Any], runtime: Runtime
) -> Outcome:
    message, begun, hooks = claimed.message, claimed.begun, runtime.hooks
    within_ms = claimed.timeouts.soft_ms or claimed.timeouts.hard_ms
    me = Current(
        id=message.id,
        task=message.task,
        queue=message.queue,
        attempt=begun.attempt,
        starts=begun.starts,
        fencing_token=begun.fence,
        enqueued_at_ms=message.enqueued_at_ms,
        first_due_ms=message.first_due_ms,
        left=TimeLeft(runtime.clock, within_ms) if within_ms else None,
    )
    with running(me):
        outcome: Outcome
        try:
            outcome = Done(_watched(claimed, runtime, partial(_hooked, definition, claimed, me, args, kwargs, runtime)))
        except (Exception, SystemExit) as error:  # a task that calls sys.exit() has failed; its worker goes on
            outcome = judge(error, claimed, runtime)
            hooks.fail(me, error, outcome)
        hooks.end(definition, me, outcome)
        return outcome


def _hooked(
    definition: Definition, claimed: Claimed, me: Current, args: list[Any], kwargs: dict[str, Any], runtime: Runtime
) -> Any:
    """Call the task inside what users have run around it; the soft timeout is of the task alone.

    Raises:
        LockHeld: it was claimed to fail.
    """
    if claimed.begun.verdict == "held":
        raise LockHeld(f"another holds the lock {claimed.begun.key}")
    alarm = Alarm(claimed.timeouts.soft_ms / 1000 if runtime.enforced else 0, _awaited)
    runtime.hooks.begin(definition, me)
    return runtime.hooks.around(definition, me, partial(alarm.around, definition.function, args, kwargs))


def _watched(claimed: Claimed, runtime: Runtime, run: Callable[[], Any]) -> Any:
    """Run it where the supervisor sees until when it may take, and what a hard timeout leads to."""
    hard_ms, watch = claimed.timeouts.hard_ms, claimed.watch
    if watch is None or not hard_ms or not runtime.enforced:
        return run()
    watch.limit(runtime.clock.monotonic_s() + hard_ms / 1000, _overdue(claimed, runtime))
    try:
        return run()
    finally:
        watch.unlimit()


def _overdue(claimed: Claimed, runtime: Runtime) -> Overdue:
    """Say what a hard timeout would lead to, while there is somebody who knows the task's policy."""
    message, hard_ms = claimed.message, claimed.timeouts.hard_ms
    error = HardTimeout(f"hard timeout after {hard_ms / 1000:g} s")
    outcome = judge(error, claimed, runtime, later_ms=hard_ms)
    finish = telling(claimed, msgspec.structs.replace(outcome, error=None), runtime)  # it has no stacks to show yet
    return Overdue(
        task=message.task,
        queue=message.queue,
        attempt=claimed.begun.attempt,
        state=finish.state,
        counted=finish.counted,
        due_ms=finish.due_ms,
        why=finish.why,
    )


def _awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run an ``async def`` task to its end; one that was cancelled from inside has failed."""
    import asyncio

    try:
        return asyncio.run(coroutine)
    except asyncio.CancelledError as error:  # a BaseException, for which nobody below is prepared
        raise RuntimeError("the task's coroutine was cancelled") from error


def _rescheduled(asked: Reschedule, message: Message, definition: Definition) -> Again:
    body = b""
    if asked.kwargs:
        args, kwargs = definition.arguments.replaced(message.args, message.kwargs, asked.kwargs)
        body = encode(message.copy(args=args, kwargs=kwargs))
    after_ms = max(0, milliseconds(asked.after, "Reschedule(after)"))
    return Again(after_ms=after_ms, counted=False, why=str(asked), body=body)


def _throttled(asked: Throttled, message: Message, definition: Definition) -> Again:
    rates = needs_of(definition, message)[1]
    meant = [one.key for one in rates if asked.limit in ("", one.name)]
    if asked.limit and not meant:
        known = ", ".join(one.name for one in rates) or "none"
        raise ConfigError(f"{message.task} has no limit called {asked.limit!r}; it has {known}")
    after_ms = max(0, milliseconds(asked.after, "Throttled(after)"))
    return Again(after_ms=after_ms, counted=False, why=str(asked), shuts=meant[0] if meant else "")


def _early_ms(message: Message, runtime: Runtime) -> int:
    """How long until a native producer's delay is over; ours waited in the store."""
    return message.due_at_ms - runtime.clock.now_ms() if message.engine and not message.released_at_ms else 0


def _park_for_ms(message: Message, runtime: Runtime) -> int:
    definition = runtime.definitions.get(message.task)
    return definition.options.park_for_ms if definition else milliseconds(PARK_FOR)


def _traceback(error: BaseException | None) -> str:
    return "".join(traceback.format_exception(error))[-MAX_TRACEBACK:] if error else ""
