"""The laws of uniqueness: of several calls that are the same one is taken, and a claim is never without its message."""

from __future__ import annotations

import pytest
from msgspec import Raw

from ...message import Message, encode
from ...needs import NeedsLock, Same
from ...store import Store
from ..fakes import a_message
from .steps import Laws, begin, finish, look, publish, put_once, recount, run, state, take

DAY_MS = 24 * 3_600_000


def put(store: Store, message: Message, until: str = "until_started", *, wait_ms: int = 0, ttl_ms: int = DAY_MS) -> str:
    """Keep it unless the same is there; returns the id that stands."""
    return put_once(store, [message], [(Same("k", until, ttl_ms),)], wait_ms)[0]


class UniqueLaws(Laws):
    """``put_once``, and the ways in which a key is free again."""

    @pytest.mark.parametrize("until", ["until_started", "until_done", "window"])
    def test_second_call_gives_the_first_message(self, store: Store, until: str) -> None:
        """While it stands; another key has a message of its own; the first alone is published."""
        first, second, other = a_message(), a_message(), a_message()

        a, b = Same("a", until, DAY_MS), Same("b", until, DAY_MS)
        ids = put_once(store, [first, second, other], [(a,), (a,), (b,)], 0)

        assert [first.id, first.id, other.id] == ids
        assert store.messages.look(second.id) is None
        assert {first.id, other.id} == {copy.id for copy in publish(store)}

    def test_repeated_put_is_the_same(self, store: Store) -> None:
        """The reply was lost: the message is known by its id, whatever became of its key meanwhile."""
        message = a_message()
        put(store, message)
        run(store, publish(store)[0])

        assert message.id == put(store, message)

        later = a_message()
        assert later.id == put(store, later)

    def test_until_started_ends_with_the_first_start(self, store: Store) -> None:
        """Parked is not started; a retry does not take it again."""
        message, same = a_message(), a_message()
        put(store, message)
        (copy,) = publish(store)
        run(store, copy, "c1", "PARKED", ran=False, due_ms=60_000, group="g")
        parked = put(store, same)
        store.parked.release("g", 10)
        (again,) = publish(store)
        begin(store, again, "c2")

        started = put(store, same)
        finish(store, again, "c2", "READY", counted=True)

        assert message.id == parked
        assert [same.id, same.id] == [started, put(store, a_message())]

    def test_until_done_is_held_through_everything(self, store: Store) -> None:
        """Retries, reschedules and parking; its end frees it."""
        message = a_message()
        put(store, message, "until_done")
        seen = []
        for n, how in enumerate(("READY", "DELAYED", "PARKED", "DONE")):
            copy = next(one for one in publish(store) if one.id == message.id)
            begin(store, copy, f"c{n}")
            seen.append(put(store, a_message(), "until_done"))
            finish(store, copy, f"c{n}", how, due_ms=60_000 if how == "PARKED" else 0, group="g")
            if how == "PARKED":
                store.parked.release("g", 10)

        last = a_message()
        assert {message.id} == set(seen)
        assert last.id == put(store, last, "until_done")

    @pytest.mark.parametrize("until", ["until_started", "until_done"])
    @pytest.mark.parametrize("how", ["expired", "dead", "parked too long", "crashed"])
    def test_every_end_frees_it(self, store: Store, until: str, how: str) -> None:
        """However it ends, before its start or after."""
        message, later = a_message(), a_message()
        put(store, message, until)
        (copy,) = publish(store)
        if how == "expired":
            begin(store, copy.copy(expires_at_ms=store.now_ms() - 1))
        elif how == "dead":
            run(store, copy, "c1", "DEAD", why="no")
        elif how == "crashed":
            begin(store, copy, "c1", max_crashes=0)
            store.claims.lose(message.id, "c1")
        else:
            run(store, copy, "c1", "PARKED", ran=False, due_ms=0, group="g")
            self.advance(store, 1)
            assert [message.id] == store.parked.overdue(10)

        assert later.id == put(store, later, until)

    def test_window_outlives_the_end(self, store: Store) -> None:
        """For so long from the first call, also after it is done; then another is taken."""
        message, later = a_message(), a_message()
        put(store, message, "window", ttl_ms=60_000)
        run(store, publish(store)[0])

        assert message.id == put(store, later, "window", ttl_ms=60_000)
        self.advance(store, 60_001)
        assert later.id == put(store, later, "window", ttl_ms=60_000)

    def test_claim_of_one_is_not_freed_by_another(self, store: Store) -> None:
        """A retry that starts again leaves alone who has taken the key since."""
        first, second = a_message(), a_message()
        put(store, first)
        (copy,) = publish(store)
        run(store, copy, "c1", "READY", counted=True)
        put(store, second)

        again = next(one for one in publish(store) if one.id == first.id)
        run(store, again, "c2")

        assert second.id == put(store, a_message())

    def test_last_resort_frees_what_never_ends(self, store: Store) -> None:
        """A key is not held for ever."""
        message, later = a_message(), a_message()
        put(store, message, "until_done", ttl_ms=DAY_MS)
        self.advance(store, DAY_MS + 1)

        assert later.id == put(store, later, "until_done")

    def test_any_of_several_keys_stands(self, store: Store) -> None:
        """An idempotency key and a unique call: whichever was there first gives its message."""
        first, second, third = a_message(), a_message(), a_message()
        key, call = Same("key", "window", DAY_MS), Same("call", "until_done", DAY_MS)
        put_once(store, [first], [(key, call)], 0)

        ids = put_once(store, [second, third], [(key, Same("x", "until_done", DAY_MS)), (call,)], 0)

        assert [first.id, first.id] == ids

    @pytest.mark.parametrize("where", ["DELAYED", "OUT"])
    def test_debounce_runs_the_last_call_once(self, store: Store, where: str) -> None:
        """A later call takes the place of one that has not begun, with its own arguments, and the delay begins anew."""
        first, last = a_message(args=Raw(b'["first"]')), a_message(args=Raw(b'["last"]'))
        put(store, first, "debounce", wait_ms=600_000)
        self.advance(store, 600_001 if where == "OUT" else 400_000)
        old = publish(store)

        assert first.id == put(store, last, "debounce", wait_ms=600_000)

        assert ("DELAYED", 2) == state(store, first)
        assert ["stale"] * len(old) == [begin(store, copy).verdict for copy in old]
        self.advance(store, 590_000)
        assert [] == publish(store)
        self.advance(store, 10_000)
        (copy,) = publish(store)
        assert (first.id, 2, last.args) == (copy.id, copy.seq, copy.args)
        assert "run" == begin(store, copy).verdict
        assert recount(store, [first, last]) == store.messages.counts()

    def test_debounce_begins_anew_once_it_runs(self, store: Store) -> None:
        """What is called while the last one runs is another message."""
        first, second = a_message(), a_message()
        put(store, first, "debounce")
        begin(store, publish(store)[0])

        assert second.id == put(store, second, "debounce")

    def test_debounce_changes_what_waits_in_place(self, store: Store) -> None:
        """One that waits for a lock keeps its place and gets the new arguments."""
        holder, first, last = a_message(), a_message(), a_message(args=Raw(b'["last"]'))
        begin(store, holder, "c0", locks=(NeedsLock("a"),))
        put(store, first, "debounce")
        begin(store, publish(store)[0], "c1", locks=(NeedsLock("a"),))

        assert first.id == put(store, last, "debounce", wait_ms=60_000)

        assert ("LOCKED", encode(last)) == (look(store, first).state, look(store, first).body)
        finish(store, holder, "c0")
        assert [(first.id, last.args)] == [(copy.id, copy.args) for copy in publish(store)]

    def test_debounce_frees_what_is_parked(self, store: Store) -> None:
        """What no worker could run may be mended by the next call."""
        first, last = a_message(), a_message(args=Raw(b'["last"]'))
        put(store, first, "debounce")
        run(store, publish(store)[0], "c1", "PARKED", ran=False, due_ms=60_000, group="g")

        assert first.id == put(store, last, "debounce", wait_ms=60_000)

        assert "DELAYED" == look(store, first).state
        assert {} == store.parked.groups()
        assert recount(store, [first]) == store.messages.counts()

    def test_debounce_may_move_to_another_queue(self, store: Store) -> None:
        """Each is counted where it is."""
        first, last, holder = a_message(), a_message(queue="slow"), a_message()
        begin(store, holder, "c0", locks=(NeedsLock("a"),))
        put(store, first, "debounce")
        put(store, last, "debounce", wait_ms=1)
        self.advance(store, 2)
        (copy,) = take(store)

        begin(store, copy, "c1", locks=(NeedsLock("a"),))

        assert {("slow", "LOCKED"): 1} == store.messages.counts()

    def test_idempotency_key_stands_for_what_was_found(self, store: Store) -> None:
        """Another key of the call gave its message: the window begins all the same, and outlives that one's end."""
        first, second, third = a_message(), a_message(), a_message()
        key, call = Same("key", "window", DAY_MS), Same("call", "until_started", DAY_MS)
        put_once(store, [first], [(call,)], 0)

        found = put_once(store, [second], [(key, call)], 0)
        run(store, publish(store)[0])

        assert [first.id, first.id] == [*found, *put_once(store, [third], [(key, call)], 0)]
