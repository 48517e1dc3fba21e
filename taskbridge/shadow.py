"""Shadows where tasks run: a copy is run once and told, never settled; an original that has a copy is told, too.

Nothing here may hurt an original: what cannot be told is logged, and no store is waited for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from .attempt import current_of, hooked, kept, watched
from .claimed import Claimed
from .current import running
from .definition import Definition
from .errors import DecodeError, NotSupported, TaskbridgeError
from .events import Shadowed
from .outcome import Done, Ended, Outcome
from .policies.unknown import judge_unknown
from .runtime import Runtime
from .scope import Scope, Unsent, inside
from .sides import raised, returned
from .store import Begun
from .store.shadows import Told

log = logging.getLogger("taskbridge")

#: What ``begin`` would have answered for a copy, which is not asked about.
BEGUN = Begun(verdict="run", starts=1)

#: What engines are told of every copy: they store no result, report no failure, and call nothing.
IGNORED = Ended(how="dropped", why="a shadow: compared, and never settled")

Attempt = Callable[[], Outcome]
Arguments = tuple[list[Any], dict[str, Any]]


class Unrun(Exception):
    """A copy is not run; says why."""


def tell_original(claimed: Claimed, runtime: Runtime) -> None:
    """Say how the first attempt of a message that has a copy was left, now that the message is settled."""
    if claimed.told is None or claimed.begun.attempt > 1:
        return
    try:
        _tell(claimed, claimed.told, runtime)
    except TaskbridgeError as error:
        log.warning("%s (%s) is not compared with its copy: %s", claimed.message.task, claimed.message.id, error)


def run_copy(claimed: Claimed, runtime: Runtime, in_hooks: Callable[[Attempt], Outcome] = lambda run: run()) -> None:
    """Run a copy's body, unless it has been run, and tell how that was left. Raises nothing: it ends here either way.

    Args:
        claimed: the copy; there is no claim of it in the store.
        runtime: what it runs on.
        in_hooks: runs an attempt inside the engine's hooks. Defaults to that being done already.
    """
    claimed.outcome = IGNORED
    try:
        definition, arguments = _prepared(claimed, runtime)
        _begin(claimed, runtime)
        _run(definition, arguments, claimed, runtime, in_hooks)
        told = claimed.told
        assert told is not None
        _event(claimed, runtime, how="ran", why=_tell(claimed, told, runtime), ran_ms=claimed.ran_ms)
    except (Unrun, TaskbridgeError) as error:
        log.info("the copy %s of %s: %s", claimed.message.id, claimed.message.task, error)
        _event(claimed, runtime, how="unrun" if claimed.told is None else "ran", why=str(error), ran_ms=claimed.ran_ms)


def _prepared(claimed: Claimed, runtime: Runtime) -> tuple[Definition, Arguments]:
    """Return what is run.

    Raises:
        Unrun: this release must not or cannot run it, or it is too late.
    """
    message = claimed.message
    definition = runtime.definitions.get(message.task)
    if definition is None or not definition.options.shadow_safe or definition.chunks is not None:
        raise Unrun(f"no task named {message.task!r} is shadow_safe in this release")
    if 0 < message.expires_at_ms < runtime.clock.now_ms():
        raise Unrun("not begun before it expired")
    try:
        unknown = definition.arguments.unknown(message.kwargs)
        refusal = judge_unknown(unknown, message.task, definition.options.unknown_args) if unknown else None
        if refusal is not None:
            raise Unrun(getattr(refusal, "why", "it has arguments that this release does not know"))
        arguments = definition.arguments.decode(message.args, message.kwargs, without=unknown)
        claimed.timeouts = kept(claimed, definition, runtime)
    except (DecodeError, msgspec.DecodeError, RecursionError, NotSupported) as error:
        raise Unrun(f"{type(error).__name__}: {error}") from error
    return definition, arguments


def _begin(claimed: Claimed, runtime: Runtime) -> None:
    """Have the store note that it begins.

    Raises:
        Unrun: it has begun before.
        StoreUnavailable: who counts must not be waited for by what does not.
    """
    shadow, task = claimed.message.shadow, claimed.message.task
    assert shadow is not None
    if not runtime.store.shadows.begin(shadow.rule, task, shadow.of):
        raise Unrun("it has begun before")


def _run(
    definition: Definition,
    arguments: Arguments,
    claimed: Claimed,
    runtime: Runtime,
    in_hooks: Callable[[Attempt], Outcome],
) -> None:
    """Run the body, and keep what is to be told of it."""
    started_s = runtime.clock.monotonic_s()
    try:
        outcome = in_hooks(partial(_body, definition, arguments, claimed, runtime))
    except (Exception, SystemExit) as error:  # of the hooks; the task's own ended in ``_body``
        log.exception("the hooks of %s failed around a copy of %s", claimed.backend, claimed.message.task)
        claimed.told = claimed.told or raised(error, claimed.backend)
    else:
        why = getattr(outcome, "why", "")
        claimed.told = claimed.told or Told(outcome="NotEntered", backend=claimed.backend, why=why)
    claimed.ran_ms = claimed.ran_ms or round((runtime.clock.monotonic_s() - started_s) * 1000, 3)


def _body(definition: Definition, arguments: Arguments, claimed: Claimed, runtime: Runtime) -> Outcome:
    me = current_of(claimed, runtime, shadow=True)
    run = partial(hooked, definition, definition.function, claimed, me, *arguments, runtime)
    unsent, started_s = Unsent(), runtime.clock.monotonic_s()
    with running(me), inside(Scope(unsent=unsent)):
        outcome: Outcome
        try:
            result = watched(definition, claimed, runtime, run)
        except (Exception, SystemExit) as error:
            log.info("the copy %s of %s raised", me.id, me.task, exc_info=error)
            told, outcome = raised(error, claimed.backend), Ended(how="dropped", why=f"{type(error).__name__}: {error}")
        else:
            told, outcome = returned(result, claimed.backend), Done(result)
        runtime.hooks.end(definition, me, outcome)
    claimed.ran_ms = round((runtime.clock.monotonic_s() - started_s) * 1000, 3)
    claimed.told = msgspec.structs.replace(told, unsent=unsent.count)
    return IGNORED


def _tell(claimed: Claimed, told: Told, runtime: Runtime) -> str:
    message = claimed.message
    assert message.shadow is not None
    told = msgspec.structs.replace(told, ran_us=max(0, round(claimed.ran_ms * 1000)))
    id, side = message.shadow.of or message.id, "copy" if message.shadow.of else "original"
    return runtime.store.shadows.tell(message.shadow.rule, message.task, id, side, told)  # type: ignore[arg-type]


def _event(claimed: Claimed, runtime: Runtime, *, how: str, why: str, ran_ms: float) -> None:
    message = claimed.message
    assert message.shadow is not None
    told = Shadowed(
        id=message.shadow.of,
        task=message.task,
        queue=message.queue,
        backend=claimed.backend,
        how=how,
        why=why,
        ran_ms=ran_ms,
    )
    runtime.events.emit(told)
