"""The counterexamples of ``docs/protocol.md``: each broke the protocol without one guard. ``m.2`` has number 2."""

from __future__ import annotations

import pytest

from ...message import encode
from ...store import LONG_WINDOW_MS, RELAY_LEASE_MS, WINDOW_MS, Store
from ..fakes import a_message
from .steps import Laws, begin, finish, look, publish, recount, run, state, take


class TraceLaws(Laws):
    """C1 to C8, C16 and C18; C17 is among the laws of ``begin``, the rest belong to locks, rates and batches."""

    def test_c1_old_copy_is_not_begun_in_place_of_the_new(self, store: Store) -> None:
        """C1: m.1 is redelivered after its claim was lost; only m.2 runs."""
        message = a_message()
        begin(store, message, "c1")
        store.claims.lose(message.id, "c1")

        assert "stale" == begin(store, message, "c2").verdict

        assert [message.copy(seq=2)] == publish(store)
        assert "stale" == begin(store, message, "c2").verdict
        assert "run" == begin(store, message.copy(seq=2), "c3").verdict
        assert "stale" == begin(store, message, "c2").verdict

    def test_c1_old_copy_does_not_skip_a_retrys_delay(self, store: Store) -> None:
        """C1: m.1 is redelivered while its retry waits; the retry goes on waiting."""
        message = a_message()
        run(store, message, "c1", "DELAYED", counted=True, due_ms=60_000)

        assert "stale" == begin(store, message, "c2").verdict

        assert ("DELAYED", 2) == state(store, message)

    @pytest.mark.parametrize("counted", [True, False], ids=["retry", "reschedule"])
    def test_c2_late_mark_does_not_hide_what_goes_on(self, store: Store, counted: bool) -> None:
        """C2: the relay that published m.1 wakes after m.1 ran and went on; its mark is for m.1 only."""
        message = a_message()
        store.outbox.put([message], 0)
        (copy,) = take(store)
        run(store, copy, "c1", "READY", counted=counted)

        store.outbox.mark([(copy.id, copy.seq)])

        assert [message.copy(seq=2, attempt=1 + counted)] == publish(store)

    def test_c3_record_outlives_its_publication(self, store: Store) -> None:
        """C3: c1 is lost, m.2 published, and m.1 redelivered a month later; m.2 alone runs."""
        message = a_message()
        begin(store, message, "c1")
        store.claims.lose(message.id, "c1")
        publish(store)
        self.advance(store, 30 * 24 * 3_600_000)

        assert "stale" == begin(store, message, "c2").verdict

        assert "run" == begin(store, message.copy(seq=2), "c3").verdict

    def test_c4_claim_whose_copy_was_acknowledged_comes_back(self, store: Store) -> None:
        """C4: m.1 is redelivered, found busy, acknowledged, and its worker dies; the record alone brings it back."""
        message = a_message()
        begin(store, message, "c1")
        begin(store, message, "c2")

        assert [message.id] == self.a_lease_passes(store)

        (due,) = store.outbox.take(10)
        assert (encode(message), 2) == (due.body, due.seq)

    def test_c5_begin_may_be_repeated(self, store: Store) -> None:
        """C5: begin's reply is lost and begin is sent again; the claim finds itself, nothing is counted twice."""
        message = a_message()
        first = begin(store, message, "c1")
        self.advance(store, 1_000)

        assert first == begin(store, message, "c1")

        assert ("run", 1) == (first.verdict, look(store, message).starts)
        assert "ok" == finish(store, message, "c1")

    def test_c5_begin_repeated_after_its_claim_was_lost(self, store: Store) -> None:
        """C5: begin is sent again when its claim is gone already; the copy is old by then."""
        message = a_message()
        begin(store, message, "c1")
        self.a_lease_passes(store)

        assert "stale" == begin(store, message, "c1").verdict

    def test_c6_lost_claim_does_not_end_anothers(self, store: Store) -> None:
        """C6: c1 pauses and is lost, c2 begins m.2; c1's finish is refused and c2's counts."""
        message = a_message()
        begin(store, message, "c1")
        self.a_lease_passes(store)
        begin(store, message.copy(seq=2), "c2")

        assert "refused" == finish(store, message, "c1", "DEAD")

        assert ("RUN", "c2") == (look(store, message).state, look(store, message).claim)
        assert "ok" == finish(store, message, "c2")
        assert "refused" == finish(store, message, "c1")

    @pytest.mark.parametrize("verb", ["lose", "release"])
    def test_c6_late_supervisor_does_not_end_anothers(self, store: Store, verb: str) -> None:
        """C6: a supervisor settles c1 when m.2 runs already; c2 does not notice."""
        message = a_message()
        begin(store, message, "c1")
        self.a_lease_passes(store)
        begin(store, message.copy(seq=2), "c2")

        assert not getattr(store.claims, verb)(message.id, "c1")

        assert (1, "c2") == (look(store, message).crashes, look(store, message).claim)
        assert "ok" == finish(store, message, "c2")

    def test_c7_renewal_revives_nothing(self, store: Store) -> None:
        """C7: renewals of claims that were lost, finished or never stood come late; none stands by them."""
        lost, done, never = a_message(), a_message(), a_message()
        begin(store, lost, "c1")
        store.claims.lose(lost.id, "c1")
        run(store, done, "c2")
        begin(store, lost.copy(seq=2), "c4")

        store.claims.renew([(lost.id, "c1"), (done.id, "c2"), (never.id, "c3")])

        assert ["c4"] == [record.claim for record in store.messages.running()]
        assert store.messages.look(never.id) is None

    def test_c7_renewal_of_one_claim_renews_no_other(self, store: Store) -> None:
        """C7: a claim that no living child has is not kept by the renewals of its neighbours."""
        orphan, kept = a_message(), a_message()
        begin(store, orphan, "host:0:1")
        begin(store, kept, "host:0:2")

        assert [orphan.id] == self.a_lease_passes(store, (kept, "host:0:2"), (orphan, "host:0:2"))

    def test_c8_parking_may_be_repeated(self, store: Store) -> None:
        """C8: a message is parked, the reply is lost, its copy comes again; it waits once."""
        message = a_message()
        run(store, message, "c1", "PARKED", due_ms=60_000, group="new.task")

        assert "stale" == begin(store, message, "c2").verdict
        assert "mine" == finish(store, message, "c1", "PARKED", due_ms=60_000, group="new.task")

        assert {"new.task": 1} == store.parked.groups()
        assert recount(store, [message]) == store.messages.counts()

    def test_c16_late_mark_does_not_hide_a_lost_claim(self, store: Store) -> None:
        """C16: m.1 is published, begun and lost; the late mark of m.1 leaves m.2 to be published."""
        message = a_message()
        store.outbox.put([message], 0)
        (copy,) = take(store)
        begin(store, copy)
        store.claims.lose(message.id, "c1")

        store.outbox.mark([(copy.id, copy.seq)])

        assert [message.copy(seq=2)] == publish(store)

    def test_c16_late_mark_does_not_hide_a_replay(self, store: Store) -> None:
        """C16: m.1 is published, runs, dies and is replayed; the late mark of m.1 leaves the replay alone."""
        message = a_message()
        store.outbox.put([message], 0)
        (copy,) = take(store)
        run(store, copy, "c1", "DEAD", why="OSError")
        store.dead.replay(message.id)

        store.outbox.mark([(copy.id, copy.seq)])

        assert [message.copy(seq=2)] == publish(store)

    def test_c16_relay_never_pops_first(self, store: Store) -> None:
        """C16: a relay takes m.1 and dies before it has published; another takes it again."""
        message = a_message()
        store.outbox.put([message], 0)
        take(store)
        self.advance(store, RELAY_LEASE_MS + 1)

        assert [message] == publish(store)

    def test_c18_marker_recognises_repeats_for_its_window(self, store: Store) -> None:
        """C18: a copy of what is done is recognised for two hours, and not kept for ever."""
        message = a_message()
        run(store, message)

        self.advance(store, WINDOW_MS - 60_000)
        assert "settled" == begin(store, message, "c2").verdict
        self.advance(store, 60_001)
        assert store.messages.look(message.id) is None
        assert "unknown" == finish(store, message, "c1")

    @pytest.mark.parametrize("how", ["retried", "published twice", "replayed and purged"])
    def test_c18_marker_of_a_message_with_more_copies_lives_longer(self, store: Store, how: str) -> None:
        """C18: where more than one copy was published, the marker recognises the last of them for seven days."""
        message = a_message()
        if how == "retried":
            run(store, message, "c1", "READY")
            run(store, message.copy(seq=2), "c2")
        elif how == "published twice":
            store.outbox.put([message], 0)
            take(store)
            self.advance(store, RELAY_LEASE_MS + 1)
            publish(store)
            run(store, message)
        else:
            run(store, message, "c1", "DEAD")
            store.dead.replay(message.id)
            run(store, message.copy(seq=2), "c2", "DEAD")
            store.dead.purge(message.id)

        self.advance(store, LONG_WINDOW_MS - 60_000)
        assert "settled" == begin(store, message, "c3").verdict
        self.advance(store, 60_001)
        assert store.messages.look(message.id) is None

    def test_c18_what_is_not_settled_has_no_end(self, store: Store) -> None:
        """C18: only markers are forgotten; a message that waits, or that an engine has, is there after a year."""
        delayed, parked, out, running = messages = [a_message() for _ in range(4)]
        store.outbox.put([out], 0)
        publish(store)
        run(store, delayed, "c1", "DELAYED", due_ms=60_000)
        run(store, parked, "c1", "PARKED", due_ms=60_000)
        begin(store, running)

        self.advance(store, 365 * 24 * 3_600_000)

        assert ["DELAYED", "PARKED", "OUT", "RUN"] == [look(store, message).state for message in messages]
