"""One attempt: run the task inside its hooks, under its timeouts, and say what became of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import msgspec

from . import sides
from .alarm import Alarm, can_ring
from .backend import Capabilities
from .claimed import Claimed, early_ms
from .current import Current, TimeLeft, running
from .definition import Definition
from .errors import DecodeError, HardTimeout, LockHeld, NotSupported
from .flow.work import Work
from .options import Timeouts
from .outcome import Again, Ended, Outcome, Parked
from .policies.retry import NEVER, Backoff
from .policies.timeout import Overdue, refuse_unkept, timeouts_for
from .policies.unknown import judge_unknown
from .runtime import Runtime
from .scope import NOWHERE, inside
from .settling import judge, returned, telling
from .trace import Entered

#: What this process has said of hard timeouts: by task, queue, attempt and timeout, with the policy that said it.
_SAID: dict[tuple[str, str, int, int], tuple[Backoff, Overdue]] = {}

#: How much of that is kept: a call may bring a timeout of its own.
MOST_SAID = 256


def attempt(claimed: Claimed, runtime: Runtime) -> Outcome:
    """Run the task once, unless it is early or unknown here, and say what became of it."""
    trace = runtime.trace
    if not trace.attempts:
        return _attempt(claimed, runtime)
    entered = Entered(message=claimed.message, backend=claimed.backend, attempt=claimed.begun.attempt)
    return trace.attempting(entered, _attempt, claimed, runtime)


def _attempt(claimed: Claimed, runtime: Runtime) -> Outcome:
    message = claimed.message
    definition = runtime.definitions.get(message.task)
    if claimed.delivery.problem:
        return Ended(how="dead", why=claimed.delivery.problem)
    if definition is None:
        return Parked(why=f"no task named {message.task!r} in this release")
    if claimed.delivery.early:  # as it was when it asked for what the task needs: by now that may be over
        return Again(after_ms=max(0, early_ms(message, runtime)), counted=False, ran=False, why="not due yet")
    try:
        unknown = _unknown(claimed, definition)
        if unknown:
            refusal = judge_unknown(unknown, message.task, definition.options.unknown_args)
            if refusal is not None:
                return refusal
        args, kwargs = definition.arguments.decode(message.args, message.kwargs, without=unknown)
    except (DecodeError, msgspec.DecodeError, RecursionError) as error:  # nested too deeply to be read in here
        return Ended(how="dead", why=str(error), error=error)
    try:
        claimed.timeouts = kept(claimed, definition, runtime)
    except NotSupported as error:
        return Ended(how="dead", why=f"NotSupported: {error}", error=error)
    started_s = runtime.clock.monotonic_s()
    try:
        return _run(definition, claimed, args, kwargs, runtime)
    finally:
        claimed.ran_ms = round((runtime.clock.monotonic_s() - started_s) * 1000, 3)


def is_called(claimed: Claimed, runtime: Runtime) -> bool:
    """Whether the task is called, as far as can be told before its arguments are read."""
    definition = runtime.definitions.get(claimed.message.task)
    if definition is None or claimed.delivery.early:
        return False
    try:
        return not _unknown(claimed, definition) or definition.options.unknown_args == "drop"
    except (msgspec.DecodeError, RecursionError):  # the attempt says so
        return True


def _unknown(claimed: Claimed, definition: Definition) -> tuple[str, ...]:
    """Return the keyword arguments that the task does not have; they are looked at once."""
    if claimed.unknown is None:
        claimed.unknown = definition.arguments.unknown(claimed.message.kwargs)
    return claimed.unknown


def kept(claimed: Claimed, definition: Definition, runtime: Runtime) -> Timeouts:
    """Return how long this attempt may take.

    Raises:
        NotSupported: nobody here would see to it; a message with a caller's own timeouts may come to any worker.
    """
    timeouts = timeouts_for(claimed.message, definition.options, runtime.timeouts)
    if runtime.enforced and (timeouts.soft_ms or timeouts.hard_ms):
        rings, watched = can_ring(), claimed.watch is not None
        if not (rings and watched):
            kept = Capabilities(soft_timeout=rings, hard_timeout=watched)
            refuse_unkept(timeouts, kept, claimed.message.task, "this worker")
    return timeouts


def _run(
    definition: Definition, claimed: Claimed, args: list[Any], kwargs: dict[str, Any], runtime: Runtime
) -> Outcome:
    message, hooks = claimed.message, runtime.hooks
    me = current_of(claimed, runtime)
    work = _work(definition, claimed, runtime)
    with running(me), inside(work.scope if work else NOWHERE):
        outcome: Outcome
        try:
            function = work or definition.function
            run = partial(hooked, definition, function, claimed, me, args, kwargs, runtime)
            result = watched(definition, claimed, runtime, run)
            if message.shadow is not None:
                claimed.told = sides.returned(result, claimed.backend)
            outcome = returned(result, message, definition, runtime)
            claimed.next = work.came_to() if work else None
        except (Exception, SystemExit) as error:  # a task that calls sys.exit() has failed; its worker goes on
            if message.shadow is not None:
                claimed.told = claimed.told or sides.raised(error, claimed.backend)
            outcome = judge(error, claimed, runtime)
            hooks.fail(me, error, outcome)
        else:
            if isinstance(outcome, Ended) and outcome.error:
                hooks.fail(me, outcome.error, outcome)
        hooks.end(definition, me, outcome)
        return outcome


def current_of(claimed: Claimed, runtime: Runtime, *, shadow: bool = False) -> Current:
    """Return what its task may ask about itself."""
    message, begun = claimed.message, claimed.begun
    within_ms = claimed.timeouts.soft_ms or claimed.timeouts.hard_ms
    return Current(
        id=message.id,
        task=message.task,
        queue=message.queue,
        attempt=begun.attempt,
        starts=begun.starts,
        fencing_token=begun.fence,
        enqueued_at_ms=message.enqueued_at_ms,
        first_due_ms=message.first_due_ms,
        left=TimeLeft(runtime.clock, within_ms) if within_ms else None,
        call=(message.args, message.kwargs),
        chain=message.flow.chain if message.flow else "",
        link=message.flow.link if message.flow else 0,
        trace=message.trace,
        shadow=shadow,
    )


def _work(definition: Definition, claimed: Claimed, runtime: Runtime) -> Work | None:
    """Return what runs in place of a chunked task's function."""
    if definition.chunks is None:
        return None
    return Work(
        message=claimed.message,
        claim=claimed.claim,
        function=definition.function,
        chunks=definition.chunks,
        store=runtime.store,
        clock=runtime.clock,
        max_payload=runtime.max_payload,
        stopping=claimed.stopping,
    )


def hooked(
    definition: Definition,
    function: Callable[..., Any],
    claimed: Claimed,
    me: Current,
    args: list[Any],
    kwargs: dict[str, Any],
    runtime: Runtime,
) -> Any:
    """Call the task inside what users have run around it; the soft timeout is of the task alone.

    Raises:
        LockHeld: it was claimed to fail.
    """
    if claimed.begun.verdict == "held":
        raise LockHeld(f"another holds the lock {claimed.begun.key}")
    alarm = Alarm(claimed.timeouts.soft_ms / 1000 if runtime.enforced else 0, _awaited)
    runtime.hooks.begin(definition, me)
    return runtime.hooks.around(definition, me, partial(alarm.around, function, args, kwargs))


def watched(definition: Definition, claimed: Claimed, runtime: Runtime, run: Callable[[], Any]) -> Any:
    """Run it where the supervisor sees until when it may take, and what a hard timeout leads to."""
    hard_ms, watch = claimed.timeouts.hard_ms, claimed.watch
    if watch is None or not hard_ms or not runtime.enforced:
        return run()
    watch.limit(runtime.clock.monotonic_s() + hard_ms / 1000, _foretold(definition, claimed, runtime))
    try:
        return run()
    finally:
        watch.unlimit()


def _foretold(definition: Definition, claimed: Claimed, runtime: Runtime) -> Overdue:
    """Return what a hard timeout would lead to; a ``Backoff`` that looks at no age is asked once for all like this one.

    The wait that it draws by chance is drawn once in a process, and used once at most: the process is ended for it. So
    those of any two timeouts are drawn apart. A policy of the user's is asked each time.
    """
    policy = definition.options.retry or NEVER
    if type(policy) is not Backoff or policy.max_age is not None:
        return _overdue(claimed, runtime)
    like = (claimed.message.task, claimed.message.queue, claimed.begun.attempt, claimed.timeouts.hard_ms)
    by, overdue = _SAID.get(like, (None, None))
    if overdue is None or by is not policy:
        if len(_SAID) >= MOST_SAID:
            _SAID.clear()
        overdue = _overdue(claimed, runtime)
        _SAID[like] = policy, overdue
    return overdue


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
