"""Dramatiq's own actors in this process, and what their options are with us."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import dramatiq.broker
from dramatiq import Actor, Broker
from dramatiq.middleware import Retries, TimeLimit

from taskbridge.native import NativeOption, NativeTask

#: How often Dramatiq retries unless told otherwise. Source: dramatiq.middleware.Retries in 2.2.
RETRIES = 20


def tasks() -> list[NativeTask]:
    """Return the actors of the global broker, by name; none where no broker was set."""
    broker = dramatiq.broker.global_broker
    return [_native(broker, broker.actors[name]) for name in sorted(broker.actors)] if broker else []


def _native(broker: Broker, actor: Actor[Any, Any]) -> NativeTask:
    parameters = inspect.signature(actor.fn).parameters.values()
    return NativeTask(
        name=actor.actor_name,
        queue=actor.queue_name,
        where=f"{actor.fn.__module__}.{actor.fn.__qualname__}",
        options=tuple(_options(broker, actor)),
        untyped=tuple(one.name for one in parameters if one.annotation is one.empty),
    )


def _options(broker: Broker, actor: Actor[Any, Any]) -> Iterator[NativeOption]:
    chosen = actor.options
    for limits in (one for one in broker.middleware if isinstance(one, TimeLimit)):
        limit_ms = chosen.get("time_limit", limits.time_limit)
        if limit_ms and limit_ms < float("inf"):
            said, differs = f"time_limit={limit_ms / 1000:g} s", "SoftTimeout in place of TimeLimitExceeded"
            yield NativeOption(said=said, ours=f"timeout={limit_ms / 1000:g}", differs=differs)
    retries = next((one for one in broker.middleware if isinstance(one, Retries)), None)
    yield _retries(retries, actor) if retries else NativeOption(said="no retries", ours="retry=None")
    if (age_ms := chosen.get("max_age")) is not None:
        yield NativeOption(said=f"max_age={age_ms / 1000:g} s", ours=f"expires={age_ms / 1000:g}")
    if actor.priority:
        text = "Dramatiq's lower comes first, in one queue of one worker; ours is 0 to 9, 9 first, over all workers"
        yield NativeOption(said=f"priority={actor.priority}", differs=text)
    if chosen.get("store_results"):
        text = "kept by Dramatiq's backend while it runs on Dramatiq, and nowhere else: write down what is needed"
        yield NativeOption(said="store_results=True", differs=text)
    if called := [hook for hook in ("on_success", "on_failure") if chosen.get(hook)]:
        yield NativeOption(said=", ".join(called), differs="enqueue it in the task, or as the next link of a chain")


def _retries(middleware: Retries, actor: Actor[Any, Any]) -> NativeOption:
    """Dramatiq retries twenty times unless told not to; with ``retry_when`` a function of the team's own decides."""
    chosen = actor.options
    many = chosen.get("max_retries", middleware.max_retries)
    if many == 0:
        return NativeOption(said="max_retries=0", ours="retry=None")
    base_s = chosen.get("min_backoff", middleware.min_backoff) / 1000
    cap_s = max(base_s, chosen.get("max_backoff", middleware.max_backoff) / 1000)
    words = [f"max_retries={RETRIES if many is None else many}", f"base={base_s:g}", f"cap={cap_s:g}"]
    if thrown := _names(chosen.get("throws")):
        words.append(f"give_up_on=({thrown})")
    differs = ""
    if chosen.get("retry_when", middleware.retry_when) is not None:
        differs = "retry_when has no like: name the classes in retry_on and give_up_on"
    elif many is None:
        differs = "there is always a last attempt: name max_retries, or max_age"
    return NativeOption(said=f"max_retries={many}", ours=f"retry=Backoff({', '.join(words)})", differs=differs)


def _names(kinds: Any) -> str:
    some = kinds if isinstance(kinds, tuple) else (kinds,) if kinds else ()
    return "".join(f"{kind.__name__}, " for kind in some).strip()
