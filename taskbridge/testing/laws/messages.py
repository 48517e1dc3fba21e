"""The laws of looking: what is shown is what is so."""

from __future__ import annotations

from collections.abc import Callable

from ...store import LEASE_MS, Store
from ..fakes import a_message
from .steps import Laws, begin, finish, look, publish, recount, run

#: How far the store's clock may run on between two calls of a test (ms).
NEAR_MS = 60_000


class MessagesLaws(Laws):
    """``look``, ``counts`` and ``running``."""

    def test_unknown_message_is_none(self, store: Store) -> None:
        """A store that is new knows nothing and counts nothing."""
        assert store.messages.look("nobody") is None
        assert {} == store.messages.counts()
        assert [] == store.messages.running()

    def test_instant_tells_what_comes_next(self, store: Store) -> None:
        """``at_ms`` is when it is due, when its lease ends, when it died, or until when it is parked."""
        waits_ms = {"DELAYED": 10 * NEAR_MS, "READY": 0, "PARKED": 50 * NEAR_MS, "DEAD": 0}
        for end, wait_ms in waits_ms.items():
            message = a_message()
            run(store, message, "c1", end, due_ms=wait_ms)
            assert abs(look(store, message).at_ms - store.now_ms() - wait_ms) < NEAR_MS / 10

        running = a_message()
        begin(store, running)
        assert abs(look(store, running).at_ms - store.now_ms() - LEASE_MS) < NEAR_MS / 10

    def test_begun_message_tells_since_when(self, store: Store) -> None:
        """``begun_ms`` is when it was last begun, and nothing before that."""
        message = a_message()
        store.outbox.put([message], 0)
        assert 0 == look(store, message).begun_ms

        begin(store, message)

        assert abs(look(store, message).begun_ms - store.now_ms()) < NEAR_MS / 10

    def test_looking_changes_nothing(self, store: Store) -> None:
        """Who looks twice sees the same."""
        message = a_message()
        store.outbox.put([message], 60_000)

        assert look(store, message) == look(store, message)

    def test_running_shows_the_first_to_lapse_first(self, store: Store) -> None:
        """The claims that stand, with their messages, in the order of their leases."""
        messages = [a_message() for _ in range(3)]
        for n, message in enumerate(messages):
            begin(store, message, f"c{9 - n}")
            self.advance(store, 1_000)
        store.claims.renew([(messages[0].id, "c9")])
        finish(store, messages[1], "c8")

        running = store.messages.running()

        assert [(messages[2].id, "c7"), (messages[0].id, "c9")] == [(record.id, record.claim) for record in running]
        assert running == [look(store, messages[2]), look(store, messages[0])]

    def test_names_may_be_strange(self, store: Store) -> None:
        """Ids, queues and groups of foreign producers may hold spaces, braces, colons and any letter."""
        message = a_message(id="a b {c}:d é#0", queue="q q:é")
        store.outbox.put([message], 0)
        (copy,) = publish(store)

        assert "run" == begin(store, copy).verdict
        assert [message.id] == [record.id for record in store.messages.running()]
        assert [message.id] == self.a_lease_passes(store)
        run(store, message.copy(seq=2), "c2", "PARKED", due_ms=60_000, group="g é: h")

        assert {("q q:é", "PARKED"): 1} == store.messages.counts()
        assert {"g é: h": 1} == store.parked.groups()
        assert 1 == store.parked.release("g é: h", 10)

    def test_counts_equal_a_recount_after_every_step(self, store: Store) -> None:
        """Whatever happens to messages, what is counted is what is there."""
        one, two, three = messages = [a_message(queue=queue) for queue in ("mail", "mail", "slow")]
        steps: list[Callable[[], object]] = [
            lambda: store.outbox.put([one, two], 0),
            lambda: store.outbox.put([one, three], 60_000),
            lambda: publish(store),
            lambda: run(store, one, "c1", "DELAYED", counted=True, due_ms=60_000),
            lambda: run(store, two, "c2", "PARKED", due_ms=60_000, group="g"),
            lambda: run(store, three, "c3", "DEAD", why="OSError"),
            lambda: run(store, one.copy(seq=2, queue="urgent"), "c4", "READY"),
            lambda: store.parked.release("g", 10),
            lambda: begin(store, two.copy(seq=3), "c5", max_crashes=0),
            lambda: store.claims.lose(two.id, "c5"),
            lambda: store.dead.replay(two.id),
            lambda: store.dead.replay(three.id),
            lambda: publish(store),
            lambda: run(store, three.copy(seq=2), "c6", "PARKED", due_ms=1_000, group="g"),
            lambda: begin(store, two.copy(seq=4), "c7"),
            lambda: self.a_lease_passes(store),
            lambda: store.parked.overdue(10),
            lambda: store.dead.purge(three.id),
            lambda: run(store, one.copy(seq=3, queue="urgent"), "c8"),
            lambda: run(store, two.copy(seq=5), "c9"),
        ]
        for step in steps:
            step()
            assert recount(store, messages) == store.messages.counts()

        assert {} == store.messages.counts()
        assert {} == store.parked.groups()
