"""What is enqueued inside a scope: its ids, and what counts it."""

from __future__ import annotations

import pytest

from taskbridge import Bridge
from taskbridge.config import Settings
from taskbridge.errors import ConfigError
from taskbridge.needs import Within
from taskbridge.scope import Scope, inside


@pytest.fixture
def bridge() -> Bridge:
    return Bridge(Settings(backend="memory"))


def test_same_call_has_the_same_id(bridge: Bridge) -> None:
    """By position or by name, and in any scope with that seed; another call, task or seed has another."""

    @bridge.task
    def send(user: int, kind: str = "") -> None: ...

    @bridge.task
    def call(user: int) -> None: ...

    bridge.store.batches.open("b", when="all_done", then=None, error=None)
    within = Within(batches=("b",))
    with inside(Scope("run-1", within)):
        first, again, other = send.enqueue(7), send.enqueue(user=7), send.enqueue(8)
        elsewhere = call.enqueue(7)
    with inside(Scope("run-2", within)):
        later = send.enqueue(7)

    assert (True, False) == (first.created, again.created)
    assert first.id == again.id
    assert 4 == len({first.id, other.id, elsewhere.id, later.id})
    assert 4 == bridge.store.batches.look("b").total  # type: ignore[union-attr]


def test_key_tells_calls_apart(bridge: Bridge) -> None:
    """Two calls with the same arguments are two messages under two keys, and counted as such."""

    @bridge.task
    def send(user: int) -> None: ...

    bridge.store.batches.open("b", when="all_done", then=None, error=None)
    with inside(Scope("run-1", Within(batches=("b",)))):
        keys = iter(["a", "b", "b"])
        enqueued = send.enqueue_many([(7,), (7,), (7,)], key=lambda call: next(keys))

    assert (2, 1) == (enqueued.created, enqueued.existing)


def test_key_is_refused_where_ids_are_random(bridge: Bridge) -> None:
    """It would be ignored."""

    @bridge.task
    def send(user: int) -> None: ...

    with pytest.raises(ConfigError, match="key= tells calls apart in a chunk"):
        send.enqueue_many([(7,)], key=str)
