"""The laws of the outbox: nothing leaves before it is published, nothing comes early."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Self

import pytest

from ...clock import SystemClock
from ...message import Message, encode
from ...store import RELAY_LEASE_MS, Store
from ..fakes import a_message
from .steps import Laws, begin, finish, look, publish, run, state, take

#: A wait that ends by itself within this was ended by something else than its own timeout, seconds.
SOON_S, LONG_S = 5.0, 30.0


class OutboxLaws(Laws):
    """``put``, ``take`` and ``mark``."""

    def test_ready_message_is_taken_at_once(self, store: Store) -> None:
        """What has no wait is due, as it was put."""
        message = a_message()

        assert [True] == store.outbox.put([message], 0)

        (due,) = store.outbox.take(10)
        assert (message.id, 1, 1, encode(message)) == (due.id, due.seq, due.attempt, due.body)
        assert "READY" == look(store, message).state

    def test_delayed_message_is_never_early(self, store: Store) -> None:
        """What waits is not due before its instant, and is at it."""
        message = a_message()
        store.outbox.put([message], 100_000)

        assert ("DELAYED", 1) == state(store, message)
        self.advance(store, 90_000)
        assert [] == take(store)
        self.advance(store, 10_000)
        assert [message] == take(store)

    def test_trips_are_kept_one_after_another(self, store: Store) -> None:
        """Each is answered in its turn, as if it were alone; what is known is left alone."""
        trips = [[a_message(), a_message()], [a_message()]]

        answers = list(store.outbox.put_all([*trips, trips[0]], 20_000))

        assert [[True, True], [True], [False, False]] == answers
        self.advance(store, 20_000)
        assert {one.id for trip in trips for one in trip} == {one.id for one in take(store)}

    def test_who_makes_a_trip_may_ask_the_store(self, store: Store) -> None:
        """In the same thread, while the trip before is under way: no answer goes to another's question."""
        first, second, aside = a_message(), a_message(), a_message()

        def trips() -> Iterator[list[Message]]:
            yield [first]
            assert [True] == store.outbox.put([aside], 0)
            assert "READY" == look(store, first).state
            yield [second, aside]

        assert [[True], [True, False]] == list(store.outbox.put_all(trips(), 0))

    def test_trips_that_end_early_do_no_harm(self, store: Store) -> None:
        """What was asked for is kept, and the next answer is of the next question."""
        first = a_message()

        def trips() -> Iterator[list[Message]]:
            yield [first]
            raise ValueError("no more users")

        with pytest.raises(ValueError, match="no more users"):
            list(store.outbox.put_all(trips(), 0))

        assert "READY" == look(store, first).state
        assert [False] == store.outbox.put([first], 0)

    @pytest.mark.parametrize("where", ["READY", "OUT", "RUN", "DONE", "DEAD", "PARKED"])
    def test_known_message_is_left_alone(self, store: Store, where: str) -> None:
        """A put that is repeated, however late, finds the message and changes nothing."""
        message = a_message()
        store.outbox.put([message], 0)
        if where != "READY":
            publish(store)
        if where not in {"READY", "OUT"}:
            begin(store, message)
        if where in {"DONE", "DEAD", "PARKED"}:
            finish(store, message, state=where, due_ms=60_000)
        before, counts = look(store, message), store.messages.counts()

        assert [False] == store.outbox.put([message], 60_000)

        assert where == before.state
        assert (before, counts) == (look(store, message), store.messages.counts())

    def test_put_answers_one_by_one(self, store: Store) -> None:
        """In one put each message has its own answer; a message that comes twice is new once."""
        known, new = a_message(), a_message()
        store.outbox.put([known], 0)

        assert [True, False, False] == store.outbox.put([new, known, new], 0)
        assert [] == store.outbox.put([], 0)

        assert {("mail", "READY"): 2} == store.messages.counts()

    def test_put_of_very_many(self, store: Store) -> None:
        """A put may be as long as memory allows."""
        messages = [a_message() for _ in range(2_500)]

        assert [True] * 2_500 == store.outbox.put(messages, 0)

        assert {("mail", "READY"): 2_500} == store.messages.counts()
        assert 2_500 == len(store.outbox.take(3_000))

    def test_oldest_is_taken_first(self, store: Store) -> None:
        """Of what is due the oldest comes first, and no more than asked for."""
        messages = [a_message() for _ in range(3)]
        for message in messages:
            store.outbox.put([message], 0)
            self.advance(store, 1_000)

        taken = [[due.id for due in store.outbox.take(limit)] for limit in (2, 0, 2)]

        first, second, third = (message.id for message in messages)
        assert [[first, second], [], [third]] == taken

    def test_taken_message_is_leased(self, store: Store) -> None:
        """What one relay has taken no other takes, until its lease is over: a relay that dies loses nothing."""
        message = a_message()
        store.outbox.put([message], 0)

        assert [message] == take(store)
        assert [] == take(store)
        assert "READY" == look(store, message).state

        self.advance(store, RELAY_LEASE_MS + 1)
        assert [message] == take(store)

    def test_marked_message_is_the_engines(self, store: Store) -> None:
        """What was published and marked is taken no more, however long the engine keeps it."""
        message = a_message()
        store.outbox.put([message], 0)

        assert [message] == publish(store)

        self.advance(store, 365 * 24 * 3_600_000)
        assert [] == take(store)
        assert ("OUT", 1) == state(store, message)
        assert encode(message) == look(store, message).body
        assert {} == store.messages.counts()

    def test_mark_may_be_repeated(self, store: Store) -> None:
        """A mark of what was marked, is unknown, or was never put changes nothing."""
        message = a_message()
        store.outbox.put([message], 0)
        publish(store)

        store.outbox.mark([(message.id, 1), ("nobody", 1)])
        store.outbox.mark([])

        assert ("OUT", 1) == state(store, message)
        assert store.messages.look("nobody") is None

    def test_mark_ends_a_message_that_was_not_taken(self, store: Store) -> None:
        """Who published by himself, without the relay, marks; the relay then finds nothing."""
        message = a_message()
        store.outbox.put([message], 60_000)

        store.outbox.mark([(message.id, 1)])

        self.advance(store, 60_001)
        assert [] == take(store)


class WaitLaws(Laws):
    """``wait``: the relay sleeps, and is woken. These take real time."""

    def test_wait_ends_by_itself(self, store: Store) -> None:
        """Where nothing comes, a wait takes as long as was asked, not for ever."""
        assert 0.1 <= waited_s(store, 0.1) < SOON_S

    def test_wait_for_no_time_at_all(self, store: Store) -> None:
        """The shortest wait is short."""
        assert waited_s(store, 0.0001) < SOON_S

    def test_wait_does_not_begin_where_something_is_due(self, store: Store) -> None:
        """What is due already is not waited for."""
        store.outbox.put([a_message()], 0)

        assert waited_s(store, LONG_S) < SOON_S

    def test_wait_ends_at_the_next_instant(self, store: Store) -> None:
        """A wait ends when the first delayed message is due."""
        store.outbox.put([a_message()], 600_000)
        store.outbox.put([a_message()], 200)
        waited_s(store, 0.001)

        assert waited_s(store, LONG_S) < SOON_S

    def test_ready_message_ends_a_wait(self, store: Store) -> None:
        """A message that becomes ready wakes the relay."""
        message = a_message()
        begin(store, message)

        with Waiting(store) as waiting:
            store.claims.lose(message.id, "c1")

        assert waiting.s < SOON_S

    def test_retry_that_is_due_sooner_ends_a_wait(self, store: Store) -> None:
        """A message that goes back among the delayed while the relay waits for a later one is in time."""
        store.outbox.put([a_message()], 600_000)
        message = a_message()
        begin(store, message)

        with Waiting(store) as waiting:
            finish(store, message, state="DELAYED", due_ms=200)

        assert waiting.s < SOON_S

    def test_delayed_messages_that_are_due_sooner_end_a_wait(self, store: Store) -> None:
        """Messages put among the delayed while the relay waits for a later one are in time."""
        store.outbox.put([a_message()], 600_000)

        with Waiting(store) as waiting:
            store.outbox.put([a_message() for _ in range(20)], 200)

        assert waiting.s < SOON_S

    def test_marked_message_is_not_waited_for(self, store: Store) -> None:
        """What the engine has, or has run, ends no wait."""
        message = a_message()
        store.outbox.put([message], 0)
        publish(store)
        run(store, message)
        waited_s(store, 0.05)

        assert waited_s(store, 0.1) >= 0.1


class Waiting:
    """A relay that waits on a thread of its own while the block runs; ``s`` is how long it did."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self.s = 0.0

    def __enter__(self) -> Self:
        waited_s(self._store, 0.001)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(LONG_S + SOON_S)

    def _wait(self) -> None:
        self.s = waited_s(self._store, LONG_S)


def waited_s(store: Store, timeout_s: float) -> float:
    """Wait, and return how long it took."""
    clock = SystemClock()
    start_s = clock.monotonic_s()
    store.outbox.wait(timeout_s)
    return clock.monotonic_s() - start_s
