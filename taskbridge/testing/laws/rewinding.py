"""The laws of rewinding a run: from a place of rest to another, once, in a chunk of its own."""

from __future__ import annotations

import pytest
from msgspec import Raw

from ...message import Message
from ...store import Store
from ..fakes import a_message
from .chunks import DAY_MS, after, alive, ends, enqueue, follow, goes_on, seen, start
from .run_needs import held, now_at
from .steering import HOUR_MS, WAITS, A, all_wait_is_over, brought_to
from .steps import Laws, begin, finish, look, publish, run


class RewindLaws(Laws):
    """``rewind``."""

    @pytest.mark.parametrize("how", ["RUN", *WAITS, "PARKED"])
    def test_only_what_is_paused_or_has_failed_is_rewound(self, store: Store, how: str) -> None:
        """A run that goes on is left alone, also one that waits for its backlog."""
        first = brought_to(store, how)
        standing = now_at(store, first).id

        assert "running" == rewind(store, first)

        found = seen(store, first)
        assert (standing, 0) == (found.current, found.round)
        assert "unknown" == store.runs.rewind("nobody", "nobody", first, at=Raw(b"0"), done=0)

    @pytest.mark.parametrize("how", [*WAITS, "PARKED"])
    def test_paused_run_goes_on_from_elsewhere(self, store: Store, how: str) -> None:
        """In a chunk of its own, when it is resumed; the one that stood never comes again. The lock stays the run's."""
        first = brought_to(store, how)
        store.runs.steer(first.id, "pause")
        old = look(store, now_at(store, first))

        assert "ok" == rewind(store, first)

        found = seen(store, first)
        assert (1, Raw(b"0"), 0, True) == (found.round, found.at, found.done, found.paused)
        assert (["HELD"], old.id) == (alive(store, first.id), old.id)
        assert "settled" == begin(store, now_at(store, first).copy(id=old.id, seq=old.seq), "late").verdict
        all_wait_is_over(self, store)
        store.runs.steer(first.id, "resume")
        chunk = follow(store, "r", locks=(A,))
        assert found.current == chunk.id != old.id
        assert {"a": (chunk.id,)} == held(store)
        goes_on(store, chunk, "r")
        assert (1, 10) == (len(alive(store, first.id)), seen(store, first).done)

    def test_paused_chunk_that_runs_is_not_rewound(self, store: Store) -> None:
        """It would go on beside the new one."""
        first = start(store)
        store.runs.steer(first.id, "pause")

        assert "running" == rewind(store, first)
        assert ["RUN"] == alive(store, first.id)

    def test_failed_run_goes_on_from_elsewhere(self, store: Store) -> None:
        """Its dead letter is gone, and cannot be replayed beside it."""
        first = start(store, unique="until_done")
        goes_on(store, first, "c0")
        finish(store, follow(store, "c1"), "c1", "DEAD", why="no")

        assert "ok" == rewind(store, first)

        found = seen(store, first)
        assert ("running", "", 0, 2, 0) == (found.state, found.error, found.done, found.chunk, found.ended_ms)
        assert not store.dead.replay(after(first).id)
        assert {("walks", "READY"): 1} == store.messages.counts()
        chunk = follow(store, "c2")
        assert (f"{first.id}:2", ["RUN"]) == (chunk.id, alive(store, first.id))

    def test_cancelled_run_that_failed_goes_on_when_rewound(self, store: Store) -> None:
        """The later word counts."""
        first = start(store)
        store.runs.steer(first.id, "cancel")
        finish(store, first, "c0", "DEAD", why="no")
        rewind(store, first)

        goes_on(store, follow(store, "c1"), "c1")

        assert ["READY"] == alive(store, first.id)

    def test_rewind_of_what_has_gone_on_is_refused(self, store: Store) -> None:
        """Two operators, or one whose reply was lost: the second finds another chunk."""
        first = brought_to(store, "READY")
        store.runs.steer(first.id, "pause")
        current = seen(store, first).current
        rewind(store, first)

        assert "running" == store.runs.rewind(first.id, current, after(first, by=3), at=Raw(b"0"), done=0)
        assert (1, 2, ["HELD"]) == (seen(store, first).round, seen(store, first).chunk, alive(store, first.id))

    @pytest.mark.parametrize("how", ["done", "cancelled", "purged"])
    def test_what_has_ended_is_not_rewound(self, store: Store, how: str) -> None:
        """A new run does the same, with nothing to be mistaken for."""
        first = start(store)
        if how == "done":
            ends(store, first, "c0")
        elif how == "cancelled":
            store.runs.steer(first.id, "cancel")
            goes_on(store, first, "c0")
        else:
            finish(store, first, "c0", "DEAD", why="no")
            store.dead.purge(first.id)

        assert "ended" == rewind(store, first)
        assert [] == alive(store, first.id)

    def test_progress_counts_from_there(self, store: Store) -> None:
        """Its pace, too: from when it was rewound, not from when it began."""
        first = start(store)
        store.runs.steer(first.id, "pause")
        goes_on(store, first, "c0")
        before = seen(store, first)
        self.advance(store, HOUR_MS)

        chunk = after(first, by=2, round=1)
        assert "ok" == store.runs.rewind(first.id, before.current, chunk, at=Raw(b"40"), done=40)

        found = seen(store, first)
        assert (0, before.started_ms) == (before.since_done, before.since_ms)
        assert (40, 40, Raw(b"40")) == (found.done, found.since_done, found.at)
        assert HOUR_MS - 2_000 < found.since_ms - found.started_ms < HOUR_MS + 60_000

    def test_what_was_enqueued_counts_on(self, store: Store) -> None:
        """The backlog of before is waited for after."""
        first = brought_to(store, "HELD")
        store.runs.steer(first.id, "pause")
        rewind(store, first)
        store.runs.steer(first.id, "resume")

        assert (1, "HELD") == (seen(store, first).open, look(store, now_at(store, first)).state)
        all_wait_is_over(self, store)
        assert "READY" == look(store, now_at(store, first)).state

    def test_new_chunk_enqueues_anew(self, store: Store) -> None:
        """What the one that stood had enqueued is forgotten with it; its ids are made of another round."""
        first, mail = start(store), a_message()
        enqueue(store, first, "c0", mail)
        run(store, next(copy for copy in publish(store) if copy.id == mail.id), "m")
        finish(store, first, "c0", "DEAD", why="no")
        self.advance(store, DAY_MS)
        rewind(store, first)

        assert [True] == enqueue(store, follow(store, "c1"), "c1", mail)


def rewind(store: Store, first: Message) -> str:
    """Let a run begin again at its start."""
    found = seen(store, first)
    chunk = after(first, by=found.chunk + 1, round=found.round + 1)
    return store.runs.rewind(first.id, found.current, chunk, at=Raw(b"0"), done=0)
