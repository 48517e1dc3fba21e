"""Locks: right when declared, and the same key for the same arguments everywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest
from msgspec import Raw

from taskbridge import Bridge, Lock, RateLimit
from taskbridge.errors import ConfigError
from taskbridge.message import Message
from taskbridge.needs import NeedsLock
from taskbridge.policies.needs import needs_of
from taskbridge.testing import a_message


def needs(bridge: Bridge, task: Any, *args: Any, **kwargs: Any) -> tuple[NeedsLock, ...]:
    """What a call of the task needs, as its worker sees it."""
    sent_args, sent_kwargs = task.definition.arguments.encode(args, kwargs)
    message: Message = a_message(task=task.name, args=sent_args, kwargs=sent_kwargs)
    return needs_of(task.definition, message)[0]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"key": ""}, "expected a key such as 'user:{user_id}', got ''"),
        ({"key": "k", "on_conflict": "queue"}, "on_conflict: expected wait, skip or fail, got 'queue'"),
        ({"key": "k", "at_most": 0}, "at_most: expected 1 or more, got 0"),
        ({"key": "k", "at_most": True}, "at_most: expected 1 or more, got True"),
    ],
)
def test_wrong_lock_is_refused(options: dict[str, Any], error: str):
    """With what was expected and what came."""
    with pytest.raises(ConfigError, match=error):
        Lock(**options)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("user:{id}", "t: lock: 'user:{id}' names 'id', which the task does not have"),
        ("user:{user.id}", r"t: lock: expected a template of arguments such as {user_id}, got 'user:{user.id}'"),
        ("user:{user[0]}", "expected a template of arguments"),
        ("user:{}", "expected a template of arguments"),
    ],
)
def test_template_names_arguments_only(bridge: Bridge, key: str, error: str):
    """Declared with an argument the task does not have, an attribute or an index, it is refused."""
    with pytest.raises(ConfigError, match=error):

        @bridge.task(name="t", lock=Lock(key))
        def task(user: int) -> None: ...


def test_key_is_of_the_decoded_arguments(bridge: Bridge):
    """Positional or by keyword, passed or by default: the same call has the same key."""

    @bridge.task(name="t", lock=Lock("u:{user}:{bank}"))
    def task(user: int, bank: str = "main") -> None: ...

    found = {needs(bridge, task, 7), needs(bridge, task, user=7), needs(bridge, task, 7, "main")}

    assert {(NeedsLock('u:7:"main"'),)} == found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a:b", "c"), ("a", "b:c")),
        (("7", ""), ('7"', "")),
        (("a\nb", ""), ("a b", "")),
        (("x" * 70, ""), ("x" * 71, "")),
    ],
)
def test_different_values_have_different_keys(bridge: Bridge, one: tuple[str, str], other: tuple[str, str]):
    """Separators are escaped, long values are hashed: no value can look like another, and no key has a line end."""

    @bridge.task(name="t", lock=Lock("{a}:{b}"))
    def task(a: str, b: str) -> None: ...

    keys = [needs(bridge, task, *values)[0].key for values in (one, other)]

    assert keys[0] != keys[1]
    assert not any("\n" in key or len(key) > 150 for key in keys)


def test_several_locks_are_named_once_each(bridge: Bridge):
    """A transfer from an account to itself needs its lock once."""

    @bridge.task(name="t", lock=[Lock("account:{source}"), Lock("account:{target}")])
    def transfer(source: int, target: int) -> None: ...

    assert (NeedsLock("account:1"), NeedsLock("account:2")) == needs(bridge, transfer, 1, 2)
    assert (NeedsLock("account:1"),) == needs(bridge, transfer, 1, 1)


def test_every_annotation_makes_a_key(bridge: Bridge):
    """Also a dict whose keys are no text, which JSON carries as text: equal values, however ordered, have one key."""

    @bridge.task(name="t", lock=Lock("{table}"))
    def task(table: dict[int, set[str]]) -> None: ...

    one, other = needs(bridge, task, {1: {"a", "b"}, 2: set()}), needs(bridge, task, {2: set(), 1: {"b", "a"}})

    assert one == other
    assert one != needs(bridge, task, {1: {"a"}, 2: set()})


def test_processes_agree_on_the_key_of_a_set():
    """Each has an order of its own for the same set, by its hash seed; a lock must not."""
    code = (
        "from taskbridge.policies.key import key_of; print(key_of('{t}', {'t': {1: {'a', 'b', 'c'}, 2: {'x', 'y'}}}))"
    )

    def key(seed: int) -> str:
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    assert {r'{"1"\u003a["a","b","c"],"2"\u003a["x","y"]}' + "\n"} == {key(seed) for seed in range(4)}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"lock": [Lock("a:{user}"), Lock("a:{user}", at_most=2)]}, "t: lock: 'a:{user}' is named twice"),
        (
            {"rate_limit": [RateLimit("1/s", name="p"), RateLimit("9/h", name="p")]},
            "'p ' is named twice",
        ),
    ],
)
def test_one_need_named_twice_is_refused(bridge: Bridge, options: dict[str, Any], error: str):
    """Only one of the two could hold."""
    with pytest.raises(ConfigError, match=re.escape(error)):
        bridge.task(name="t", **options)(lambda user: None)


def test_message_that_cannot_run_needs_nothing(bridge: Bridge):
    """Arguments that cannot be read, or that a newer release sent, are for begin to settle; no lock is asked for."""

    @bridge.task(name="t", lock=Lock("u:{user}"))
    def task(user: int) -> None: ...

    unreadable = a_message(task="t", kwargs=Raw(b'{"user": "x"}'))
    missing = a_message(task="t")
    newer = a_message(task="t", kwargs=Raw(b'{"user": 7, "currency": "EUR"}'))

    assert [((), ())] * 3 == [needs_of(task.definition, one) for one in (unreadable, missing, newer)]
