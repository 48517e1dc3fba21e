"""The laws of the parked: what no worker knows waits for one that does, and not for ever."""

from __future__ import annotations

from ...message import Message, encode
from ...store import Store
from ..fakes import a_message
from .steps import Laws, begin, look, publish, run, state, take

DAY_MS = 24 * 3_600_000


def park(store: Store, message: Message, group: str, for_ms: int = DAY_MS) -> None:
    """Let a worker find that it does not know the message's task."""
    run(store, message, "c1", "PARKED", ran=False, due_ms=for_ms, group=group, why=f"no {group} here")


class ParkedLaws(Laws):
    """``groups``, ``release`` and ``overdue``."""

    def test_parked_message_costs_nothing(self, store: Store) -> None:
        """What is parked is neither due nor running; its group tells how many wait."""
        messages = [a_message() for _ in range(3)]
        for message, group in zip(messages, ("new.task", "new.task", "mail.send currency"), strict=True):
            park(store, message, group)

        assert {"new.task": 2, "mail.send currency": 1} == store.parked.groups()
        assert {("mail", "PARKED"): 3} == store.messages.counts()
        assert [] == take(store)
        assert [] == store.messages.running()
        record = look(store, messages[0])
        assert ("PARKED", 2, "new.task", "no new.task here") == (record.state, record.seq, record.group, record.why)

    def test_old_copy_of_a_parked_message_is_stale(self, store: Store) -> None:
        """A redelivery of the copy that was parked is acknowledged, and the message waits on."""
        message = a_message()
        park(store, message, "new.task")

        assert "stale" == begin(store, message, "c2").verdict

        assert ("PARKED", 2) == state(store, message)

    def test_released_message_is_ready_again(self, store: Store) -> None:
        """When a worker that knows it has come, a message is published under its new number, no attempt spent."""
        message, other = a_message(), a_message()
        park(store, message, "new.task")
        park(store, other, "other.task")

        assert 1 == store.parked.release("new.task", 100)

        (copy,) = publish(store)
        assert (message.id, 3, 1) == (copy.id, copy.seq, copy.attempt)
        assert {"other.task": 1} == store.parked.groups()
        assert "run" == begin(store, copy, "c2").verdict

    def test_release_takes_the_longest_parked_first(self, store: Store) -> None:
        """A release takes no more than it is asked to; repeated, it goes on."""
        messages = [a_message() for _ in range(3)]
        for message in messages:
            park(store, message, "new.task")
            self.advance(store, 1_000)

        released = [store.parked.release("new.task", limit) for limit in (0, 2)]

        assert [0, 2] == released
        assert ["READY", "READY", "PARKED"] == [look(store, message).state for message in messages]
        assert [1, 0] == [store.parked.release("new.task", 2) for _ in range(2)]
        assert {} == store.parked.groups()

    def test_release_of_nobody(self, store: Store) -> None:
        """A group in which nobody waits releases none."""
        assert 0 == store.parked.release("new.task", 100)
        assert {} == store.parked.groups()

    def test_overdue_message_is_dead(self, store: Store) -> None:
        """What no worker came for is among the dead letters, body and reason with it."""
        late, early = a_message(), a_message()
        park(store, late, "new.task", for_ms=3_600_000)
        park(store, early, "new.task", for_ms=DAY_MS)
        self.advance(store, 3_600_001)

        assert [late.id] == store.parked.overdue(10)

        record = look(store, late)
        assert ("DEAD", encode(late)) == (record.state, record.body)
        assert "new.task" in record.why
        assert {"new.task": 1} == store.parked.groups()
        assert [] == store.parked.overdue(10)

    def test_overdue_takes_no_more_than_asked(self, store: Store) -> None:
        """The rest comes with the next call."""
        for _ in range(3):
            park(store, a_message(), "new.task", for_ms=1_000)
        self.advance(store, 1_001)

        assert [2, 1, 0] == [len(store.parked.overdue(2)) for _ in range(3)]
        assert {("mail", "DEAD"): 3} == store.messages.counts()

    def test_overdue_message_may_be_replayed(self, store: Store) -> None:
        """A worker that came too late still gets it, by hand."""
        message = a_message()
        park(store, message, "new.task", for_ms=1_000)
        self.advance(store, 1_001)
        store.parked.overdue(10)

        assert store.dead.replay(message.id)

        assert [message.copy(seq=3)] == publish(store)
