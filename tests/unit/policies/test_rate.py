"""Rate limits: right when declared, and what a start costs."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from taskbridge import Bridge, RateLimit
from taskbridge.errors import ConfigError
from taskbridge.needs import NeedsTokens
from taskbridge.policies.needs import needs_of
from taskbridge.policies.rate import pace, spoken
from taskbridge.testing import a_message


@pytest.mark.parametrize(
    ("rate", "interval_us", "burst"),
    [
        ("70/s", 14_286, 7),
        ("1000/m", 60_000, 2),
        ("60/min", 1_000_000, 1),
        ("1/s", 1_000_000, 1),
        ("5/10s", 2_000_000, 1),
        ("20/h", 180_000_000, 1),
        ("3/d", 28_800_000_000, 1),
        ("2/s", 500_000, 2),
        ("10000/s", 100, 1_000),
        ("0/s", 0, 1),
    ],
)
def test_rate_says_how_long_a_start_takes(rate: str, interval_us: int, burst: int):
    """Rounded up to a microsecond, never over the rate; the burst is 1 up to one a second, else a tenth of a second."""
    assert (interval_us, burst) == pace(rate)


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        *((rate, rate) for rate in ("70/s", "8/s", "1/s", "7/m", "20/h", "3/d", "10000/s")),
        *(("1000/m", "1000/m"), ("60/min", "1/s"), ("5/10s", "30/m"), ("1/7s", "1/7s"), ("2/7s", "1 in 3500 ms")),
    ],
)
def test_rate_is_told_as_people_say_it(rate: str, told: str):
    """In the first unit that says it in a whole number, and read back it is the same."""
    interval_us, _ = pace(rate)

    assert told == spoken(interval_us)
    assert " in " in told or interval_us == pace(told)[0]


@pytest.mark.parametrize("rate", ["", "70", "70/", "/s", "70/w", "70 / s", "-1/s", "1.5/s", "5/0s", None, 70])
def test_what_is_no_rate_is_refused(rate: Any):
    """With examples of what is one."""
    with pytest.raises(ConfigError, match="expected a rate such as 70/s, 1000/m, 5/10s, 20/h or 3/d, got "):
        RateLimit(rate)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"rate": "0/s"}, "expected a rate above 0, got '0/s'; `taskbridge limits pause` stops one"),
        ({"rate": "10001/s"}, "expected a rate of at most 10000/s"),
        ({"rate": "70/s", "burst": -1}, "burst: expected 1 or more, got -1"),
        ({"rate": "70/s", "weight": 0}, "weight: expected 1 or more, got 0"),
        ({"rate": "1/s", "weight": 2}, "a weight of 2 is over the burst of 1, .* give burst=2 or more"),
        ({"rate": "1/s", "name": "a:b"}, "name: expected a word without blanks, colons or braces, got 'a:b'"),
    ],
)
def test_impossible_limit_is_refused(options: dict[str, Any], error: str):
    """When it is made, with the reason."""
    with pytest.raises(ConfigError, match=error):
        RateLimit(**options)


def test_limit_without_a_name_belongs_to_its_task(bridge: Bridge):
    """Two of one task have two names; one with a name is shared by all that name it."""
    shared = RateLimit("9/s", name="provider", key="{provider}")

    @bridge.task(name="t", rate_limit=[RateLimit("70/s"), RateLimit("1000/h", key="{provider}"), shared])
    def task(provider: int) -> None: ...

    rates = needs_of(task.definition, a_message(task="t", args=Raw(b"[5]")))[1]

    assert (
        NeedsTokens("t", "t", 14_286, 7),
        NeedsTokens("t#2", "t#2:5", 3_600_000, 1),
        NeedsTokens("provider", "provider:5", 111_112, 2),
    ) == rates


def test_task_whose_name_no_limit_can_have_wants_another(bridge: Bridge):
    """The limit would be called like it; the error says how to name it."""
    with pytest.raises(ConfigError, match="no limit can be called 'bank:send' as its task is: give it name="):
        bridge.task(name="bank:send", rate_limit=RateLimit("70/s"))(lambda: None)


def test_template_that_does_not_fit_is_refused(bridge: Bridge):
    """When the task is declared."""
    with pytest.raises(ConfigError, match=r"t: rate_limit: '\{bank\}' names 'bank', which the task does not have"):

        @bridge.task(name="t", rate_limit=RateLimit("70/s", key="{bank}"))
        def task(user: int) -> None: ...
