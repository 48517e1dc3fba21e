"""What waits for a newer worker is released when one comes, and dead when none does."""

from __future__ import annotations

import pytest

from taskbridge.announcement import Announcement, announce
from taskbridge.message import Message, encode
from taskbridge.relay.parked import ReleaseParked
from taskbridge.store import Begin, Finish
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message

DAY_MS = 24 * 3_600_000


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


def parked(store: MemoryStore, group: str) -> Message:
    """A message that waits for a task, or for some of its arguments."""
    message = a_message(task=group.partition(" ")[0])
    store.claims.begin(Begin(message=message, body=encode(message), claim="c", max_crashes=3))
    finish = Finish(id=message.id, claim="c", state="PARKED", group=group, due_ms=DAY_MS, ran=False)
    assert "ok" == store.claims.finish(finish)
    return message


def worker(store: MemoryStore, **tasks: list[str]) -> None:
    announce(store, Announcement(name="w", backends=[], queues=[], processes=1, tasks=tasks))


@pytest.mark.parametrize(
    ("group", "tasks", "released"),
    [
        ("book", {}, 0),
        ("book", {"other": []}, 0),
        ("book", {"book": []}, 1),
        ("book currency", {"book": ["amount"]}, 0),
        ("book currency", {"book": ["amount", "currency"]}, 1),
        ("book currency rate", {"book": ["currency"]}, 0),
        ("book currency rate", {"book": ["**"]}, 1),
    ],
)
def test_a_worker_that_knows_it_releases_it(store: MemoryStore, group: str, tasks: dict[str, list[str]], released: int):
    """The task, and every argument that was missing, or any at all."""
    message = parked(store, group)
    worker(store, **tasks)

    assert released == ReleaseParked(store)()

    record = store.messages.look(message.id)
    assert record is not None
    assert ("READY" if released else "PARKED") == record.state


def test_no_worker_of_now_may_be_taken_for_one_of_then(store: MemoryStore, clock: FakeClock):
    """A worker that has gone releases nothing."""
    parked(store, "book")
    worker(store, book=[])
    clock.advance(16)

    assert 0 == ReleaseParked(store)()


def test_what_waited_too_long_is_dead(store: MemoryStore, clock: FakeClock):
    """With what it waited for; it is seen and replayed there."""
    message = parked(store, "book currency")
    clock.advance(DAY_MS / 1000)

    assert 1 == ReleaseParked(store)()

    (letter,) = store.dead.list(10)
    assert (message.id, "no worker came that knows book currency") == (letter.id, letter.why)
