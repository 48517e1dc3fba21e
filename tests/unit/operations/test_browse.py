"""Looking through messages: what is wanted is found, page by page, by looking at no more than so many."""

from __future__ import annotations

import pytest

from taskbridge.operations import browse as work
from taskbridge.operations.browse import Browsed, Wanted, browse, waiters
from taskbridge.store import Store
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message
from taskbridge.testing.laws.browsing import tokens
from taskbridge.testing.laws.steps import begin, run


@pytest.fixture
def store() -> Store:
    return MemoryStore(FakeClock())


def ids(found: Browsed) -> list[str]:
    return [line.record.id for line in found.lines]


def fill(store: Store, number: int, *, every: int) -> list[str]:
    """Delay so many messages; returns the ids of each so many-th, which is of the queue ``rare``."""
    messages = [
        a_message(id=f"m{n}", queue="mail" if n % every else "rare", task=f"t{n % every}") for n in range(number)
    ]
    for n, message in enumerate(messages):
        store.outbox.put([message], 60_000 + n)
    return [message.id for message in messages if message.queue == "rare"]


def test_all_are_shown_page_by_page(store: Store) -> None:
    """Each page says where the next begins; the last one says none, and one past the end is empty."""
    fill(store, 5, every=2)

    pages = [browse(store, "delayed", Wanted(), limit=2, offset=offset) for offset in (0, 2, 4, 6)]

    assert [["m0", "m1"], ["m2", "m3"], ["m4"], []] == [ids(page) for page in pages]
    assert [(2, 2), (4, 2), (None, 1), (None, 0)] == [(page.next_offset, page.looked) for page in pages]


@pytest.mark.parametrize("wanted", [Wanted(queue="rare"), Wanted(task="t0"), Wanted(queue="rare", task="t0")])
def test_filter_finds_each_once_over_its_pages(store: Store, monkeypatch: pytest.MonkeyPatch, wanted: Wanted) -> None:
    """Wherever windows end and pages fill up."""
    monkeypatch.setattr(work, "WINDOW", 7)
    monkeypatch.setattr(work, "LOOKED_AT", 21)
    rare = fill(store, 100, every=5)

    found, offset = list[str](), 0
    while offset is not None:
        page = browse(store, "delayed", wanted, limit=3, offset=offset)
        found, offset = found + ids(page), page.next_offset

    assert rare == found


def test_so_many_are_looked_at_and_no_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that has found nothing says how far it got, and where to go on."""
    monkeypatch.setattr(work, "WINDOW", 10)
    monkeypatch.setattr(work, "LOOKED_AT", 30)
    fill(store, 100, every=5)

    page = browse(store, "delayed", Wanted(queue="nobody's"))

    assert ([], 30, 30, 100) == (page.lines, page.looked, page.next_offset, page.total)


def test_reason_is_found_in_any_case(store: Store) -> None:
    """By a part of it."""
    refused, broken = a_message(), a_message()
    run(store, refused, "c1", "DEAD", why="OSError: Connection refused")
    run(store, broken, "c2", "DEAD", why="ValueError: broken")

    assert [refused.id] == ids(browse(store, "dead", Wanted(why="connection REFUSED")))


def test_bytes_that_are_no_message_have_no_task(store: Store) -> None:
    """They are shown all the same."""
    store.dead.bury("raw-1", "mail", b"\xff", "no JSON")

    (line,) = browse(store, "dead", Wanted()).lines

    assert ("", None, "raw-1") == (line.task, line.message, line.record.id)


def test_waiters_are_shown_in_turn(store: Store) -> None:
    """Page by page."""
    messages = [a_message() for _ in range(4)]
    for n, message in enumerate(messages):
        begin(store, message, f"c{n}", rates=(tokens("slow:1"),))

    pages = [waiters(store, "limit", "slow:1", limit=2, offset=offset) for offset in (0, 2, 4)]

    assert [[one.id for one in messages[1:3]], [messages[3].id], []] == [ids(page) for page in pages]
    assert [(2, 2, 3), (None, 1, 3), (None, 0, 3)] == [(page.next_offset, page.looked, page.total) for page in pages]
