"""The laws of pages: each shows what lies there in its order, wherever it begins, and the pages together show all."""

from __future__ import annotations

from typing import Any

import pytest

from ...needs import NeedsLock, NeedsTokens
from ...store import Begin, Record, Store
from ...store.browsing import Shelf
from ..fakes import a_message
from .steps import Laws, begin, finish, run, take

MINUTE_MS = 60_000
A, B = NeedsLock("a"), NeedsLock("b")


def tokens(key: str) -> NeedsTokens:
    """One an hour."""
    return NeedsTokens(key.partition(":")[0], key, 60 * MINUTE_MS * 1000, 1)


def ids(store: Store, shelf: Shelf, limit: int = 100, offset: int = 0) -> list[str]:
    """A page of a shelf."""
    return [one.id for one in store.browsing.records(shelf, limit, offset).records]


def hold(store: Store, claim: str, **needs: Any) -> None:
    """Code that is no message asks for locks or tokens."""
    store.claims.begin(Begin(message=a_message(), body=b"", claim=claim, max_crashes=0, hold=True, **needs))


#: What only ``look`` tells: it would make a page long.
LONG = ("traceback", "trail", "past", "sent_to", "sent_ms")


def in_short(record: Record | None) -> dict[str, object]:
    """A record as a page has it."""
    assert record is not None
    return {name: getattr(record, name) for name in record.__struct_fields__ if name not in LONG}


class BrowsingLaws(Laws):
    """``records``, ``waiters``, ``locks``, ``lock`` and ``limit_keys``."""

    def test_new_store_has_empty_pages(self, store: Store) -> None:
        """Of everything, and none of it is an error; nor is a page of nothing."""
        browsing = store.browsing
        shelves: tuple[Shelf, ...] = ("ready", "delayed", "running", "parked", "dead")

        pages = [browsing.records(shelf, limit, offset) for shelf in shelves for limit in (0, 10) for offset in (0, 9)]

        assert [([], 0)] * 20 == [(page.records, page.total) for page in pages]
        assert ([], 0) == (browsing.locks(10).locks, browsing.locks(10).total)
        assert ({}, 0) == (browsing.limit_keys(10).waiting, browsing.limit_keys(10).total)
        assert (None, []) == (browsing.lock("a"), browsing.waiters("limit", "slow:1", 10).records)

    def test_pages_of_a_shelf_show_it_all_in_order(self, store: Store) -> None:
        """What is due first stands first; a page past the end is empty, and each tells how many there are."""
        messages = [a_message() for _ in range(5)]
        for n, message in enumerate(messages):
            store.outbox.put([message], (n + 1) * MINUTE_MS)

        pages = [ids(store, "delayed", 2, offset) for offset in (0, 2, 4, 6)]

        due = [message.id for message in messages]
        assert [due[:2], due[2:4], due[4:], []] == pages
        assert [5, 5] == [store.browsing.records("delayed", 2, offset).total for offset in (0, 6)]

    def test_due_by_now_is_ready(self, store: Store) -> None:
        """However it came to be; what a relay publishes at the moment is due when its lease ends."""
        early, late, now = (a_message() for _ in range(3))
        store.outbox.put([early], MINUTE_MS)
        store.outbox.put([late], 10 * MINUTE_MS)
        self.advance(store, 2 * MINUTE_MS)
        store.outbox.put([now], 0)

        assert ([early.id, now.id], [late.id]) == (ids(store, "ready"), ids(store, "delayed"))
        assert ([now.id], [2, 1]) == (ids(store, "ready", 5, 1), [len(ids(store, "ready", n)) for n in (2, 1)])
        take(store)
        assert ([], {early.id, now.id, late.id}) == (ids(store, "ready"), set(ids(store, "delayed")))

    def test_running_shows_messages_and_code(self, store: Store) -> None:
        """Code that holds has a claim and no body; what was renewed comes later."""
        first, second = a_message(), a_message()
        begin(store, first, "c1")
        begin(store, second, "c2")
        hold(store, "c3", locks=(A,))
        self.advance(store, 1_000)
        store.claims.renew([(first.id, "c1")])

        page = store.browsing.records("running", 10)

        assert [second.id, first.id] == [one.id for one in page.records if one.body]
        assert (3, 3) == (len(page.records), page.total)

    def test_parked_and_dead_have_their_own_order(self, store: Store) -> None:
        """Parked ones by when they are given up, the dead by when they died, the newest first, as ``list`` has it."""
        messages = [a_message() for _ in range(6)]
        for n, message in enumerate(messages[:3]):
            run(store, message, f"p{n}", "PARKED", due_ms=(9 - n) * MINUTE_MS, group="g")
        for n, message in enumerate(messages[3:]):
            run(store, message, f"d{n}", "DEAD", why="no", traceback="Traceback ...")
            self.advance(store, 1_000)

        assert [message.id for message in messages[2::-1]] == ids(store, "parked")
        assert [one.id for one in store.dead.list(10)] == ids(store, "dead") == [one.id for one in messages[:2:-1]]

    def test_page_has_the_records_in_short(self, store: Store) -> None:
        """A page of fifty must not be as long as fifty tracebacks and histories; ``look`` has each."""
        message = a_message()
        run(store, message, "c1", "DEAD", why="no", traceback="Traceback ...")

        (record,) = store.browsing.records("dead", 1).records

        assert in_short(store.messages.look(message.id)) == in_short(record)
        assert ["", (), None, "", 0] == [getattr(record, name) for name in LONG]

    @pytest.mark.parametrize("at", ["lock", "limit"])
    def test_waiters_stand_in_their_turn(self, store: Store, at: str) -> None:
        """Page by page, code among them; a page past the end is empty."""
        needs: dict[str, Any] = {"locks": (A,)} if at == "lock" else {"rates": (tokens("slow:1"),)}
        messages = [a_message() for _ in range(4)]
        for n, message in enumerate(messages):
            begin(store, message, f"c{n}", **needs)
        hold(store, "code", **needs)

        key = "a" if at == "lock" else "slow:1"
        pages = [store.browsing.waiters("lock" if at == "lock" else "limit", key, 2, offset) for offset in (0, 2, 4)]

        waiting = [message.id for message in messages[1:]]
        assert waiting == [one.id for page in pages for one in page.records if one.body]
        assert [(2, 4), (2, 4), (0, 4)] == [(len(page.records), page.total) for page in pages]
        assert b"" == pages[1].records[-1].body

    def test_locks_are_found_by_their_claims(self, store: Store) -> None:
        """As ``waiting.locks`` has them; a claim without a lock adds none; reservations are found behind the claims."""
        holder, waiter, plain = (a_message() for _ in range(3))
        begin(store, holder, "c1", locks=(A, B))
        begin(store, waiter, "c2", locks=(A,))
        begin(store, plain, "c3")
        page = store.browsing.locks(10)
        assert (store.waiting.locks(), 2) == (page.locks, page.total)

        finish(store, holder, "c1")

        page = store.browsing.locks(10)
        assert [("a", (), (waiter.id,))] == [(one.key, one.holders, one.reserved) for one in page.locks]
        assert 2 == page.total
        assert [[], ["a"], []] == [[one.key for one in store.browsing.locks(1, n).locks] for n in range(3)]

    def test_pages_of_locks_show_them_all(self, store: Store) -> None:
        """Each claim's once."""
        for n in range(5):
            begin(store, a_message(), f"c{n}", locks=(NeedsLock(f"k{n}"),))

        pages = [store.browsing.locks(2, offset).locks for offset in (0, 2, 4, 6)]

        assert [2, 2, 1, 0] == [len(page) for page in pages]
        assert store.waiting.locks() == sorted((one for page in pages for one in page), key=lambda one: one.key)

    def test_one_lock_is_found_by_its_key(self, store: Store) -> None:
        """While somebody has it."""
        holder, waiter = a_message(), a_message()
        begin(store, holder, "c1", locks=(A,))
        begin(store, waiter, "c2", locks=(A,))

        assert [store.browsing.lock("a")] == store.waiting.locks()
        assert store.browsing.lock("b") is None

    def test_pages_of_limit_keys_show_them_all(self, store: Store) -> None:
        """With how many wait at each."""
        for user in range(5):
            for n in range(2 + user):
                begin(store, a_message(), f"{user}.{n}", rates=(tokens(f"slow:{user}"),))

        pages = [store.browsing.limit_keys(2, offset) for offset in (0, 2, 4, 6)]

        assert [2, 2, 1, 0] == [len(page.waiting) for page in pages]
        assert [5] * 4 == [page.total for page in pages]
        assert {f"slow:{n}": 1 + n for n in range(5)} == {k: n for page in pages for k, n in page.waiting.items()}

    def test_limits_are_told_of_so_many_keys(self, store: Store) -> None:
        """And no more; what was set is told in any case."""
        store.waiting.set_limit("quiet", interval_us=1_000)
        for user in range(5):
            for n in range(2):
                begin(store, a_message(), f"{user}.{n}", rates=(tokens(f"slow:{user}"),))

        found = [{one.name: len(one.waiting) for one in store.waiting.limits(*keys)} for keys in ((), (2,), (0,))]

        assert [{"quiet": 0, "slow": 5}, {"quiet": 0, "slow": 2}, {"quiet": 0}] == found

    def test_looking_through_changes_nothing(self, store: Store) -> None:
        """Who looks twice sees the same."""
        begin(store, a_message(), "c1", locks=(A,))
        begin(store, a_message(), "c2", locks=(A,))
        store.outbox.put([a_message()], MINUTE_MS)

        def pages() -> object:
            return store.browsing.locks(9), store.browsing.waiters("lock", "a", 9), store.browsing.records("delayed", 9)

        before = pages(), store.messages.counts()

        assert before == (pages(), store.messages.counts())
