"""Rules: what they match, what they take, and what is left behind them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.errors import ConfigError
from taskbridge.routing.rules import Rule, fits, place_of_key

#: As many keys as the contract speaks of, and how far off a share of them may be, percentage points.
MANY = 10_000
POINTS = 1.5

#: Names and patterns of few letters, so that they meet.
names = some.text("ab.", min_size=1, max_size=6)
patterns = some.text("ab.*", min_size=1, max_size=6)
percents = some.floats(0, 100)


def rule(**words: Any) -> Rule:
    return Rule(**({"id": "r1", "to": "dramatiq", "task": "bank.pay"} | words))


def taken(share: float, keys: int = MANY) -> set[int]:
    return {n for n in range(keys) if place_of_key(f"{n}") < share}


@pytest.mark.parametrize(
    ("words", "matches"),
    [
        ({"task": "bank.pay"}, True),
        ({"task": "bank.*"}, True),
        ({"task": "*"}, True),
        ({"task": "*.p*y"}, True),
        ({"task": "bank.pa"}, False),
        ({"task": "bank.pay.*"}, False),
        ({"task": "bankXpay"}, False),
        ({"task": "bank.pa?"}, False),
        ({"task": "", "queue": "ledger"}, True),
        ({"task": "", "queue": "mail"}, False),
        ({"task": "", "tag": "payments"}, True),
        ({"task": "", "tag": "mail"}, False),
        ({"task": "bank.*", "queue": "ledger", "tag": "nightly"}, True),
        ({"task": "bank.*", "queue": "ledger", "tag": "mail"}, False),
        ({"task": "mail.*", "queue": "ledger", "tag": "nightly"}, False),
    ],
)
def test_rule_matches_by_all_that_it_names(words: dict[str, str], matches: bool):
    """Task, queue and tag, each where it is named; ``*`` in a task's name is any text, and nothing else is special."""
    assert matches is rule(**words).matches("bank.pay", "ledger", ("payments", "nightly"))


@given(patterns, patterns, names)
def test_pattern_within_another_matches_no_more(wide: str, narrow: str, name: str):
    """What fits the narrower fits the wider."""
    assert not (fits(wide, narrow) and fits(narrow, name)) or fits(wide, name)


@pytest.mark.parametrize("share", [0, 0.1, 1, 5, 25, 50, 99.5, 100])
def test_share_is_what_was_asked_for(share: float):
    """Of ten thousand keys within one and a half percentage points; exact at 0 and 100."""
    tolerance = MANY * POINTS / 100 if 0 < share < 100 else 0

    assert abs(len(taken(share)) - MANY * share / 100) <= tolerance


@given(percents, percents)
def test_raising_a_share_moves_no_key_back(one: float, other: float):
    """The smaller lies within the larger."""
    low, high = sorted((one, other))

    assert taken(low, 500) <= taken(high, 500)


@given(some.text())
def test_place_is_fixed(key: str):
    """The same for every task, process and release, from 0 up to 100."""
    assert 0 <= place_of_key(key) < 100
    assert place_of_key(key) == place_of_key(key)
    assert 91.26 == round(place_of_key("7"), 2)


@given(
    *(some.builds(rule, task=patterns, queue=some.sampled_from(["", "a"]), tag=some.sampled_from(["", "t"])),) * 2,
    some.tuples(percents, percents),
    some.tuples(*(some.sampled_from(["", "{x}", "{y}"]),) * 2),
    names,
)
def test_nothing_is_left_behind_what_shadows(
    first: Rule, second: Rule, shares: tuple[float, float], keys: tuple[str, str], task: str
):
    """What the second would take is taken by the first already: for any task, queue and tags, and any of its keys."""
    first = msgspec.structs.replace(first, share=shares[0], key=keys[0])
    second = msgspec.structs.replace(second, share=shares[1], key=keys[1])
    if not first.shadows(second):
        return

    for queue in ("a", "b"):
        for tags in ((), ("t",)):
            assert first.matches(task, queue, tags) or not second.matches(task, queue, tags)
    assert shares[0] >= 100 or (keys[0] == keys[1] and shares[0] >= shares[1])


@pytest.mark.parametrize(
    ("first", "second", "shadows"),
    [
        ({}, {}, True),
        ({"task": "bank.*"}, {}, True),
        ({"task": "*"}, {"task": "", "queue": "mail"}, False),
        ({"task": "", "queue": "mail"}, {"queue": "mail"}, True),
        ({"task": "", "queue": "mail"}, {}, False),
        ({"tag": "t"}, {}, False),
        ({}, {"tag": "t"}, True),
        ({"share": 50}, {"share": 50}, True),
        ({"share": 50}, {"share": 51}, False),
        ({"share": 50, "key": "{x}"}, {"share": 50}, False),
        ({"share": 99.9}, {"share": 100}, False),
        ({"task": "bank.*"}, {"task": "*.pay"}, False),
    ],
)
def test_rule_shadows_what_it_leaves_nothing_to(first: dict[str, Any], second: dict[str, Any], shadows: bool):
    """It matches all of that, and takes all of it, or as large a share by the same key."""
    assert shadows is rule(**first).shadows(rule(**second))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"task": ""}, "a rule needs a task, a queue or a tag; the task '*' is every task"),
        ({"task": "bank pay"}, "task: expected a name such as bank.pay"),
        ({"task": "x" * 201}, "task: expected a name"),
        ({"queue": "no queue"}, "expected a queue name"),
        ({"tag": "no tag"}, "expected a tag of up to 40"),
        ({"to": "no backend"}, "to: expected a backend's name, got 'no backend'"),
        ({"id": "no id"}, "expected a rule's name"),
        ({"share": -1}, "share: expected 0 to 100 percent, got -1"),
        ({"share": 100.5}, "share: expected 0 to 100 percent, got 100.5"),
        ({"share": float("nan")}, "share: expected 0 to 100 percent, got nan"),
        ({"key": "user"}, "key: expected a template of arguments such as {user_id}, got 'user'"),
        ({"key": "{user.id}"}, "key: expected a template"),
        ({"key": "{user" + "x" * 200 + "}"}, "key: expected a template"),
    ],
)
def test_wrong_rule_is_refused(words: dict[str, Any], why: str):
    """What was expected, and what came."""
    with pytest.raises(ConfigError) as refused:
        rule(**words)

    assert str(refused.value).startswith(why)


def test_rule_says_what_it_does():
    """In one line."""
    assert "5 % of task bank.* to dramatiq, sticky by {user_id}" == str(rule(task="bank.*", share=5, key="{user_id}"))
    assert "100 % of queue mail, tag payments to dramatiq" == str(rule(task="", queue="mail", tag="payments"))
