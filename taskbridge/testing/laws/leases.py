"""The laws of leases: how long a claim stands without its worker's word, and who may take it back."""

from __future__ import annotations

import pytest

from ...store import GAP_MS, LEASE_MS, Store
from ..fakes import a_message
from .steps import SWEEP_MS, Laws, begin, finish, look, publish, state, take


class LeaseLaws(Laws):
    """``renew``, ``lose``, ``release`` and ``sweep``."""

    def test_renewed_claim_outlives_any_task(self, store: Store) -> None:
        """While its supervisor renews it, no claim is taken, however long the task runs."""
        kept, lapsed = a_message(), a_message()
        begin(store, kept, "c1")
        begin(store, lapsed, "c2")

        assert [lapsed.id] == self.a_lease_passes(store, (kept, "c1"))
        assert [] == self.a_lease_passes(store, (kept, "c1"))

        assert "ok" == finish(store, kept, "c1")

    def test_lapsed_claim_may_be_renewed(self, store: Store) -> None:
        """A claim that lapsed and was taken by nobody stands again when renewed."""
        message = a_message()
        begin(store, message)
        self.advance(store, LEASE_MS + 1)

        store.claims.renew([(message.id, "c1")])

        assert [] == store.claims.sweep(10)
        assert "RUN" == look(store, message).state

    def test_nothing_to_renew_is_nothing(self, store: Store) -> None:
        """An idle supervisor renews no claims, and may say so."""
        store.claims.renew([])

        assert [] == store.messages.running()

    def test_lost_claim_comes_back_at_once(self, store: Store) -> None:
        """What a dead worker held is ready under a new number: a crash is counted, no attempt spent."""
        message = a_message()
        begin(store, message)

        assert store.claims.lose(message.id, "c1")

        record = look(store, message)
        assert ("READY", 2, 1, 1, "") == (record.state, record.seq, record.attempt, record.crashes, record.claim)
        assert [message.copy(seq=2)] == publish(store)

    @pytest.mark.parametrize("verb", ["lose", "release"])
    def test_claim_is_taken_back_once(self, store: Store, verb: str) -> None:
        """Repeated, late, or for a message unknown, it says False and changes nothing."""
        message = a_message()
        begin(store, message, "c1")
        take_back = getattr(store.claims, verb)

        assert not take_back(message.id, "c0")
        assert take_back(message.id, "c1")
        assert not take_back(message.id, "c1")
        assert not take_back("nobody", "c1")

        assert ("READY", 2) == state(store, message)

    def test_released_claim_counts_no_crash(self, store: Store) -> None:
        """What a drain gives back is ready at once; the late finish of its claim is refused."""
        message = a_message()
        begin(store, message)

        assert store.claims.release(message.id, "c1")

        record = look(store, message)
        assert ("READY", 2, 1, 0) == (record.state, record.seq, record.attempt, record.crashes)
        assert "refused" == finish(store, message)

    def test_sweep_takes_the_longest_lapsed_first(self, store: Store) -> None:
        """A sweep takes no more than it is asked to, in the order in which leases ended."""
        messages = [a_message() for _ in range(3)]
        for n, message in enumerate(messages):
            begin(store, message, f"c{9 - n}")
            self.advance(store, 1_000)
        self.advance(store, LEASE_MS)

        swept = [store.claims.sweep(2), store.claims.sweep(2), store.claims.sweep(2)]

        assert [[messages[0].id, messages[1].id], [messages[2].id], []] == swept
        assert {("mail", "READY"): 3} == store.messages.counts()

    def test_sweep_leaves_standing_claims(self, store: Store) -> None:
        """A claim within its lease is not swept."""
        message = a_message()
        begin(store, message)
        self.advance(store, LEASE_MS - 2_000)

        assert [] == store.claims.sweep(10)
        assert "RUN" == look(store, message).state

    def test_no_claim_is_taken_for_one_lease_after_a_gap(self, store: Store) -> None:
        """Where the store or all sweepers were away, claims could not be renewed; they get one lease to be."""
        renewed, gone = a_message(), a_message()
        begin(store, renewed, "c1")
        begin(store, gone, "c2")
        store.claims.sweep(10)
        self.advance(store, 10 * LEASE_MS)

        assert [] == store.claims.sweep(10)

        assert {"c1", "c2"} == {record.claim for record in store.messages.running()}
        assert [gone.id] == self.a_lease_passes(store, (renewed, "c1"))

    def test_quiet_lasts_no_longer_than_a_lease(self, store: Store) -> None:
        """After a gap, a sweep one lease later takes what is lapsed."""
        message = a_message()
        begin(store, message)
        store.claims.sweep(10)
        self.advance(store, LEASE_MS + GAP_MS)
        quiet_ms = 0

        while not store.claims.sweep(10):
            assert quiet_ms <= LEASE_MS
            self.advance(store, SWEEP_MS)
            quiet_ms += SWEEP_MS

        assert quiet_ms > LEASE_MS - SWEEP_MS

    @pytest.mark.parametrize("how", ["lose", "sweep", "redelivery"])
    def test_crashes_over_the_limit_end_the_message(self, store: Store, how: str) -> None:
        """A message that kills its workers goes to the dead letters, however each death was noticed."""
        message = a_message()
        for crash in (1, 2, 3):
            assert "run" == begin(store, message.copy(seq=crash), f"c{crash}", max_crashes=2).verdict
            if how == "lose":
                store.claims.lose(message.id, f"c{crash}")
            elif how == "sweep":
                self.a_lease_passes(store)
            else:
                self.advance(store, LEASE_MS + 1)
                begin(store, message.copy(seq=crash), "other", max_crashes=2)

        record = look(store, message)
        assert ("DEAD", 3, 1) == (record.state, record.crashes, record.attempt)
        assert "3 times" in record.why
        assert {("mail", "DEAD"): 1} == store.messages.counts()
        assert [] == take(store)

    def test_no_crash_allowed_means_none(self, store: Store) -> None:
        """A task that allows no crash is dead with the first."""
        message = a_message()
        begin(store, message, max_crashes=0)

        store.claims.lose(message.id, "c1")

        assert "DEAD" == look(store, message).state
