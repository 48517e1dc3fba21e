"""The laws of claims: who may run a message, and what becomes of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ...message import encode
from ...store import GAP_MS, LEASE_MS, Begin, Finish, Store
from ..fakes import a_message
from .steps import Laws, begin, finish, look, publish, run, state, take


class BeginLaws(Laws):
    """``begin``: recognise, drop, or run."""

    def test_new_message_runs(self, store: Store) -> None:
        """A message the store has never heard of runs, with the attempt that its copy tells."""
        message = a_message(attempt=4)

        begun = begin(store, message)

        assert ("run", 1, 4, 0) == (begun.verdict, begun.starts, begun.attempt, begun.crashes)

    def test_claim_holds_the_message(self, store: Store) -> None:
        """What runs can be made again from its record alone: body, queue and numbers are in it."""
        message = a_message(seq=3)

        begin(store, message, "c7")

        record = look(store, message)
        assert ("RUN", 3, "c7", "mail") == (record.state, record.seq, record.claim, record.queue)
        assert encode(message) == record.body

    @pytest.mark.parametrize("end", ["DONE", "DEAD"])
    def test_settled_message_never_runs(self, store: Store, end: str) -> None:
        """A redelivery of what is done or dead is only acknowledged, whatever its number."""
        message = a_message()
        run(store, message, "c1", end)

        assert "settled" == begin(store, message, "c2").verdict
        assert "settled" == begin(store, message.copy(seq=9), "c2").verdict
        assert end == look(store, message).state

    def test_running_message_is_busy(self, store: Store) -> None:
        """A redelivery of what runs is acknowledged and changes nothing."""
        message = a_message()
        begin(store, message, "c1")
        before = look(store, message)

        assert "busy" == begin(store, message, "c2").verdict

        assert before == look(store, message)
        assert "ok" == finish(store, message, "c1")

    def test_redelivery_takes_a_lapsed_claim_back(self, store: Store) -> None:
        """A redelivery that meets a lapsed claim is acknowledged, and the message is ready under a new number."""
        message = a_message()
        begin(store, message, "c1")
        self.advance(store, LEASE_MS + 1)

        assert "busy" == begin(store, message, "c2").verdict

        assert ("READY", 2) == state(store, message)
        assert 1 == look(store, message).crashes

    def test_redelivery_leaves_a_lapsed_claim_alone_when_all_were_away(self, store: Store) -> None:
        """Where no sweeper lived of late, a redelivery takes no claim either."""
        message = a_message()
        store.claims.sweep(1)
        begin(store, message, "c1")
        self.advance(store, LEASE_MS + GAP_MS)

        assert "busy" == begin(store, message, "c2").verdict

        assert ("RUN", 1) == state(store, message)

    def test_copy_may_come_before_its_mark(self, store: Store) -> None:
        """What the relay has published but not yet marked runs; the late mark then changes nothing."""
        message = a_message()
        store.outbox.put([message], 0)
        (copy,) = take(store)

        assert "run" == begin(store, copy).verdict
        store.outbox.mark([(copy.id, copy.seq)])

        assert ("RUN", 1) == state(store, message)
        assert [] == take(store)

    def test_delayed_copy_may_come_early(self, store: Store) -> None:
        """A copy with the record's own number runs though the record is not due, and is published no more."""
        message = a_message()
        store.outbox.put([message], 60_000)

        assert "run" == begin(store, message).verdict

        self.advance(store, 60_001)
        assert [] == take(store)

    def test_higher_number_is_the_truth(self, store: Store) -> None:
        """A copy that is newer than the record shows that the store lost writes: it runs, the old claim is over."""
        message = a_message()
        begin(store, message, "c1")

        assert "run" == begin(store, message.copy(seq=5), "c2").verdict

        assert ("RUN", 5) == state(store, message)
        assert "refused" == finish(store, message, "c1")
        assert ["c2"] == [record.claim for record in store.messages.running()]

    def test_expired_before_its_first_start_never_runs(self, store: Store) -> None:
        """What is not begun in time is dropped, and stays dropped."""
        message = a_message(expires_at_ms=store.now_ms() - 1)

        assert "expired" == begin(store, message, "c1").verdict

        assert "settled" == begin(store, message, "c2").verdict
        assert "DONE" == look(store, message).state

    def test_expiry_empties_the_outbox(self, store: Store) -> None:
        """A message that expires as its copy comes is not published once more."""
        message = a_message(expires_at_ms=store.now_ms() - 1)
        store.outbox.put([message], 0)

        assert "expired" == begin(store, message).verdict

        assert [] == take(store)
        assert {} == store.messages.counts()

    def test_an_end_that_is_no_success_says_why(self, store: Store) -> None:
        """The marker of what expired or was dropped keeps the reason; that of what is done has none."""
        expired = a_message(expires_at_ms=store.now_ms() - 1)
        dropped, done = a_message(), a_message()

        begin(store, expired)
        run(store, dropped, why="dropped: nothing to do")
        run(store, done)

        assert "expired" in look(store, expired).why
        assert ("dropped: nothing to do", "") == (look(store, dropped).why, look(store, done).why)

    def test_unexpired_message_runs(self, store: Store) -> None:
        """An expiry that is still to come forbids nothing."""
        message = a_message(expires_at_ms=store.now_ms() + 60_000)

        assert "run" == begin(store, message).verdict

    def test_begun_message_never_expires(self, store: Store) -> None:
        """Expiry bounds the first start only: a retry runs however late it comes."""
        message = a_message()
        run(store, message, "c1", "READY", counted=True)
        (copy,) = publish(store)
        late = copy.copy(expires_at_ms=store.now_ms() - 1)

        assert "run" == begin(store, late, "c2").verdict

    def test_message_that_was_never_entered_may_expire(self, store: Store) -> None:
        """A claim that ended without entering the task was no start: expiry goes on counting."""
        message = a_message()
        run(store, message, "c1", "READY", ran=False)
        (copy,) = publish(store)

        assert 0 == look(store, message).starts
        assert "expired" == begin(store, copy.copy(expires_at_ms=store.now_ms() - 1), "c2").verdict

    def test_c17_fence_grows_with_each_accepted_begin(self, store: Store) -> None:
        """C17: a later start, of whatever message, has the higher fence."""
        first, second = a_message(), a_message()

        fences = [begin(store, first, "c1").fence, begin(store, second, "c2").fence]
        store.claims.lose(first.id, "c1")
        fences.append(begin(store, first.copy(seq=2), "c3").fence)

        assert sorted(set(fences)) == fences
        assert fences[0] > 0

    @pytest.mark.parametrize("published", [False, True])
    def test_lower_limit_of_crashes_ends_the_message(self, store: Store, published: bool) -> None:
        """What has crashed more often than its task allows by now is dead before it runs, body and all."""
        message = a_message()
        for seq in (1, 2):
            begin(store, message.copy(seq=seq), "c1", max_crashes=5)
            store.claims.lose(message.id, "c1")
        copy = message.copy(seq=3)
        if published:
            publish(store)

        begun = begin(store, copy, "c2", max_crashes=1)

        assert ("crashed", 2) == (begun.verdict, begun.crashes)
        assert ("DEAD", 3) == state(store, message)
        assert encode(copy) == look(store, message).body
        assert [] == take(store)

    def test_one_of_many_runs(self, store: Store) -> None:
        """However many workers are handed copies of a message at once, one runs it."""
        message = a_message()

        with ThreadPoolExecutor(8) as workers:
            verdicts = list(workers.map(lambda n: begin(store, message, f"c{n}").verdict, range(32)))

        assert sorted(["run", *["busy"] * 31]) == sorted(verdicts)


class FinishLaws(Laws):
    """``finish``: the one way to end."""

    def test_done_leaves_a_marker(self, store: Store) -> None:
        """What is done keeps its number and gives up its body."""
        message = a_message(seq=2)

        assert "ok" == run(store, message)

        assert ("DONE", 2) == state(store, message)
        assert b"" == look(store, message).body
        assert [] == store.messages.running()

    def test_dead_keeps_all(self, store: Store) -> None:
        """A dead letter has its body, why it died, and its traceback."""
        message = a_message()

        run(store, message, "c1", "DEAD", why="OSError: no route", traceback="Traceback ...")

        record = look(store, message)
        assert ("DEAD", "OSError: no route", "Traceback ...") == (record.state, record.why, record.traceback)
        assert encode(message) == record.body
        assert abs(record.at_ms - store.now_ms()) < 60_000

    def test_counted_retry_spends_an_attempt(self, store: Store) -> None:
        """A retry raises attempt and number, waits, and comes with what was written."""
        message = a_message()

        run(store, message, "c1", "DELAYED", counted=True, due_ms=30_000, why="TimeoutError")

        assert [] == take(store)
        assert ("DELAYED", "TimeoutError") == (look(store, message).state, look(store, message).why)
        self.advance(store, 30_001)
        (copy,) = publish(store)
        assert (2, 2) == (copy.seq, copy.attempt)

    def test_reschedule_spends_none_and_may_change_the_body(self, store: Store) -> None:
        """A task's own wish to run again raises the number only; a new body replaces the old."""
        message = a_message()
        changed = encode(message.copy(priority=9))

        run(store, message, "c1", "READY", body=changed)

        (copy,) = publish(store)
        assert (2, 1, 9) == (copy.seq, copy.attempt, copy.priority)

    def test_dead_may_change_the_body(self, store: Store) -> None:
        """What a task asked for its next run is what a replay runs with."""
        message = a_message()
        changed = encode(message.copy(priority=9))

        run(store, message, "c1", "DEAD", body=changed, why="gave up")
        kept = look(store, message).body
        replayed = store.dead.replay(message.id)

        (copy,) = publish(store)
        assert (changed, True, 9) == (kept, replayed, copy.priority)

    def test_attempts_add_up(self, store: Store) -> None:
        """The record counts attempts; what a copy says of them is not believed."""
        message = a_message()
        for attempt in (1, 2, 3):
            begun = begin(store, message.copy(seq=attempt, attempt=1), f"c{attempt}")
            assert attempt == begun.attempt
            finish(store, message, f"c{attempt}", "READY", counted=True)

        assert 4 == look(store, message).attempt

    def test_unknown_message_is_not_ended(self, store: Store) -> None:
        """A finish for which there is no record says so and writes nothing."""
        message = a_message()

        assert "unknown" == finish(store, message)

        assert store.messages.look(message.id) is None

    def test_lapsed_claim_is_still_its_own(self, store: Store) -> None:
        """A claim that lapsed and was taken by nobody may finish."""
        message = a_message()
        begin(store, message)
        self.advance(store, 10 * LEASE_MS)

        assert "ok" == finish(store, message)

    @pytest.mark.parametrize("end", ["DONE", "DEAD", "DELAYED", "READY", "PARKED"])
    def test_finish_may_be_repeated(self, store: Store, end: str) -> None:
        """After a lost reply the same finish says ``mine`` and changes nothing more."""
        message = a_message()
        run(store, message, "c1", end, counted=True, due_ms=60_000, group="g")
        before, counts = look(store, message), store.messages.counts()

        assert "mine" == finish(store, message, "c1", end, counted=True, due_ms=60_000, group="g")

        assert (before, counts) == (look(store, message), store.messages.counts())

    def test_finish_and_begin_is_both(self, store: Store) -> None:
        """One trip ends the one and starts the other; repeated, it answers for both again."""
        first, second = a_message(), a_message()
        begin(store, first, "c1")
        done = Finish(id=first.id, claim="c1", state="DONE")
        following = Begin(message=second, body=encode(second), claim="c2", max_crashes=3)

        once = store.claims.finish_and_begin(done, following)
        again = store.claims.finish_and_begin(done, following)

        assert ("ok", "mine") == (once[0], again[0])
        assert once[1] == again[1]
        assert ("DONE", "RUN") == (look(store, first).state, look(store, second).state)
