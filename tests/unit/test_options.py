"""Options: right when declared, or refused with what was expected and what came."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.errors import ConfigError
from taskbridge.options import PER_CALL, TaskOptions, Timeouts, band, check_queue_name
from taskbridge.policies.lock import Lock
from taskbridge.policies.rate import RateLimit
from taskbridge.policies.retry import Backoff


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("priority", 10, r"0 \(last\) to 9 \(first\), got 10"),
        ("priority", -1, r"0 \(last\) to 9 \(first\), got -1"),
        ("priority", "high", r"0 \(last\) to 9 \(first\), got 'high'"),
        ("priority", 5.0, r"0 \(last\) to 9 \(first\), got 5.0"),
        ("priority", True, r"0 \(last\) to 9 \(first\), got True"),
        ("expires", 0, "a span above 0, got 0"),
        ("expires", timedelta(-1), "a span above 0, got datetime"),
        ("expires", "1h", "seconds or a timedelta, got '1h'"),
        ("delay", -1, "a span of 0 or more, got -1"),
        ("delay", None, "seconds or a timedelta, got None"),
        ("retry", True, r"a Backoff, another policy with judge\(\), or None, got True"),
        ("retry", 3, r"a Backoff, another policy with judge\(\), or None, got 3"),
        ("unknown_args", "ignore", "park, drop or fail, got 'ignore'"),
        ("unknown_args", ["park"], r"park, drop or fail, got \['park'\]"),
        ("max_crashes", -1, "0 or more, got -1"),
        ("max_crashes", "5", "0 or more, got '5'"),
        ("lock", "user:{id}", "a Lock, or several, got 'user:{id}'"),
        ("rate_limit", ["70/s"], "a RateLimit, or several, got '70/s'"),
        ("park_for", 0, "a span above 0, got 0"),
        ("park_for", float("nan"), "seconds or a timedelta, got nan"),
        ("timeout", 0, "a span of 1 ms or more, or None, got 0"),
        ("timeout", -1, "a span of 1 ms or more, or None, got -1"),
        ("timeout", True, "a span of 1 ms or more, or None, got True"),
        ("timeout", "30", "seconds or a timedelta, got '30'"),
        ("hard_timeout", timedelta(0), "a span of 1 ms or more, or None, got datetime"),
        ("hard_timeout", float("inf"), "seconds or a timedelta, got inf"),
        ("tags", "payments", r"a list of tags such as \('payments',\), got 'payments'"),
        ("tags", ["a", "a"], r"each once, at most 10, got \['a', 'a'\]"),
        ("tags", [f"t{n}" for n in range(11)], "each once, at most 10, got "),
        ("shadow_safe", 1, "True or False, got 1"),
        ("ledger", 0, "True or False, got 0"),
    ],
)
def test_value_out_of_range_is_refused(option: str, value: Any, expected: str):
    """The error names the option, what was expected and what came; by ``@task`` and by ``using`` alike."""
    with pytest.raises(ConfigError, match=f"^{option}: expected {expected}"):
        TaskOptions(**{option: value})
    if option in PER_CALL:
        with pytest.raises(ConfigError, match=f"^{option}: expected {expected}"):
            TaskOptions().with_changes({option: value})


@pytest.mark.parametrize("option", ["retry", "unknown_args", "max_crashes", "park_for", "lock", "rate_limit", "ledger"])
def test_what_does_not_travel_is_refused_for_one_call(option: str):
    """The worker goes by its own declaration: what a call says of it would be ignored."""
    with pytest.raises(ConfigError, match=f"^{option} belongs where the task is declared, .* takes debounce, delay"):
        TaskOptions().with_changes({option: None})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("lock", Lock("a")),
        ("rate_limit", [RateLimit("1/s")]),
        ("unique", "until_done"),
        ("unique", 60),
        ("debounce", 5),
        ("hard_timeout", 30),
    ],
)
def test_what_the_ledger_keeps_is_refused_without_one(option: str, value: Any):
    """Where a task is declared and for one call; an option that is left as it is asks for nothing."""
    TaskOptions(ledger=False, lock=(), rate_limit=(), unique=None, hard_timeout=None, timeout=3, expires=9, delay=1)
    with pytest.raises(ConfigError, match=f"^{option}: the ledger keeps it, and ledger=False asks for none"):
        TaskOptions(ledger=False, **{option: value})
    if option in PER_CALL:
        with pytest.raises(ConfigError, match=f"^{option}: the ledger keeps it"):
            TaskOptions(ledger=False).with_changes({option: value})


def test_spans_are_seconds_or_timedelta():
    """Both are milliseconds inside; no expiry is 0."""
    options = TaskOptions(expires=1.5, delay=timedelta(hours=3), park_for=60)

    assert (1_500, 10_800_000, 60_000) == (options.expires_ms, options.delay_ms, options.park_for_ms)
    assert (0, 0, 86_400_000) == (TaskOptions().expires_ms, TaskOptions().delay_ms, TaskOptions().park_for_ms)


def test_a_hard_timeout_is_not_below_the_soft_one():
    """It would always win; by ``@task`` and by ``using``, where the other one stands already."""
    right = TaskOptions(timeout=30, hard_timeout=timedelta(seconds=30))

    assert Timeouts(soft_ms=30_000, hard_ms=30_000) == right.timeouts
    assert (Timeouts(), Timeouts(hard_ms=5)) == (TaskOptions().timeouts, TaskOptions(hard_timeout=0.005).timeouts)
    with pytest.raises(ConfigError, match=r"^hard_timeout: expected at least the timeout \(30\), got 29$"):
        TaskOptions(timeout=30, hard_timeout=29)
    with pytest.raises(ConfigError, match=r"^hard_timeout: expected at least the timeout \(31\)"):
        right.with_changes({"timeout": 31})


def test_changes_leave_the_rest():
    """``using`` changes what it names; the task's own options stay as they were."""
    options = TaskOptions(queue="emails", priority=9, retry=Backoff(max_retries=1))

    changed = options.with_changes({"delay": 60})

    assert TaskOptions(queue="emails", priority=9, retry=Backoff(max_retries=1), delay=60) == changed
    assert 0 == options.delay_ms


@pytest.mark.parametrize(
    ("word", "hint"),
    [("qeue", "did you mean 'queue'"), ("expire", "did you mean 'expires'"), ("colour", "known are debounce, delay")],
)
def test_unknown_option_is_refused(word: str, hint: str):
    """With the nearest that is known, or all of them."""
    with pytest.raises(ConfigError, match=f"a task has no option '{word}'; {hint}"):
        TaskOptions().with_changes({word: 1})


@pytest.mark.parametrize("name", ["a", "_", "default", "Emails_2-urgent", "x" * 75, "high", "low", "highlow"])
def test_queue_names_every_broker_can_have(name: str):
    """Letters, digits, ``-`` and ``_``, begun by a letter or ``_``."""
    assert name == TaskOptions(queue=name).queue


@pytest.mark.parametrize("name", ["", "1st", "-a", "a b", "a.b", "a/b", "é", "a\n", "x" * 76, 5, None, b"a"])
def test_queue_name_some_broker_cannot_have_is_refused(name: Any):
    """With what every broker takes."""
    with pytest.raises(ConfigError, match="expected a queue name of a letter or underscore, then up to 74 of"):
        check_queue_name(name)


@pytest.mark.parametrize("tag", ["", "a b", "é", "x" * 41, 5, None])
def test_wrong_tag_is_refused(tag: Any):
    """With what one looks like."""
    with pytest.raises(ConfigError, match=r"expected a tag of up to 40 letters, digits, -, _, \. and :; got "):
        TaskOptions(tags=[tag])


def test_tags_may_be_of_one_call():
    """They travel with the message."""
    options = TaskOptions(tags=["payments"])

    assert (("payments",), ("nightly", "eu:west")) == (
        options.tags,
        options.with_changes({"tags": ["nightly", "eu:west"]}).tags,
    )


@pytest.mark.parametrize("name", ["q-high", "q-low"])
def test_queue_name_like_a_band_is_refused(name: str):
    """It would be another queue's band; the error says to use ``priority``."""
    with pytest.raises(
        ConfigError, match=r"ends like a priority band \(-high, -low\); use the plain name and priority="
    ):
        check_queue_name(name)


@given(some.integers(0, 9), some.integers(0, 9))
def test_bands_keep_the_order_of_priorities(one: int, other: int):
    """A higher priority never has a lower band; 5, the default, is the queue itself."""
    order = ["-low", "", "-high"]

    assert (one <= other) <= (order.index(band(one)) <= order.index(band(other)))
    assert "" == band(5)
    assert [4, 3, 3] == [[band(n) for n in range(10)].count(suffix) for suffix in order]
