"""Fixed shares of the settings: sticky, nested and exact."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.config import Settings, Share
from taskbridge.errors import ConfigError
from taskbridge.message import Message
from taskbridge.routing import fill, names_in, place_of, route_by_settings
from taskbridge.testing import a_message

#: As many as the law about shares is stated for.
MANY = 20_000


def settings(**to: float) -> Settings:
    return Settings(backend="celery", shares={"tests.send": Share(to=to, key="{user}")})


def keyed(key: str, **changes: Any) -> Message:
    return a_message(id="1", route_key=key, **changes)


@pytest.mark.parametrize("percent", [0, 1, 10, 25, 50, 99, 100])
def test_share_is_what_was_asked_for(percent: int):
    """Over 20,000 keys a share is within one percent of all, and exact at 0 and 100."""
    moved = sum("dramatiq" == route_by_settings(keyed(f"user-{n}"), settings(dramatiq=percent)) for n in range(MANY))

    tolerance = MANY / 100 if 0 < percent < 100 else 0
    assert abs(moved - MANY * percent / 100) <= tolerance


def test_several_shares_are_what_was_asked_for():
    """Each backend has its own; the rest goes to the default one."""
    shared = settings(dramatiq=20, memory=30)

    routed = [route_by_settings(keyed(f"user-{n}"), shared) for n in range(MANY)]

    for name, percent in {"dramatiq": 20, "memory": 30, "celery": 50}.items():
        assert abs(routed.count(name) - MANY * percent / 100) <= MANY / 100


@given(some.text(), some.floats(0, 100), some.floats(0, 100))
def test_shares_are_nested(key: str, one: float, other: float):
    """Raising a share never moves a key back."""
    low, high = sorted((one, other))

    before = route_by_settings(keyed(key), settings(dramatiq=low))
    after = route_by_settings(keyed(key), settings(dramatiq=high))

    assert (before, after) != ("dramatiq", "celery")


@given(some.text(min_size=1))
def test_share_is_sticky_by_its_key(key: str):
    """Messages of one key go one way, whatever else they are."""
    ways = {
        route_by_settings(a_message(route_key=key, seq=n, priority=n % 10, queue=f"q{n}"), settings(dramatiq=50))
        for n in range(5)
    }

    assert 1 == len(ways)


def test_share_without_key_is_sticky_by_id():
    """A message that is retried or delayed goes where it went."""
    messages = [a_message() for _ in range(200)]
    shared = Settings(backend="celery", shares={"tests.send": Share(to={"dramatiq": 50})})

    routed = [route_by_settings(message, shared) for message in messages]

    assert routed == [route_by_settings(message.copy(seq=3, attempt=3), shared) for message in messages]
    assert {"celery", "dramatiq"} == set(routed)


def test_tasks_are_shared_apart():
    """The users moved first by one task are not those moved first by another; a task without a share is not moved."""
    shares = {name: Share(to={"dramatiq": 50}, key="{user}") for name in ("a", "b")}
    shared = Settings(backend="celery", shares=shares)
    moved = {
        task: {n for n in range(500) if "dramatiq" == route_by_settings(keyed(str(n), task=task), shared)}
        for task in ("a", "b", "c")
    }

    assert moved["a"] != moved["b"]
    assert set() == moved["c"]


@given(some.text())
def test_place_is_fixed(key: str):
    """It is the same in every process and release, from 0 up to 100."""
    assert 0 <= place_of(key) < 100
    assert place_of(key) == place_of(key)
    assert 13.6 == round(place_of("tests.send 7"), 2)


def test_template_is_filled():
    """With the values, other text left as it is."""
    assert "user 7 of {}" == fill("user {user} of {bank}", {"user": 7, "bank": "{}"})
    assert ["user", "bank"] == names_in("{user}/{bank}", {"user", "bank", "x"}, "shares.t.key")


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("user", "expected a template of arguments such as {user_id}, got 'user'"),
        ("{user.name}", "expected a template of arguments such as {user_id}"),
        ("{user!r}", "expected a template"),
        ("{user}{", "expected a template"),
        ("{user}}", "expected a template"),
        ("{owner}", "'{owner}' names 'owner', which the task does not have"),
    ],
)
def test_wrong_template_is_refused(template: str, why: str):
    """It names arguments of the task, and nothing else."""
    with pytest.raises(ConfigError) as refused:
        names_in(template, {"user"}, "shares.t.key")

    assert str(refused.value).startswith("shares.t.key: ")
    assert why in str(refused.value)
