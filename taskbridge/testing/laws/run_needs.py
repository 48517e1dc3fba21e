"""The laws of what a run has while it goes on: its locks, its keys, its turn at a limit."""

from __future__ import annotations

from typing import Any

import pytest

from ...message import Message
from ...needs import NeedsLock, NeedsTokens, Same
from ...store import RESERVED_MS, Store
from ..fakes import a_message
from .chunks import DAY_MS, a_run, after, coming, ends, enqueue, follow, goes_on, start
from .chunks import seen as run_of
from .steps import Laws, begin, finish, look, publish, put_once, recount

A, B = NeedsLock("a"), NeedsLock("b")
HOUR_MS = 3_600_000

#: A limit of one token a minute, that of the laws of limits.
MINUTE = NeedsTokens("slow", "slow", 60_000_000, 1)

#: Where a chunk may stand when its run is at rest.
RESTS = ["DELAYED", "READY", "PARKED", "THROTTLED", "HELD", "pausing", "lost", "given back"]


def at_rest(store: Store, how: str) -> Message:
    """Bring a run with the lock ``a`` to rest between two chunks, or within one; returns its first message."""
    needs: dict[str, Any] = {"locks": (A,), "rates": (MINUTE,) if how == "THROTTLED" else ()}
    first = start(store, needs=needs, pause_ms=HOUR_MS if how == "pausing" else 0, max_backlog=0)
    if how == "HELD":
        enqueue(store, first, "c0", a_message())
    if how in ("HELD", "pausing"):
        goes_on(store, first, "c0")
    elif how == "lost":
        store.claims.lose(first.id, "c0")
    elif how == "given back":
        store.claims.release(first.id, "c0")
    else:
        finish(store, first, "c0", how, due_ms=HOUR_MS, group="slow")
    expected = {"pausing": "DELAYED", "lost": "READY", "given back": "READY"}.get(how, how)
    assert expected == look(store, now_at(store, first)).state
    return first


def now_at(store: Store, first: Message) -> Message:
    """The message of the chunk that stands, as far as its id goes."""
    return first.copy(id=run_of(store, first).current)


def held(store: Store) -> dict[str, tuple[str, ...]]:
    """Who holds or has reserved which lock."""
    return {lock.key: (*lock.holders, *lock.reserved) for lock in store.waiting.locks()}


class RunNeedsLaws(Laws):
    """Locks, uniqueness and limits of a chunked task."""

    @pytest.mark.parametrize("how", RESTS)
    def test_lock_is_the_runs(self, store: Store, how: str) -> None:
        """Between chunks, in a pause, in a retry, in a backlog: a second run waits, however long, and does not pass."""
        first = at_rest(store, how)
        second, third = a_run(), a_run()
        assert "locked" == begin(store, second, "s", locks=(A,)).verdict

        self.advance(store, RESERVED_MS + 1)
        store.waiting.let_out(10)
        self.advance(store, 30 * 60_000)
        store.waiting.let_out(10)

        assert {"a": (run_of(store, first).current,)} == held(store)
        assert "locked" == begin(store, third, "t", locks=(A,)).verdict
        assert "LOCKED" == look(store, second).state

    def test_own_continuation_is_never_refused(self, store: Store) -> None:
        """While others wait for its lock: each chunk has it."""
        chunk = start(store, needs={"locks": (A, B)})
        for n in range(3):
            assert "locked" == begin(store, a_run(), f"o{n}", locks=(A,)).verdict

        for n in range(3):
            goes_on(store, chunk, f"c{n}")
            assert {"a": (after(chunk).id,), "b": (after(chunk).id,)} == held(store)
            chunk = follow(store, f"c{n + 1}", locks=(A, B))
            assert {"a": (chunk.id,), "b": (chunk.id,)} == held(store)

    @pytest.mark.parametrize("how", ["done", "failed", "dropped", "cancelled", "cancelled at rest"])
    def test_lock_is_free_when_the_run_ends(self, store: Store, how: str) -> None:
        """In any way; who waits is let on at once, and a failed run that is replayed waits its turn."""
        first, second = start(store, needs={"locks": (A,)}), a_run()
        begin(store, second, "s", locks=(A,))
        goes_on(store, first, "c0")
        chunk = after(first)
        if how == "cancelled at rest":
            store.runs.steer(first.id, "cancel")
        else:
            chunk = follow(store, "c1", locks=(A,))
        if how == "done":
            ends(store, chunk, "c1")
        elif how == "failed":
            finish(store, chunk, "c1", "DEAD", why="no")
        elif how == "dropped":
            finish(store, chunk, "c1", why="dropped: no")
        elif how == "cancelled":
            store.runs.steer(first.id, "cancel")
            goes_on(store, chunk, "c1")

        assert how.split(" ", maxsplit=1)[0] == run_of(store, first).state
        assert {"a": (second.id,)} == held(store)
        waiter = coming(store)
        assert waiter is not None
        assert "run" == begin(store, waiter, "s2", locks=(A,)).verdict
        if how == "failed":
            store.dead.replay(chunk.id)
            again = coming(store)
            assert again is not None
            assert "locked" == begin(store, again, "c2", locks=(A,)).verdict
            finish(store, waiter, "s2")
            follow(store, "c3", locks=(A,))

    def test_replayed_chunk_that_waits_for_its_lock_is_paused(self, store: Store) -> None:
        """It waits no longer, and stands in nobody's way."""
        first = start(store, needs={"locks": (A,)})
        finish(store, first, "c0", "DEAD", why="no")
        holder, third = a_run(), a_run()
        begin(store, holder, "h", locks=(A,))
        store.dead.replay(first.id)
        again = coming(store)
        assert again is not None
        assert "locked" == begin(store, again, "c1", locks=(A,)).verdict

        store.runs.steer(first.id, "pause")
        finish(store, holder, "h")

        assert "run" == begin(store, third, "t", locks=(A,)).verdict
        assert {"a": (third.id,)} == held(store)

    def test_broken_lock_is_waited_for_with_all_others(self, store: Store) -> None:
        """All or none: what an operator gave away the run asks for as anyone does, and holds nothing meanwhile."""
        first = start(store, needs={"locks": (A, B)})
        goes_on(store, first, "c0")
        store.waiting.break_lock("b")
        other, third = a_run(), a_run()
        assert "run" == begin(store, other, "o", locks=(B,)).verdict
        copy = coming(store)
        assert copy is not None

        assert "locked" == begin(store, copy, "c1", locks=(A, B)).verdict

        assert {"b": (other.id,)} == held(store)
        finish(store, other, "o")
        assert {"a": (copy.id,), "b": (copy.id,)} == held(store)
        assert "locked" == begin(store, third, "t", locks=(A,)).verdict
        follow(store, "c2", locks=(A, B))

    def test_newer_release_asks_for_another_lock(self, store: Store) -> None:
        """What it still asks for it keeps; what it asks for no more is free."""
        first = start(store, needs={"locks": (A, B)})
        waits_a, waits_b = a_run(), a_run()
        begin(store, waits_a, "wa", locks=(A,))
        begin(store, waits_b, "wb", locks=(B,))
        goes_on(store, first, "c0")
        copy = next(copy for copy in publish(store) if copy.id == after(first).id)

        assert "run" == begin(store, copy, "c1", locks=(A,), rates=(MINUTE,)).verdict

        assert {"a": (copy.id,), "b": (waits_b.id,)} == held(store)
        assert "LOCKED" == look(store, waits_a).state

    @pytest.mark.parametrize("how", RESTS)
    def test_key_is_the_runs(self, store: Store, how: str) -> None:
        """A second start while one runs gives the first, also between its chunks; the continuation needs no key."""
        first = start(store, unique="until_done", pause_ms=HOUR_MS if how == "pausing" else 0, max_backlog=0)
        if how == "HELD":
            enqueue(store, first, "c0", a_message())
        if how in ("HELD", "pausing"):
            goes_on(store, first, "c0")
        elif how in ("lost", "given back"):
            getattr(store.claims, "lose" if how == "lost" else "release")(first.id, "c0")
        else:
            finish(store, first, "c0", how, due_ms=HOUR_MS, group="slow")

        assert first.id == start_again(store)
        assert "running" == run_of(store, first).state

    @pytest.mark.parametrize("how", ["done", "failed", "dropped", "cancelled"])
    def test_key_is_free_when_the_run_ends(self, store: Store, how: str) -> None:
        """In any way, and not before."""
        first = start(store, unique="until_done")
        goes_on(store, first, "c0")
        chunk = follow(store, "c1")
        between = start_again(store)
        if how == "failed":
            finish(store, chunk, "c1", "DEAD", why="no")
        elif how == "cancelled":
            store.runs.steer(first.id, "cancel")
            finish(store, chunk, "c1", "READY", counted=True)
        else:
            finish(store, chunk, "c1", why="dropped: no" if how == "dropped" else "")

        assert (first.id, how) == (between, run_of(store, first).state)
        assert first.id != start_again(store)

    def test_replayed_run_has_its_key_again(self, store: Store) -> None:
        """Unless another has been started meanwhile: that one is not taken from."""
        first, other = start(store, unique="until_done"), a_run()
        finish(store, first, "c0", "DEAD", why="no")
        store.dead.replay(first.id)
        while_it_runs = start_again(store)
        finish(store, follow(store, "c1"), "c1", "DEAD", why="no")
        started = start_again(store, other)
        store.dead.replay(first.id)
        again = next(copy for copy in publish(store) if copy.id == first.id)
        begin(store, again, "c2")
        ends(store, again, "c2")

        assert [first.id, other.id] == [while_it_runs, started]
        assert other.id == start_again(store)

    def test_key_of_a_run_that_goes_on_has_no_last_resort(self, store: Store) -> None:
        """Each chunk prolongs it: a run of a month is one run."""
        chunk = start(store, unique="until_done")
        first = chunk.id
        for n in range(4):
            self.advance(store, 10 * DAY_MS)
            goes_on(store, chunk, f"c{n}")
            chunk = follow(store, f"c{n + 1}")

        assert first == start_again(store)

    def test_until_started_ends_with_the_first_chunk(self, store: Store) -> None:
        """No later chunk takes the key again, not even one that is begun and never entered."""
        first, other = start(store, unique="until_started"), a_run()
        goes_on(store, first, "c0")
        finish(store, follow(store, "c1"), "c1", "PARKED", ran=False, due_ms=60_000, group="g")

        assert other.id == start_again(store, other, "until_started")

    def test_limit_of_a_chunked_task_paces_its_chunks(self, store: Store) -> None:
        """A chunk that is refused keeps the run's lock while it waits for its turn, and then runs."""
        needs: dict[str, Any] = {"locks": (A,), "rates": (MINUTE,)}
        first, other = start(store, needs=needs), a_run()
        goes_on(store, first, "c0")
        copy = coming(store)
        assert copy is not None

        assert "throttled" == begin(store, copy, "c1", **needs).verdict

        assert {("walks", "THROTTLED"): 1} == store.messages.counts()
        assert "locked" == begin(store, other, "o", locks=(A,)).verdict
        self.advance(store, 61_000)
        store.waiting.let_out(10)
        second = follow(store, "c2", **needs)
        goes_on(store, second, "c2")
        assert {"a": (after(second).id,)} == held(store)

    def test_counts_are_a_recount(self, store: Store) -> None:
        """HELD among them."""
        first = at_rest(store, "HELD")

        assert {("walks", "HELD"): 1, ("mail", "READY"): 1} == store.messages.counts()
        assert {("walks", "HELD"): 1} == recount(store, [now_at(store, first)])


def start_again(store: Store, message: Message | None = None, until: str = "until_done") -> str:
    """Enqueue the same run once more; returns the id that stands."""
    return put_once(store, [message or a_run()], [(Same("walk", until, DAY_MS),)], 0)[0]
