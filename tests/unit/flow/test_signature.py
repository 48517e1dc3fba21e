"""A call that is written down: checked at once, made later."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from taskbridge import Bridge
from taskbridge.config import Settings, Share
from taskbridge.errors import ArgumentError, ConfigError, PayloadTooLarge
from taskbridge.routing import Rule, Table
from taskbridge.routing.table import encode
from taskbridge.store.flow import HOLE
from taskbridge.task import Task


@pytest.fixture
def add(bridge: Bridge) -> Task[..., int]:
    @bridge.task(queue="sums")
    def add(a: int, b: int = 0, *, scale: int = 1) -> int:
        return (a + b) * scale

    return add


def test_a_signature_can_be_enqueued_by_itself(bridge: Bridge, add: Task[..., int]):
    """It is the call that it was made of."""
    receipt = add.s(1, b=2).using(delay=60).enqueue()

    kept = bridge.store.messages.look(receipt.id)
    assert kept
    assert ("DELAYED", [1], {"b": 2}) == (kept.state, *_arguments(kept.body))


def _arguments(body: bytes) -> tuple[Any, Any]:
    message = json.loads(body)
    return message.get("args", []), message.get("kwargs", {})


def test_a_result_goes_before_the_arguments(bridge: Bridge, add: Task[..., int]):
    """What is filled in later is the first positional argument, as in Celery."""
    follower = add.s(2, scale=3).using(delay=5).follower("later", bridge.sender, filled=True)

    assert (b'["\\u0000result",2]', 5_000) == (bytes(follower.message.args), follower.wait_ms)
    assert ("later", "sums", b'{"scale":3}') == (
        follower.message.id,
        follower.message.queue,
        bytes(follower.message.kwargs),
    )


def test_one_without_a_result_is_complete(bridge: Bridge, add: Task[..., int]):
    """``si`` takes what it says and nothing else."""
    follower = add.si(1, 2).follower("later", bridge.sender, filled=False)

    assert b"[1,2]" == bytes(follower.message.args)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, 2, 3), {}),
        (("x", "y"), {}),
        ((), {"scale": "x"}),
        ((), {"rate": 1}),
        ((1,), {"a": 1}),
        ((2.5,), {}),
    ],
)
def test_arguments_that_fit_neither_way_are_refused_at_once(
    add: Task[..., int], args: tuple[Any, ...], kwargs: dict[str, Any]
):
    """Neither as they are nor behind a result."""
    with pytest.raises(ArgumentError):
        add.s(*args, **kwargs)


def test_si_has_to_be_complete(add: Task[..., int]):
    """Nothing is put in later."""
    with pytest.raises(ArgumentError, match="missing a required argument: 'a'"):
        add.si()


def test_what_stands_for_a_result_is_no_argument(add: Task[..., int], bridge: Bridge):
    """A text that the store would fill in is refused."""

    @bridge.task
    def say(text: str) -> None: ...

    with pytest.raises(ArgumentError, match="stands for a result"):
        say.si(HOLE)


def test_a_signature_does_not_change(add: Task[..., int]):
    """``using`` gives another one."""
    one = add.s(1)

    assert "urgent" == one.using(queue="urgent").options.queue
    assert "sums" == one.options.queue
    with pytest.raises(FrozenInstanceError):
        one.args = ()  # type: ignore[misc]


@pytest.mark.parametrize("options", [{"unique": "until_done"}, {"debounce": 5}, {"idempotency_key": "k"}])
def test_what_is_decided_when_a_call_is_enqueued_cannot_be_kept(
    bridge: Bridge, add: Task[..., int], options: dict[str, Any]
):
    """A call that is made later is made whatever else stands."""
    with pytest.raises(ConfigError, match=f"{next(iter(options))} is decided when a call is enqueued"):
        add.s().using(**options).follower("later", bridge.sender, filled=True)


def test_a_large_one_is_refused(bridge: Bridge):
    """Its size is looked at when it is kept."""

    @bridge.task
    def store(text: str) -> None: ...

    with pytest.raises(PayloadTooLarge, match="save the data and pass its id"):
        store.si("x" * 70_000).follower("later", bridge.sender, filled=False)


def test_routes_that_are_sticky_by_the_result_are_decided_when_it_is_there(bridge: Bridge):
    """What is known already is stamped; the rest is made when the link leaves the store."""
    rules = [Rule(id=f"by-{name}", to="memory", task="*", share=50, key=f"{{{name}}}") for name in "ab"]
    bridge.store.routes.write(0, encode(Table(rules=tuple(rules))), who="me", note="")

    @bridge.task(name="add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    follower = add.s(2).follower("later", bridge.sender, filled=True)
    alone = add.si(1, 2).follower("later", bridge.sender, filled=False)

    assert ({"{b}": "2"}, {"{a}": "1", "{b}": "2"}) == (follower.message.route_keys, alone.message.route_keys)


@pytest.mark.parametrize(("key", "sticky_by"), [("{b}", "2"), ("{a}", "")])
def test_a_share_that_is_sticky_by_the_result_goes_by_the_id(key: str, sticky_by: str):
    """What is not known yet is no key."""
    bridge = Bridge(
        Settings(backend="memory", shares={"add": Share(to={"memory": 50}, key=key)})  # its own backend will do
    )

    @bridge.task(name="add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    follower = add.s(2).follower("later", bridge.sender, filled=True)

    assert sticky_by == follower.message.route_key
