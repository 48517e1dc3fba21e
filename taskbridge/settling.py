"""What a failed or signalled attempt leads to, and how the store is told."""

from __future__ import annotations

import logging
import traceback
from datetime import timedelta
from functools import partial
from typing import Any

from .claimed import Claimed
from .clock import milliseconds
from .definition import Definition
from .enqueue import refuse_large
from .errors import (
    ArgumentError,
    ConfigError,
    CursorStuck,
    Drop,
    PayloadTooLarge,
    Reschedule,
    Throttled,
    from_the_task_on,
)
from .message import Message, encode
from .options import PARK_FOR
from .outcome import Again, Done, Ended, Outcome, Parked
from .policies.needs import needs_of
from .policies.retry import NEVER
from .returned import returned_by
from .routing.rules import fields_in
from .runtime import Runtime
from .store import Finish

log = logging.getLogger("taskbridge")

#: A traceback in the dead letters is cut to its end.
MAX_TRACEBACK = 16_384


def judge(error: BaseException, claimed: Claimed, runtime: Runtime, *, later_ms: int = 0) -> Outcome:
    """Say what a failure leads to, by the task's own policy; where nothing can be said, it is dead.

    Args:
        error: what the attempt raised.
        claimed: whose attempt.
        runtime: where its task and the time are.
        later_ms: how far ahead the failure lies.
    """
    definition = runtime.definitions.get(claimed.message.task)
    message, now_ms = _dated(claimed.message, runtime), runtime.clock.now_ms()
    age_ms = now_ms + later_ms - message.first_due_ms
    try:
        if isinstance(error, Drop):
            return Ended(how="dropped", why=str(error))
        if isinstance(error, CursorStuck):  # it would be stuck again
            return Ended(how="dead", why=f"CursorStuck: {error}", error=error)
        if isinstance(error, Reschedule) and definition is not None:
            changed = _changed(error, message, definition, runtime.max_payload)
            return _rescheduled(error, changed, starts=claimed.begun.starts, age_ms=age_ms)
        if isinstance(error, Throttled) and definition is not None:
            return _throttled(error, message, definition)
        policy = (definition.options.retry if definition else None) or NEVER
        return policy.judge(error, attempt=claimed.begun.attempt, age_ms=age_ms)
    except Exception as wrong:  # a wait that is none, arguments that do not fit, a policy of the user's that fails
        wrong.__cause__ = error  # the letter shows where in the task it was asked for
        log.exception("what becomes of %s (%s) cannot be said", claimed.message.task, claimed.message.id)
        return Ended(how="dead", why=f"{type(wrong).__name__}: {wrong}", error=wrong)


def returned(result: Any, message: Message, definition: Definition, runtime: Runtime) -> Done | Ended:
    """Say what it leads to that a task returned: done, unless the next link of its chain cannot be given the result.

    That fails at once: the next attempt would return the same. A run gives nothing on: its chunks have no result.
    """
    if message.flow is None or not message.flow.gives or definition.chunks:
        return Done(result)
    try:
        given = bytes(returned_by(definition.function, definition.name).encode(result))
        if len(given) > runtime.max_payload:
            raise PayloadTooLarge(
                f"{message.task}: its result is {len(given)} bytes of JSON and max_payload is {runtime.max_payload}: "
                f"save the data and return its id"
            )
    except (ArgumentError, ConfigError, PayloadTooLarge) as error:
        return Ended(how="dead", why=f"{type(error).__name__}: {error}", error=error)
    return Done(result, given)


def telling(claimed: Claimed, outcome: Outcome, runtime: Runtime) -> Finish:
    """Return what ``finish`` is to be told of an outcome."""
    message = claimed.message
    tell = partial(Finish, id=message.id, claim=claimed.claim, held=claimed.delivery.held)
    match outcome:
        case Done():
            return tell(state="DONE", result=outcome.given, next=claimed.next, of=message)
        case Again():
            return tell(
                state="THROTTLED" if outcome.shuts else "DELAYED" if outcome.after_ms > 0 else "READY",
                counted=outcome.counted,
                ran=outcome.ran,
                due_ms=outcome.after_ms,
                group=outcome.shuts,
                why=outcome.why,
                traceback=_traceback(outcome.error),
                body=outcome.body or (b"" if message.first_due_ms else encode(_dated(message, runtime))),
            )
        case Parked():
            group = " ".join((message.task, *outcome.missing))
            return tell(state="PARKED", ran=False, due_ms=_park_for_ms(message, runtime), group=group, why=outcome.why)
        case Ended():
            dead = outcome.how == "dead"
            return tell(
                state="DEAD" if dead else "DONE",
                why=outcome.why if dead else f"{outcome.how}: {outcome.why}",
                traceback=outcome.traceback or _traceback(outcome.error),
                body=outcome.body,
                of=None if dead else message,
            )


def _dated(message: Message, runtime: Runtime) -> Message:
    """A plain Celery producer does not say when: then it was first due when it first ran."""
    return message if message.first_due_ms else message.copy(enqueued_at_ms=runtime.clock.now_ms())


def _changed(asked: Reschedule, message: Message, definition: Definition, max_payload: int) -> bytes:
    """Return the message with the arguments of the next run; empty where they stay as they are."""
    if not asked.kwargs:
        return b""
    args, kwargs = definition.arguments.replaced(message.args, message.kwargs, asked.kwargs)
    kept = {by: key for by, key in (message.route_keys or {}).items() if asked.kwargs.keys().isdisjoint(fields_in(by))}
    changed = message.copy(args=args, kwargs=kwargs, route_keys=kept or None)
    refuse_large(changed, max_payload)
    return encode(changed)


def _rescheduled(asked: Reschedule, body: bytes, *, starts: int, age_ms: int) -> Again | Ended:
    """Say when it runs again, or that it has been asked for long enough; a replay goes on where it has stopped."""
    after_ms = max(0, milliseconds(asked.after, "Reschedule(after)"))
    if asked.give_up_after is not None:
        give_up_ms = milliseconds(asked.give_up_after, "Reschedule(give_up_after)")
        if give_up_ms <= 0:
            raise ConfigError(f"Reschedule(give_up_after): expected a span above 0, got {asked.give_up_after!r}")
        if age_ms + after_ms > give_up_ms:
            why = f"gave up after {timedelta(milliseconds=give_up_ms)}: still not ready, begun {starts} times"
            return Ended(how="dead", why=why, traceback=_traceback(asked), body=body)
    return Again(after_ms=after_ms, counted=False, why=str(asked), body=body)


def _throttled(asked: Throttled, message: Message, definition: Definition) -> Again:
    rates = needs_of(definition, message)[1]
    meant = [one.key for one in rates if asked.limit in ("", one.name)]
    if asked.limit and not meant:
        known = ", ".join(one.name for one in rates) or "none"
        raise ConfigError(f"{message.task} has no limit called {asked.limit!r}; it has {known}")
    after_ms = max(0, milliseconds(asked.after, "Throttled(after)"))
    return Again(after_ms=after_ms, counted=False, why=str(asked), shuts=meant[0] if meant else "")


def _park_for_ms(message: Message, runtime: Runtime) -> int:
    definition = runtime.definitions.get(message.task)
    return definition.options.park_for_ms if definition else milliseconds(PARK_FOR)


def _traceback(error: BaseException | None) -> str:
    if error is None:
        return ""
    return "".join(traceback.format_exception(type(error), error, from_the_task_on(error)))[-MAX_TRACEBACK:]
