"""The laws of taking over what lies in an engine's queue: each message once, however often it is asked."""

from __future__ import annotations

import pytest

from ...message import Message, encode
from ...store import RELAY_LEASE_MS, Adopted, Copy, Store
from ..fakes import a_message
from .steps import Laws, begin, finish, look, publish, run, state, take


def adopt(store: Store, message: Message, due_ms: int = 0) -> Adopted:
    """Take over one copy."""
    (adopted,) = store.outbox.adopt([Copy(message=message, due_ms=due_ms)])
    return adopted


class AdoptLaws(Laws):
    """``adopt``."""

    def test_copy_that_is_not_known_becomes_ready(self, store: Store) -> None:
        """Under the next number, with its attempt and all that it says; the caller has a lease to publish it."""
        message = a_message(attempt=3)

        assert Adopted("READY", 2) == adopt(store, message)

        record = look(store, message)
        assert ("READY", 2, 3, encode(message)) == (record.state, record.seq, record.attempt, record.body)
        assert [] == take(store)
        assert {("mail", "READY"): 1} == store.messages.counts()

    def test_relay_publishes_what_the_caller_did_not(self, store: Store) -> None:
        """When the lease is over, under the new number."""
        message = a_message()
        adopt(store, message)

        self.advance(store, RELAY_LEASE_MS)

        assert [message.copy(seq=2)] == take(store)

    def test_what_the_caller_has_published_and_marked_is_the_engines(self, store: Store) -> None:
        """It runs from there, and its older copy is waste paper."""
        message = a_message()
        adopt(store, message)
        store.outbox.mark([(message.id, 2)])

        assert ("OUT", 2) == state(store, message)
        assert "stale" == begin(store, message).verdict
        assert "run" == begin(store, message.copy(seq=2)).verdict

    def test_copy_with_a_delay_waits_in_the_store(self, store: Store) -> None:
        """Until its instant; an older copy that is begun meanwhile does not run early."""
        message = a_message()

        assert Adopted("DELAYED", 2) == adopt(store, message, store.now_ms() + 200_000)

        assert "stale" == begin(store, message).verdict
        self.advance(store, 190_000)
        assert [] == take(store)
        self.advance(store, 10_000)
        assert [message.copy(seq=2)] == take(store)

    def test_delay_that_is_over_is_none(self, store: Store) -> None:
        """It is the caller's to publish."""
        assert Adopted("READY", 2) == adopt(store, a_message(), store.now_ms() - 1)

    @pytest.mark.parametrize("due_in_ms", [0, 20_000])
    def test_asked_again_it_is_known(self, store: Store, due_in_ms: int) -> None:
        """A caller that was killed asks for the same copy again: nothing changes."""
        message = a_message()
        due_ms = store.now_ms() + due_in_ms if due_in_ms else 0
        adopt(store, message, due_ms)
        before = look(store, message)

        assert Adopted("KNOWN") == adopt(store, message, due_ms)

        assert before == look(store, message)

    def test_copy_that_comes_again_after_its_end_is_known(self, store: Store) -> None:
        """Also three hours later: its marker stays as long as that of what was published twice."""
        message = a_message()
        adopt(store, message)
        store.outbox.mark([(message.id, 2)])
        run(store, message.copy(seq=2))

        self.advance(store, 3 * 3_600_000)

        assert Adopted("KNOWN") == adopt(store, message)

    def test_message_that_the_engine_owns_is_taken_back(self, store: Store) -> None:
        """One of ours that was delayed or retried: its number grows, its record stays."""
        message = a_message()
        store.outbox.put([message], 0)
        (copy,) = publish(store)

        assert Adopted("READY", 2) == adopt(store, copy)
        assert Adopted("KNOWN") == adopt(store, copy)

        store.outbox.mark([(message.id, 2)])
        assert "run" == begin(store, message.copy(seq=2)).verdict

    def test_old_copy_of_what_the_engine_owns_is_known(self, store: Store) -> None:
        """The newer one is taken, wherever it is."""
        message = a_message()
        store.outbox.put([message], 0)
        publish(store)
        begin(store, message)
        finish(store, message, state="READY")
        publish(store)

        assert Adopted("KNOWN") == adopt(store, message)
        assert ("OUT", 2) == state(store, message)

    @pytest.mark.parametrize("ended", ["RUN", "DONE", "DEAD", "DELAYED", "PARKED"])
    def test_message_that_has_gone_on_is_known(self, store: Store, ended: str) -> None:
        """What runs, waits in the store or has ended has another owner."""
        message = a_message()
        begin(store, message)
        if ended != "RUN":
            finish(store, message, state=ended, due_ms=60_000, group=message.task)
        before = look(store, message)

        assert Adopted("KNOWN") == adopt(store, message)

        assert before == look(store, message)
