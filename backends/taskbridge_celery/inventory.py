"""Celery's own tasks in this process, and what their options are with us."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from celery import Celery
from celery._state import _get_active_apps

from taskbridge.native import NativeOption, NativeTask

#: What Celery has declared itself.
BUILT_IN = "celery."

#: How often Celery retries, and how far apart at most, unless told otherwise. Source: celery.app.task, app.autoretry.
RETRIES, LONGEST_BACKOFF_S = 3, 600


def tasks() -> list[NativeTask]:
    """Return the tasks of every Celery application of this process, by name; of two of one name, either."""
    found = {task.name: task for app in list(_get_active_apps()) for task in tasks_of(app)}
    return [found[name] for name in sorted(found)]


def tasks_of(app: Celery) -> list[NativeTask]:
    """Return the tasks of one application, but Celery's built-in ones."""
    return [_native(app, task) for name, task in app.tasks.items() if not name.startswith(BUILT_IN)]


def _native(app: Celery, task: Any) -> NativeTask:
    function = getattr(task, "_orig_run", task.run)  # what autoretry has wrapped
    parameters = inspect.signature(function).parameters.values()
    return NativeTask(
        name=task.name,
        queue=_queue(app, task),
        where=f"{function.__module__}.{function.__qualname__}",
        options=tuple(_options(app, task, function)),
        untyped=tuple(one.name for one in parameters if one.annotation is one.empty),
    )


def _queue(app: Celery, task: Any) -> str:
    routed = getattr(task, "queue", None) or app.amqp.router.route({}, task.name).get("queue")
    return str(getattr(routed, "name", routed) or app.conf.task_default_queue)


def _options(app: Celery, task: Any, function: Any) -> Iterator[NativeOption]:
    yield from _timeouts(app, task)
    yield from _retries(task, function)
    if task.rate_limit:
        yield _rate(str(task.rate_limit))
    if task.expires:
        yield NativeOption(said=f"expires={task.expires!r}", ours=f"expires={task.expires!r}")
    if task.priority is not None:
        text = "ours is 9 first on every broker, Celery's on RabbitMQ alone; on Redis its 0 comes first: choose anew"
        yield NativeOption(said=f"priority={task.priority}", differs=text)
    if not task.acks_late:
        text = "a task whose worker dies begins again, so it must bear that: with current().inbox() an effect is once"
        yield NativeOption(said="acks_late=False", differs=text)
    if inspect.ismethod(function):
        yield NativeOption(said="bind=True", differs="self is not handed over: current() has id, attempt and the rest")
    if task.serializer not in (None, "json"):
        text = "arguments are plain JSON, and come back as annotated"
        yield NativeOption(said=f"serializer={task.serializer!r}", differs=text)
    if app.conf.result_backend and not task.ignore_result:
        text = "kept by Celery's backend while it runs on Celery, and nowhere else: write down what is needed"
        yield NativeOption(said="its result", differs=text)
    yield from _hooks(task)


def _timeouts(app: Celery, task: Any) -> Iterator[NativeOption]:
    for option, ours in (("soft_time_limit", "timeout"), ("time_limit", "hard_timeout")):
        if limit := getattr(task, option, None) or app.conf[f"task_{option}"]:
            raised = "SoftTimeout in place of SoftTimeLimitExceeded" if ours == "timeout" else ""
            yield NativeOption(said=f"{option}={limit:g}", ours=f"{ours}={limit:g}", differs=raised)


def _retries(task: Any, function: Any) -> Iterator[NativeOption]:
    """Celery retries what it was told to; we retry unless told not to."""
    kinds = [kind.__name__ for kind in getattr(task, "autoretry_for", ())]
    code = getattr(inspect.unwrap(function), "__code__", None)  # a class's instance has none
    by_hand = code is not None and "retry" in code.co_names
    if not kinds and not by_hand:
        yield NativeOption(said="no retries", ours="retry=None")
        return
    differences = []
    many = getattr(task, "retry_kwargs", {}).get("max_retries", task.max_retries)
    if many is None:
        differences.append("there is always a last attempt: name max_retries, or max_age")
    base_s, cap_s = _backoff(task)
    if base_s == cap_s:
        differences.append(f"waits up to {base_s:g} s, not as long: all waits have jitter")
    if by_hand:
        differences.append("write raise Retry(after=...) for self.retry()")
    words = [f"max_retries={RETRIES if many is None else many}", f"base={base_s:g}", f"cap={cap_s:g}"]
    if kinds != ["Exception"]:
        words.append(f"retry_on=({''.join(f'{kind}, ' for kind in kinds).strip()})")
    said = f"autoretry_for={', '.join(kinds)}" if kinds else "self.retry()"
    yield NativeOption(said=said, ours=f"retry=Backoff({', '.join(words)})", differs="; ".join(differences))


def _backoff(task: Any) -> tuple[float, float]:
    """The first wait and the longest, seconds; without ``retry_backoff`` all are alike."""
    backoff = getattr(task, "retry_backoff", False)
    if not backoff:
        return task.default_retry_delay, task.default_retry_delay
    base_s = float(backoff)  # True is a second
    return base_s, max(base_s, getattr(task, "retry_backoff_max", LONGEST_BACKOFF_S))


def _rate(rate: str) -> NativeOption:
    """Celery's rates may have a fraction, and mean seconds where they name no unit; ours are of whole numbers."""
    count, _, unit = rate.partition("/")
    whole = Fraction(count).limit_denominator(1_000)
    ours = f"{whole.numerator}/{whole.denominator if whole.denominator > 1 else ''}{unit or 's'}"
    text = "for each worker there, for all workers together here"
    return NativeOption(said=f"rate_limit={rate!r}", ours=f"rate_limit=RateLimit({ours!r})", differs=text)


def _hooks(task: Any) -> Iterator[NativeOption]:
    """What a class of the team's own adds: on_failure and the like."""
    from celery.app.task import Task

    hooks = ("before_start", "on_success", "on_failure", "on_retry", "after_return", "__call__")
    own = [hook for hook in hooks if getattr(type(task), hook, None) is not getattr(Task, hook, None)]
    if own:
        text = "of the class's own: write them as middleware, or subscribe to events"
        yield NativeOption(said=", ".join(own), differs=text)
