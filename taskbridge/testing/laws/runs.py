"""The laws of runs: the next chunk is there in the step that ends the one before, and never are two of a run alive."""

from __future__ import annotations

import pytest
from msgspec import Raw

from ...message import Message
from ...store import Store
from ..fakes import a_message
from .chunks import BOUNDS, a_run, after, alive, coming, ends, enqueue, follow, goes_on, open_run, seen, start
from .chunks import DAY_MS as DAY
from .steps import Laws, begin, finish, look, publish, run, state

SECOND = 1_000


class RunLaws(Laws):
    """``runs.open``, and ``finish`` with what a chunk came to."""

    def test_run_is_what_its_first_chunk_says(self, store: Store) -> None:
        """Its id is that of the message which begins it; everything said is seen."""
        first = start(store, max_backlog=5, pause_ms=2_000)

        found = seen(store, first)

        assert (first.id, "tests.walk", "walks") == (found.id, found.task, found.queue)
        assert (BOUNDS, Raw(b"0"), 100) == (found.bounds, found.at, found.total)
        assert (5, 2_000) == (found.max_backlog, found.pause_ms)
        assert ("running", False, first.id, 0, 0, 0) == (
            *(found.state, found.paused, found.current, found.chunk, found.done, found.open),
        )
        assert abs(store.now_ms() - found.started_ms) < 60_000
        assert [found] == store.runs.newest(10)

    def test_bounds_that_were_said_first_hold(self, store: Store) -> None:
        """The first chunk dies and begins again when the table has grown: its bounds have not."""
        first = start(store)
        store.claims.lose(first.id, "c0")
        again = follow(store, "c1")

        said = open_run(store, again, "c1", bounds=Raw(b'{"more":1}'), total=7)

        assert (BOUNDS, 100) == (said, seen(store, first).total)

    def test_only_a_claim_that_stands_opens_a_run(self, store: Store) -> None:
        """A worker that has lost its claim is told so, and changes nothing."""
        message = a_run()
        begin(store, message, "c0")
        store.claims.lose(message.id, "c0")

        assert open_run(store, message, "c0") is None
        begin(store, message.copy(seq=2), "c1")
        assert open_run(store, message, "c0") is None
        assert store.runs.look(message.id) is None

    def test_next_chunk_exists_when_the_one_before_has_ended(self, store: Store) -> None:
        """In the same step: whoever looks finds the one or the other, and one of them is alive."""
        first = start(store)

        assert "ok" == goes_on(store, first, "c0")

        second = after(first)
        assert ("DONE", ("READY", 1)) == (look(store, first).state, state(store, second))
        found = seen(store, first)
        assert (second.id, 1, 10, Raw(b"10"), "running") == (
            *(found.current, found.chunk, found.done, found.at, found.state),
        )
        (due,) = store.outbox.take(10)
        assert (second.id, 1, True) == (due.id, due.seq, due.fresh_ms > 0)

    def test_last_chunk_ends_the_run(self, store: Store) -> None:
        """Then it is done, looked at for a day, and forgotten."""
        first = start(store)
        goes_on(store, first, "c0")
        ends(store, follow(store, "c1"), "c1")

        done = seen(store, first)
        assert ("done", 20, 1, "") == (done.state, done.done, done.chunk, done.error)
        assert 0 < done.ended_ms <= store.now_ms()
        assert [] == alive(store, first.id)
        self.advance(store, DAY - 60_000)
        assert "done" == seen(store, first).state
        self.advance(store, 60_001)
        assert store.runs.look(first.id) is None
        assert [] == store.runs.newest(10)

    def test_end_without_a_word_of_the_chunk_ends_the_run(self, store: Store) -> None:
        """A task that drops its chunk drops its run."""
        first = start(store)

        finish(store, first, "c0", why="dropped: no more")

        assert ("dropped", "dropped: no more") == (seen(store, first).state, seen(store, first).error)

    def test_message_of_its_own_is_no_chunk(self, store: Store) -> None:
        """What never opened a run makes none by what it came to."""
        message = a_run()
        begin(store, message, "c0")

        assert "ok" == goes_on(store, message, "c0")

        assert store.messages.look(after(message).id) is None
        assert store.runs.look(message.id) is None

    def test_lapsed_claim_that_nobody_took_goes_on(self, store: Store) -> None:
        """It is still its own."""
        first = start(store)
        self.advance(store, 10 * 60 * SECOND)

        assert "ok" == goes_on(store, first, "c0")
        assert ["READY"] == alive(store, first.id)

    def test_failed_chunk_stops_its_run_visibly(self, store: Store) -> None:
        """It is a dead letter, and the run says why; no next chunk is made."""
        first = start(store)
        goes_on(store, first, "c0")
        second = follow(store, "c1")

        finish(store, second, "c1", "DEAD", why="OSError: away")

        found = seen(store, first)
        assert ("failed", "OSError: away", second.id, 10) == (found.state, found.error, found.current, found.done)
        assert found.ended_ms > 0
        assert [second.id] == [record.id for record in store.dead.list(10)]
        assert [] == alive(store, first.id)

    @pytest.mark.parametrize("how", ["crashes", "parked too long"])
    def test_every_death_of_a_chunk_fails_its_run(self, store: Store, how: str) -> None:
        """Not only what its worker says."""
        first = start(store)
        if how == "crashes":
            for n in range(4):
                store.claims.lose(first.id, f"c{n}")
                if copy := coming(store):
                    begin(store, copy, f"c{n + 1}")
        else:
            finish(store, first, "c0", "PARKED", ran=False, due_ms=0, group="g")
            self.advance(store, 1)
            store.parked.overdue(10)

        assert ("failed", look(store, first).why) == (seen(store, first).state, seen(store, first).error)

    def test_replay_revives_the_run(self, store: Store) -> None:
        """It goes on where it failed, and may fail again."""
        first = start(store)
        goes_on(store, first, "c0")
        finish(store, follow(store, "c1"), "c1", "DEAD", why="no")

        assert store.dead.replay(after(first).id)

        revived = seen(store, first)
        assert ("running", "", 0) == (revived.state, revived.error, revived.ended_ms)
        again = follow(store, "c2")
        assert (after(first).id, 2) == (again.id, again.seq)
        assert "mine" == goes_on(store, again, "c1")
        goes_on(store, again, "c2")
        assert not store.dead.replay(again.id)
        assert (["READY"], 2, 20) == (alive(store, first.id), seen(store, first).chunk, seen(store, first).done)
        finish(store, follow(store, "c3"), "c3", "DEAD", why="again")
        assert ("failed", "again") == (seen(store, first).state, seen(store, first).error)

    def test_failed_run_is_there_as_long_as_its_dead_letter(self, store: Store) -> None:
        """After months it can be replayed, and knows what it had enqueued; purged, it is forgotten in a day."""
        first, mail = start(store, pause_ms=1), a_message()
        enqueue(store, first, "c0", mail)
        run(store, publish(store)[0], "m")
        finish(store, first, "c0", "DEAD", why="no")
        self.advance(store, 100 * DAY)

        assert "failed" == seen(store, first).state
        assert store.dead.replay(first.id)
        again = follow(store, "c1")
        assert [False] == enqueue(store, again, "c1", mail)
        goes_on(store, again, "c1")
        self.advance(store, 1)
        finish(store, follow(store, "c2"), "c2", "DEAD", why="no")
        assert store.dead.purge(after(first).id)
        assert "failed" == seen(store, first).state
        self.advance(store, DAY + 1)
        assert store.runs.look(first.id) is None

    def test_pause_is_from_start_to_start(self, store: Store) -> None:
        """Neither the length of a chunk nor that it begins late shifts the next: no drift, however many."""
        chunk = start(store, pause_ms=300 * SECOND)
        self.advance(store, 100 * SECOND)
        for n in range(5):
            goes_on(store, chunk, f"c{n}")
            due_in_ms = 175_000 if n else 200_000
            assert "DELAYED" == look(store, after(chunk)).state
            assert abs(due_in(store, after(chunk)) - due_in_ms) < 10_000
            self.advance(store, due_in_ms + 25 * SECOND)
            chunk = follow(store, f"c{n + 1}")
            self.advance(store, 100 * SECOND)

    def test_long_chunk_is_followed_at_once(self, store: Store) -> None:
        """And its delay is not caught up by shorter pauses."""
        first = start(store, pause_ms=300 * SECOND)
        self.advance(store, 3_000 * SECOND)
        goes_on(store, first, "c0")
        assert "READY" == look(store, after(first)).state

        second = follow(store, "c1")
        self.advance(store, 50 * SECOND)
        goes_on(store, second, "c1")

        assert abs(due_in(store, after(second)) - 250_000) < 10_000

    def test_newest_first(self, store: Store) -> None:
        """As they began, whether they have ended or not; no more than asked for."""
        runs = []
        for n in range(3):
            runs.append(start(store, f"c{n}"))
            self.advance(store, 10)
        ends(store, runs[2], "c2")

        assert [runs[2].id, runs[1].id] == [state.id for state in store.runs.newest(2)]

    def test_run_of_any_length_is_kept(self, store: Store) -> None:
        """A run that goes on for months is known, and listed."""
        first = start(store)
        self.advance(store, 100 * DAY)
        other = start(store, "c1")

        assert [other.id, first.id] == [state.id for state in store.runs.newest(10)]
        assert "ok" == goes_on(store, first, "c0")


def due_in(store: Store, chunk: Message) -> int:
    """How long until a chunk is due, ms."""
    return look(store, chunk).at_ms - store.now_ms()
