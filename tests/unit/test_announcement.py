"""What a worker tells of itself, for as long as it lives."""

from __future__ import annotations

import logging
from datetime import date
from typing import Any

import pytest

from taskbridge import Bridge, RateLimit
from taskbridge.announcement import (
    KIND,
    LEASE_MS,
    Announcement,
    Known,
    announce,
    announced,
    known_of,
    limits_of,
    tasks_of,
    withdraw,
)
from taskbridge.options import Timeouts
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock


def a_worker(name: str, **changes: Any) -> Announcement:
    fields: dict[str, Any] = {"backends": ["celery"], "queues": ["mail"], "processes": 2, "tasks": {"t": ["a"]}}
    return Announcement(name=name, **(fields | changes))


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


def test_tasks_are_told_with_what_may_be_named():
    """The keyword arguments of each, sorted, and ``**`` where it takes any; what is by position only is no keyword."""
    bridge = Bridge()
    bridge.task(name="one")(lambda b, a=1, /, d=2, *, c: None)
    bridge.task(name="any")(lambda x, *rest, **more: None)
    bridge.task(name="none")(lambda: None)

    assert {"one": ["c", "d"], "any": ["x", "**"], "none": []} == tasks_of(bridge.definitions)


def test_limits_are_told_as_tasks_say_them():
    """Each by its name, or one made of its task's: how long one token takes to come, and the burst."""
    bridge = Bridge()
    provider = RateLimit("70/s", key="{x}", name="provider")
    bridge.task(name="one", rate_limit=[provider, RateLimit("2/m", burst=5)])(lambda x: None)
    bridge.task(name="two", rate_limit=provider)(lambda x: None)
    bridge.task(name="none")(lambda: None)

    assert {"provider": (14_286, 7), "one#2": (30_000_000, 5)} == limits_of(bridge.definitions)


def test_a_worker_is_seen_while_it_says_so(store: MemoryStore, clock: FakeClock):
    """For one lease; told again it lives on, and withdrawn it is gone at once."""
    for name in ("lives", "silent", "leaves"):
        announce(store, a_worker(name))
    clock.advance(LEASE_MS / 2000)
    announce(store, a_worker("lives", processes=3))
    withdraw(store, "leaves")

    assert {"lives", "silent"} == {one.name for one in announced(store)}
    clock.advance(LEASE_MS / 2000 + 0.001)
    assert [a_worker("lives", processes=3)] == announced(store)


@pytest.mark.parametrize("words", [b"{}", b"\xff", b'{"name": 5}', b"[]"])
def test_a_worker_of_another_release_harms_nothing(store: MemoryStore, words: bytes, caplog: pytest.LogCaptureFixture):
    """What it says in other words is left out and logged; one that says more is read."""
    announce(store, a_worker("same"))
    store.documents.put(KIND, "other", words, LEASE_MS)
    store.documents.put(
        KIND, "newer", b'{"name":"newer","backends":[],"queues":[],"processes":1,"tasks":{},"x":1}', 9_000
    )

    with caplog.at_level(logging.WARNING, "taskbridge"):
        found = announced(store)

    assert {"same", "newer"} == {one.name for one in found}
    assert "what the worker other announces cannot be read" in caplog.text


def test_processes_are_told_by_queue():
    """A worker of a release before groups has all of its processes at each of its queues."""
    old, new = a_worker("old", processes=3), a_worker("new", processes=3, serving={"mail": 2, "urgent": 1})

    assert (3, 2, 1) == (old.processes_of("mail"), new.processes_of("mail"), new.processes_of("urgent"))
    assert 0 == a_worker("leaves", processes=0, serving={"mail": 0}).processes_of("mail")


def test_arguments_are_announced_as_declared():
    """Annotations are the codec's business."""
    bridge = Bridge()

    @bridge.task(name="book")
    def book(day: date, amount: int = 0) -> None: ...

    assert {"book": ["amount", "day"]} == tasks_of(bridge.definitions)


def test_what_routes_need_is_announced(store: MemoryStore):
    """Queue, tags, what stands where, and the timeouts that hold there; it comes back as it was told."""
    bridge = Bridge()
    bridge.task(name="one", queue="mail", tags=["payments"], timeout=5)(lambda b, a=1, /, d=2, *, c: None)
    bridge.task(name="two")(lambda: None)

    known = known_of(bridge.definitions, Timeouts(hard_ms=60_000))
    announce(store, a_worker("here", known=known))

    assert known == {
        "one": Known(
            queue="mail", tags=("payments",), positional=("b", "a", "d"), timeout_ms=5_000, hard_timeout_ms=60_000
        ),
        "two": Known(queue="default", hard_timeout_ms=60_000),
    }
    assert [known] == [one.known for one in announced(store)]
