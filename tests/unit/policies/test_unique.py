"""Uniqueness: which calls are the same, and what is refused when declared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from taskbridge import Bridge, Task, TaskOptions
from taskbridge.errors import ConfigError
from taskbridge.policies.unique import sameness_of
from taskbridge.testing import a_message


def keys(task: Task[..., Any], *args: Any, **kwargs: Any) -> list[str]:
    """Under which keys a call is looked up."""
    sent_args, sent_kwargs = task.definition.arguments.encode(args, kwargs)
    message = a_message(task=task.name, args=sent_args, kwargs=sent_kwargs)
    return [one.key for one in sameness_of(task.definition, task.options, message)]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"unique": "until_finished"}, "unique: expected until_started, until_done or a span, got 'until_finished'"),
        ({"unique": 0}, "unique: expected a span above 0, got 0"),
        ({"unique_by": "user"}, r"unique_by: expected names of arguments, such as \('user_id',\), got 'user'"),
        ({"unique_by": ("user",)}, "unique_by: expected unique= or debounce= beside it, got"),
        ({"debounce": 5, "delay": 5}, "debounce: expected no delay beside it: it is one, got 5"),
        ({"debounce": -1}, "debounce: expected a span above 0, got -1"),
        ({"debounce": 5, "unique": 5}, "debounce: expected no unique beside it: it is a kind of that, got 5"),
        ({"idempotency_key": "x" * 201}, "idempotency_key: expected text of up to 200 characters"),
        ({"idempotency_window": 0}, "idempotency_window: expected a span above 0, got 0"),
    ],
)
def test_wrong_uniqueness_is_refused(options: dict[str, Any], error: str):
    """With what was expected and what came."""
    with pytest.raises(ConfigError, match=error):
        TaskOptions(**options)


def test_argument_that_is_none_is_refused(bridge: Bridge):
    """When the task is declared, or when the call names it."""
    with pytest.raises(ConfigError, match="t: unique_by names 'bank', which the task does not have"):
        bridge.task(name="t", unique="until_done", unique_by=("bank",))(lambda user: None)
    task = bridge.task(name="u")(lambda user: None)
    with pytest.raises(ConfigError, match="u: unique_by names 'bank'"):
        task.using(unique="until_done", unique_by=("bank",)).enqueue(1)


def test_idempotency_key_is_of_one_call(bridge: Bridge):
    """Declared, it would make every call the same."""
    with pytest.raises(ConfigError, match="t: idempotency_key is of one call"):
        bridge.task(name="t", idempotency_key="payment-81")(lambda: None)


def test_same_call_has_the_same_key(bridge: Bridge):
    """Positional or by keyword, passed or by default, the same instant in another zone."""

    @bridge.task(name="t", unique="until_done")
    def task(user: int, at: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC), *more: int, **rest: int) -> None: ...

    east = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))

    assert 1 == len({*keys(task, 7), *keys(task, user=7), *keys(task, 7, datetime(2026, 3, 1, 12, tzinfo=UTC))})
    assert 1 == len({*keys(task, 7, east), *keys(task, 7)})
    assert 5 == len({*keys(task, 7), *keys(task, 8), *keys(task, 7, east, 1), *keys(task, 7, x=1), *keys(task, 7, x=2)})


def test_chosen_arguments_alone_count(bridge: Bridge):
    """``unique_by`` leaves the others out; another task's call is never the same."""

    @bridge.task(name="t", unique="until_done", unique_by=("user",))
    def task(user: int, why: str) -> None: ...

    @bridge.task(name="u", unique="until_done", unique_by=("user",))
    def other(user: int, why: str) -> None: ...

    assert keys(task, 7, "a") == keys(task, 7, "b")
    assert keys(task, 7, "a") != keys(task, 8, "a")
    assert keys(task, 7, "a") != keys(other, 7, "a")


def test_idempotency_key_comes_first(bridge: Bridge):
    """It is looked up before the call itself."""
    task = bridge.task(name="t", unique="until_done")(lambda: None).using(idempotency_key="payment-81")

    assert ["key:t:", "call:t"] == [key[:6] for key in keys(task)]
