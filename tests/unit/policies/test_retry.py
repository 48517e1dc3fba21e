"""Backoff: whether a failed message runs again, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from taskbridge.errors import ConfigError, Drop, Retry
from taskbridge.outcome import Again, Ended
from taskbridge.policies.retry import NEVER, Backoff

spans_s = some.integers(0, 10**6).map(lambda ms: ms / 1000)


@given(spans_s, spans_s, some.integers(1, 10**6), some.integers(0, 10**9))
def test_a_wait_is_never_over_its_cap(base: float, cap: float, attempt: int, age_ms: int):
    """However many attempts were made, the next is at most ``cap`` away, and at most base doubled so often."""
    assume(base <= cap)
    policy = Backoff(max_retries=10**6, base=base, cap=cap)

    verdict = policy.judge(OSError(), attempt=attempt, age_ms=age_ms)

    assert isinstance(verdict, Again)
    assert 0 <= verdict.after_ms <= cap * 1000 + 1
    assert verdict.after_ms <= base * 1000 * 2 ** min(attempt - 1, 60) + 1


@given(some.integers(0, 50), some.integers(1, 100))
def test_retries_are_counted(max_retries: int, attempt: int):
    """An attempt leads to another exactly while no more than ``max_retries`` were made; the last one is dead."""
    verdict = Backoff(max_retries=max_retries).judge(OSError("away"), attempt=attempt, age_ms=0)

    if attempt <= max_retries:
        assert isinstance(verdict, Again)
        assert (True, "OSError: away") == (verdict.counted, verdict.why)
    else:
        assert isinstance(verdict, Ended)
        assert ("dead", f"failed {attempt} times: OSError: away") == (verdict.how, verdict.why)


@given(some.integers(1, 10**6), some.integers(0, 2 * 10**6), some.integers(1, 30), spans_s)
def test_no_retry_begins_after_its_age(max_age_ms: int, age_ms: int, attempt: int, after: float):
    """Whatever the wait is, jitter or the task's own, age and wait together are within ``max_age``, or it is dead."""
    policy = Backoff(max_retries=100, max_age=timedelta(milliseconds=max_age_ms))

    for error in (OSError(), Retry(after=after)):
        verdict = policy.judge(error, attempt=attempt, age_ms=age_ms)

        if isinstance(verdict, Again):
            assert max_age_ms >= age_ms + verdict.after_ms
        else:
            assert "older than max_age" in verdict.why


def test_waits_have_full_jitter():
    """Messages that failed together do not come back together: waits fill the whole stretch from 0 to the longest."""
    policy = Backoff(max_retries=10, base=1, cap=8)

    waits = [policy.judge(OSError(), attempt=3, age_ms=0) for _ in range(2_000)]

    seconds = {wait.after_ms // 400 for wait in waits if isinstance(wait, Again)}
    assert set(range(10)) <= seconds <= set(range(11))


def test_only_named_failures_are_worth_it():
    """``retry_on`` says which are retried, ``give_up_on`` which are not all the same; the others are dead at once."""
    policy = Backoff(retry_on=(OSError, ValueError), give_up_on=(FileNotFoundError,))

    assert isinstance(policy.judge(ConnectionError(), attempt=1, age_ms=0), Again)
    for error in (FileNotFoundError("x"), KeyError("x")):
        verdict = policy.judge(error, attempt=1, age_ms=0)
        assert isinstance(verdict, Ended)
        assert f"{type(error).__name__} is not retried: {type(error).__name__}: {error}" == verdict.why
        assert error is verdict.error


def test_a_task_that_asks_is_retried():
    """``Retry`` is worth it whatever ``retry_on`` says, waits as long as it asks, and spends an attempt."""
    policy = Backoff(max_retries=1, retry_on=(), cap=10)

    verdict = policy.judge(Retry("busy", after=timedelta(hours=1)), attempt=1, age_ms=0)

    assert isinstance(verdict, Again)
    assert (3_600_000, True, "Retry: busy") == (verdict.after_ms, verdict.counted, verdict.why)
    assert isinstance(policy.judge(Retry("busy"), attempt=2, age_ms=0), Ended)
    assert Again(after_ms=0, counted=True, why="Retry: x", error=(no_wait := Retry("x", after=-5))) == policy.judge(
        no_wait, attempt=1, age_ms=0
    )


def test_a_task_that_drops_is_not_retried():
    """``Drop`` ends it: neither dead nor again."""
    assert Ended(how="dropped", why="sold out") == Backoff().judge(Drop("sold out"), attempt=1, age_ms=0)


def test_never_retries():
    """``retry=None`` means that the first failure is the last."""
    assert isinstance(NEVER.judge(OSError(), attempt=1, age_ms=0), Ended)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_retries": -1}, "max_retries: expected 0 or more, got -1"),
        ({"max_retries": "5"}, "max_retries: expected 0 or more, got '5'"),
        ({"base": -1}, "expected 0 <= base <= cap, got base=-1, cap="),
        ({"base": 11, "cap": 10}, "expected 0 <= base <= cap, got base=11, cap=10"),
        ({"base": "1s"}, "base: expected seconds or a timedelta, got '1s'"),
        ({"cap": None}, "cap: expected seconds or a timedelta, got None"),
        ({"max_age": 0}, "max_age: expected a span above 0, got 0"),
        ({"retry_on": "OSError"}, "retry_on: expected exception classes, got 'OSError'"),
        ({"give_up_on": (OSError, 5)}, "give_up_on: expected exception classes, got "),
    ],
)
def test_wrong_policy_is_refused_when_made(options: dict[str, Any], expected: str):
    """Not when the first message fails: with what was expected and what came."""
    with pytest.raises(ConfigError) as refused:
        Backoff(**options)

    assert str(refused.value).startswith(expected)
