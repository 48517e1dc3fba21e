"""The laws of the dead letters: seen, replayed, purged, never lost."""

from __future__ import annotations

from ...message import encode
from ...store import Store
from ..fakes import a_message
from .steps import Laws, begin, finish, look, publish, run, state, take

#: Bytes that are no message, and no text.
BYTES = b"\x00\xff{not json\r\n\x80"


class DeadLaws(Laws):
    """``bury``, ``list``, ``replay`` and ``purge``."""

    def test_bytes_that_are_no_message_are_kept_as_they_are(self, store: Store) -> None:
        """What cannot be read is buried byte for byte, with its queue and the reason."""
        store.dead.bury("raw-1", "mail", BYTES, "no JSON")

        (record,) = store.dead.list(10)
        assert ("raw-1", "mail", BYTES, "no JSON") == (record.id, record.queue, record.body, record.why)
        assert {("mail", "DEAD"): 1} == store.messages.counts()

    def test_bytes_are_buried_once(self, store: Store) -> None:
        """Burying again what was buried, or was purged since, changes nothing."""
        store.dead.bury("raw-1", "mail", BYTES, "no JSON")
        store.dead.bury("raw-1", "mail", b"other", "other")
        before = store.dead.list(10)
        store.dead.purge("raw-1")
        store.dead.bury("raw-1", "mail", BYTES, "no JSON")

        assert [BYTES] == [record.body for record in before]
        assert [] == store.dead.list(10)

    def test_bytes_are_not_replayed(self, store: Store) -> None:
        """What is no message no engine could carry: it is seen and purged, not sent."""
        store.dead.bury("raw-1", "mail", BYTES, "no JSON")

        assert not store.dead.replay("raw-1")

        assert [] == take(store)
        assert [BYTES] == [record.body for record in store.dead.list(10)]

    def test_known_message_is_not_buried(self, store: Store) -> None:
        """Bytes under the id of a message that lives do it no harm."""
        message = a_message()
        begin(store, message)

        store.dead.bury(message.id, "mail", BYTES, "no JSON")

        assert "ok" == finish(store, message)

    def test_newest_dead_letter_comes_first(self, store: Store) -> None:
        """The list is read page by page, from the latest death on."""
        messages = [a_message() for _ in range(5)]
        for message in messages:
            run(store, message, "c1", "DEAD", why="OSError")
            self.advance(store, 1_000)

        pages = [[record.id for record in store.dead.list(2, offset)] for offset in (0, 2, 4, 6)]

        newest = [message.id for message in reversed(messages)]
        assert [newest[:2], newest[2:4], newest[4:], []] == pages
        assert [] == store.dead.list(0)

    def test_replayed_message_begins_anew(self, store: Store) -> None:
        """A replay puts attempts and crashes back at the start, under a new number, and no reason stays."""
        message = a_message()
        begin(store, message, max_crashes=0)
        store.claims.lose(message.id, "c1")

        assert store.dead.replay(message.id)

        record = look(store, message)
        assert ("READY", 2, 1, 0, "") == (record.state, record.seq, record.attempt, record.crashes, record.why)
        (copy,) = publish(store)
        assert (encode(message.copy(seq=2)), 1) == (encode(copy), copy.attempt)
        assert "run" == begin(store, copy, "c2").verdict
        assert "ok" == finish(store, copy, "c2")

    def test_replay_forgets_the_spent_attempts(self, store: Store) -> None:
        """A message that died of its last attempt has all of them again."""
        message = a_message()
        run(store, message, "c1", "READY", counted=True)
        run(store, message.copy(seq=2), "c2", "DEAD", why="OSError", traceback="Traceback ...")

        store.dead.replay(message.id)

        assert 1 == begin(store, message.copy(seq=3), "c3").attempt
        assert "" == look(store, message).traceback

    def test_replay_happens_once(self, store: Store) -> None:
        """A replay that is repeated, or of what is not dead, says False and changes nothing."""
        message, running = a_message(), a_message()
        run(store, message, "c1", "DEAD")
        begin(store, running)

        assert [True, False] == [store.dead.replay(message.id) for _ in range(2)]
        assert not store.dead.replay(running.id)
        assert not store.dead.replay("nobody")

        assert [("READY", 2), ("RUN", 1)] == [state(store, message), state(store, running)]

    def test_purged_message_goes_on_being_recognised(self, store: Store) -> None:
        """What was purged is listed no more, keeps no body, and a copy of it does not run."""
        message = a_message()
        run(store, message, "c1", "DEAD", why="OSError")

        assert store.dead.purge(message.id)

        assert [] == store.dead.list(10)
        assert ("DONE", b"") == (look(store, message).state, look(store, message).body)
        assert "settled" == begin(store, message, "c2").verdict
        assert {} == store.messages.counts()

    def test_purge_happens_once(self, store: Store) -> None:
        """A purge that is repeated, or of what is not dead, says False and changes nothing."""
        message, running = a_message(), a_message()
        run(store, message, "c1", "DEAD")
        begin(store, running)

        assert [True, False] == [store.dead.purge(message.id) for _ in range(2)]
        assert not store.dead.purge(running.id)
        assert not store.dead.purge("nobody")

        assert ("RUN", 1) == state(store, running)

    def test_dead_letter_has_no_end(self, store: Store) -> None:
        """However long nobody looks, a dead letter is there, and recognises copies."""
        message = a_message()
        run(store, message, "c1", "DEAD", why="OSError")

        self.advance(store, 365 * 24 * 3_600_000)

        assert [message.id] == [record.id for record in store.dead.list(10)]
        assert "settled" == begin(store, message, "c2").verdict
        assert [] == take(store)
