"""A scope that is made when somebody looks at it: to all who do, it is the fork that it would have been."""

from __future__ import annotations

from copy import copy

import pytest
import sentry_sdk
from sentry_sdk.scope import Scope

from taskbridge import Bridge
from taskbridge.observe.sentry.lazy import Lazy
from taskbridge.testing.worker import Worker

from .conftest import Kept


@pytest.fixture
def around() -> Scope:
    """A scope that somebody has told things."""
    scope = Scope()
    scope.set_tag("shop", "north")
    scope.set_user({"id": 7})
    scope.set_level("warning")
    return scope


@pytest.mark.parametrize("name", Scope.__slots__)
def test_what_is_read_is_that_of_the_fork(around: Scope, name: str):
    """Everything that a scope has; names are those of the SDK that is installed."""
    fork = around.fork()

    assert type(getattr(fork, name)) is type(getattr(Lazy(around), name))
    assert getattr(fork, name) == getattr(Lazy(around), name) or name == "_flags"


@pytest.mark.parametrize("name", Scope.__slots__)
def test_what_is_written_stays_in_the_fork(around: Scope, name: str):
    """Also when it is written before anything was read."""
    before, lazy, told = getattr(around, name), Lazy(around), object()

    setattr(lazy, name, told)

    assert told is getattr(lazy, name)
    assert before is getattr(around, name)


def test_a_fork_of_it_is_one_of_the_fork(around: Scope):
    """What it is told afterwards is not told to the other."""
    lazy = Lazy(around)
    lazy.set_tag("a", "1")

    other = lazy.fork()
    other.set_tag("b", "2")

    assert {"shop": "north", "a": "1"} == lazy._tags
    assert {"shop": "north", "a": "1", "b": "2"} == copy(other)._tags
    assert {"shop": "north"} == around._tags


def test_a_run_that_tells_nothing_makes_no_scope(bridge: Bridge, sentry: Kept, monkeypatch: pytest.MonkeyPatch):
    """Neither while it runs nor when it has ended; one that looks has its own of both kinds, once."""
    made: list[Lazy] = []
    make = Lazy.made

    def counted(self: Lazy) -> Scope:
        if self._made is None:
            made.append(self)
        return make(self)

    monkeypatch.setattr(Lazy, "made", counted)
    silent = bridge.task(name="silent")(lambda: None)

    @bridge.task(name="telling")
    def telling() -> None:
        sentry_sdk.set_tag("a", "1")
        sentry_sdk.get_current_scope().set_tag("b", "2")
        sentry_sdk.set_tag("c", "3")

    outer = Scope.get_isolation_scope(), Scope.get_current_scope()
    silent.enqueue()
    Worker(bridge).run_pending()
    assert [] == made
    telling.enqueue()
    Worker(bridge).run_pending()

    assert 2 == len(made)
    assert outer == (Scope.get_isolation_scope(), Scope.get_current_scope())
    assert [{}, {}] == [scope._tags for scope in outer]
    assert [] == sentry.errors
