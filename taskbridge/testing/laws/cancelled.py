"""The laws of cancelling a message, wherever it stands; of what workers are told; and of who did what."""

from __future__ import annotations

from typing import Any

import pytest

from ...needs import NeedsLock, NeedsTokens, Same, Within
from ...store import WINDOW_MS, Store
from ...store.control import ENDED_MS, Halts
from ..fakes import a_message
from . import chains
from .batches import counts, filled
from .paused import pause, waiting
from .run_needs import held
from .steps import Laws, begin, finish, look, publish, put_once, run

A = NeedsLock("a")
SLOW = NeedsTokens("slow", "slow", 3_600_000_000, 1)
HOUR_MS = 3_600_000
WHY = "cancelled by me"
FOREIGN = Within(foreign=True)

#: Every state in which a message waits.
WAITS = ["READY", "taken", "DELAYED", "OUT", "PARKED", "LOCKED", "THROTTLED", "PAUSED"]


def cancel(store: Store, id: str, **how: Any) -> str:
    """Cancel it."""
    return store.control.cancel(id, WHY, **how)


def brought_to(store: Store, how: str) -> Any:
    """Bring a message, that is one of its kind, to that state; returns the copy that was begun last, if any."""
    message = a_message()
    put_once(store, [message], [(Same("k", "until_done", HOUR_MS),)], HOUR_MS if how == "DELAYED" else 0)
    if how == "taken":
        store.outbox.take(100)
    if how in ("OUT", "PARKED", "LOCKED", "THROTTLED", "PAUSED", "RUN"):
        (message,) = publish(store)
    if how == "PAUSED":
        pause(store)
    if how in ("LOCKED", "THROTTLED"):
        begin(store, a_message(task="tests.other"), "h", locks=(A,), rates=(SLOW,))
    if how in ("LOCKED", "THROTTLED", "PAUSED"):
        begin(store, message, "c1", locks=(A,) if how == "LOCKED" else (), rates=(SLOW,))
    if how == "PARKED":
        run(store, message, "c1", "PARKED", due_ms=HOUR_MS, group="g")
    if how == "RUN":
        begin(store, message, "c1", locks=(A,))
    assert {"taken": "READY"}.get(how, how) == look(store, message).state
    return message


class CancelledLaws(Laws):
    """``cancel`` and ``orders``."""

    @pytest.mark.parametrize("how", WAITS)
    def test_what_waits_is_cancelled_at_once(self, store: Store, how: str) -> None:
        """Wherever: nothing waits, is counted, or stands in its way any more, and no copy of it runs."""
        message = brought_to(store, how)

        was = cancel(store, message.id)

        record = look(store, message)
        assert ({"taken": "READY"}.get(how, how), "DONE", WHY) == (was, record.state, record.why)
        assert {} == store.messages.counts()
        assert [] == [copy for copy in publish(store) if copy.id == message.id]
        assert "settled" == begin(store, message.copy(seq=record.seq), "late").verdict
        assert {0} >= set(waiting(store).values())
        other = a_message()
        assert [other.id] == put_once(store, [other], [(Same("k", "until_done", HOUR_MS),)], 0)

    def test_one_that_the_store_has_not_seen_never_runs(self, store: Store) -> None:
        """A plain message in an engine's queue: it is recognised when it comes, days later; its trail tells of it."""
        message = a_message()

        assert "unknown" == cancel(store, message.id)

        assert [("dropped", WHY)] == [(note.what, note.about) for note in look(store, message).trail]
        self.advance(store, 3 * WINDOW_MS)
        assert "settled" == begin(store, message).verdict
        assert WHY == look(store, message).why

    @pytest.mark.parametrize("end", ["DONE", "DEAD"])
    def test_what_has_ended_stays(self, store: Store, end: str) -> None:
        """Done, dead, or cancelled before: it says so, and nothing is changed."""
        message = a_message()
        run(store, message, "c1", end, why="OSError" if end == "DEAD" else "")
        before = look(store, message)

        assert [end, end] == [cancel(store, message.id), cancel(store, message.id, kill=True)]

        assert before == look(store, message)
        assert Halts() == store.control.halts()

    @pytest.mark.parametrize("how", ["READY", "DELAYED", "PARKED", "THROTTLED", "DEAD", "lose", "release", "sweep"])
    def test_what_runs_ends_with_this_attempt(self, store: Store, how: str) -> None:
        """Retried, parked, refused by the far side, failed, lost, given back: it is not made again, nor dead."""
        message = brought_to(store, "RUN")
        assert "RUN" == cancel(store, message.id)
        assert "RUN" == look(store, message).state

        if how == "sweep":
            self.a_lease_passes(store)
        elif how in ("lose", "release"):
            assert getattr(store.claims, how)(message.id, "c1")
        else:
            told = [finish(store, message, "c1", how, counted=True, due_ms=1_000, group="slow") for _ in range(2)]
            assert ["cancelled", "mine"] == told

        assert ("DONE", WHY, "") == (
            look(store, message).state,
            look(store, message).why,
            look(store, message).traceback,
        )
        assert ({}, {}) == (store.messages.counts(), held(store))
        assert [] == publish(store)

    def test_success_is_success(self, store: Store) -> None:
        """What was done is done, and counts so, though somebody had cancelled it meanwhile."""
        (member,) = filled(store, 1)
        for message in (brought_to(store, "RUN"), member):
            if message is member:
                begin(store, member, "c1")
            cancel(store, message.id)

            assert "ok" == finish(store, message, "c1")

            assert ("DONE", "") == (look(store, message).state, look(store, message).why)
        assert (1, 0, 1, 0, 0) == counts(store)

    def test_last_crash_makes_no_dead_letter(self, store: Store) -> None:
        """What was cancelled while it ran ends, though its worker was lost once too often."""
        message = a_message()
        begin(store, message, "c1", max_crashes=0)
        cancel(store, message.id)

        store.claims.lose(message.id, "c1")

        assert ("DONE", WHY, {}) == (look(store, message).state, look(store, message).why, store.messages.counts())

    def test_process_is_to_be_ended(self, store: Store) -> None:
        """Whoever runs it is named, for a while; not where nobody is to be killed, and not who runs something else."""
        message, other = brought_to(store, "RUN"), a_message()
        begin(store, other, "c2")
        cancel(store, other.id)
        assert Halts() == store.control.halts()

        cancel(store, message.id, kill=True)

        assert ((message.id, "c1"),) == store.control.halts().ends
        self.advance(store, ENDED_MS + 1)
        assert () == store.control.halts().ends

    def test_orders_name_the_queues_that_are_paused(self, store: Store) -> None:
        """Those alone: neither tasks and keys, nor what is resumed and still waited for."""
        pause(store, "task", "tests.send")
        pause(store, "key", "a")
        pause(store, "queue", "slow")
        pause(store, "queue", "mail")
        begin(store, a_message(task="tests.other"))
        assert ("mail", "slow") == store.control.halts().queues

        store.control.resume("queue", "mail")

        assert ("slow",) == store.control.halts().queues
        assert ("tests.send",) == store.control.halts().tasks

    def test_orders_tell_one_pause_of_a_queue_from_the_next(self, store: Store) -> None:
        """Who has read them in between looks again; other things that are paused are nothing to it."""
        pause(store, "queue", "mail")
        first = store.control.halts()
        store.control.resume("queue", "mail")
        while store.now_ms() <= first.since_ms:
            self.advance(store, 1)
        pause(store, "task", "tests.send")
        between = store.control.halts().since_ms
        pause(store, "queue", "mail")
        second = store.control.halts()

        assert (first.queues, 0) == (second.queues, between)
        assert 0 < first.since_ms < second.since_ms

    def test_all_is_recorded_for_as_long_as_anybody_asked(self, store: Store) -> None:
        """A shorter time does not cut a longer one; none ends it."""
        store.control.record_all(200_000)
        store.control.record_all(1)
        self.advance(store, 190_000)
        asked = store.control.halts().records
        self.advance(store, 10_100)
        over = store.control.halts().records
        store.control.record_all(200_000)
        store.control.record_all(0)

        assert (True, False, False) == (asked, over, store.control.halts().records)

    def test_later_call_that_others_may_have_is_theirs(self, store: Store) -> None:
        """A debounced call took the place of one that was published: it is ours until a relay has it, then theirs."""
        key = (Same("k", "debounce", HOUR_MS),)
        first = a_message()
        put_once(store, [first], [key], 0, FOREIGN)
        publish(store)
        assert [first.id] == put_once(store, [a_message()], [key], 0, FOREIGN)
        store.outbox.take(10)

        assert "foreign" == cancel(store, first.id)

        store.outbox.mark([(first.id, look(store, first).seq)])
        put_once(store, [a_message()], [key], 0, FOREIGN)
        assert "DELAYED" == cancel(store, first.id)

    def test_code_that_holds_is_no_message(self, store: Store) -> None:
        """It is left alone."""
        code = a_message(task="", queue="")
        begin(store, code, "c1", locks=(A,), hold=True)

        assert "code" == cancel(store, code.id, kill=True)

        assert {"a": (code.id,)} == held(store)

    def test_what_only_others_run_is_left_to_them(self, store: Store) -> None:
        """Published to an engine whose own workers ask nobody; before that it is cancelled like any other."""
        published, kept = a_message(), a_message()
        for message, wait_ms in ((published, 0), (kept, HOUR_MS)):
            store.outbox.put([message], wait_ms, FOREIGN)
        publish(store)

        assert ["foreign", "DELAYED"] == [cancel(store, published.id), cancel(store, kept.id)]
        assert "OUT" == look(store, published).state

    def test_what_a_relay_publishes_to_others_is_left_to_them(self, store: Store) -> None:
        """It may be in their queue already, whatever becomes of the relay before it says so."""
        message = a_message()
        store.outbox.put([message], 0, FOREIGN)
        [due] = store.outbox.take(10)

        assert "foreign" == cancel(store, message.id)

        store.outbox.mark([(due.id, due.seq)])
        assert "OUT" == look(store, message).state

    def test_waiter_behind_it_goes_on(self, store: Store) -> None:
        """Cancelled at the head of a lock's line, or with the lock reserved for it: the next one has it."""
        holder, first, second, third = (a_message() for _ in range(4))
        for n, message in enumerate((holder, first, second, third)):
            begin(store, message, f"c{n}", locks=(A,))
        cancel(store, first.id)
        finish(store, holder, "c0")
        assert {"a": (second.id,)} == held(store)

        cancel(store, second.id)

        assert {"a": (third.id,)} == held(store)

    def test_member_counts_as_dropped(self, store: Store) -> None:
        """As what expires does: the batch is complete, and none has failed."""
        (one, other) = filled(store, 2)
        cancel(store, one.id)
        begin(store, other, "c1")
        cancel(store, other.id)
        finish(store, other, "c1", "DEAD", why="no")

        assert (2, 0, 0, 0, 2) == counts(store)

    def test_chain_ends(self, store: Store) -> None:
        """With the link that was cancelled, as with one that was dropped."""
        first = chains.start(store, "c")

        cancel(store, first.id)

        assert (None, []) == (chains.left(store, "c"), publish(store))


class AuditLaws(Laws):
    """``note`` and ``read``."""

    def test_newest_stands_first(self, store: Store) -> None:
        """Each with its instant by the store's clock; some of them, or those behind."""
        for n in range(5):
            store.audit.note("me", "pause", f"queue q{n}", f"why\n{n}")

        first, *rest = store.audit.read(2)
        assert ("me", "pause", "queue q4", "why\n4") == (first.who, first.verb, first.subject, first.detail)
        assert ["queue q3"] == [one.subject for one in rest]
        assert ["queue q1", "queue q0"] == [one.subject for one in store.audit.read(10, offset=3)]
        assert [[], []] == [store.audit.read(0), store.audit.read(10, offset=5)]
        assert 0 <= store.now_ms() - first.at_ms < 10_000
