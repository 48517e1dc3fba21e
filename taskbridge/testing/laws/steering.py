"""The laws of steering a run: pause, resume, cancel, rewind, wherever its chunk stands."""

from __future__ import annotations

from typing import Any

import pytest

from ...message import Message
from ...needs import NeedsLock, NeedsTokens
from ...store import LONG_WINDOW_MS, Store
from ..fakes import a_message
from .chunks import after, alive, coming, ends, enqueue, follow, goes_on, seen, start
from .run_needs import held, now_at
from .steps import Laws, begin, finish, look, publish, recount, run

A = NeedsLock("a")
MINUTE = NeedsTokens("slow", "slow", 60_000_000, 1)
HOUR_MS = 3_600_000

#: Every state in which a run can be steered.
STATES = ["RUN", "READY", "taken", "OUT", "DELAYED", "pausing", "LOCKED", "THROTTLED", "PARKED", "HELD", "PAUSED"]
WAITS = ["READY", "taken", "OUT", "DELAYED", "pausing", "LOCKED", "THROTTLED", "HELD", "PAUSED"]

#: Where a worker's word may send a chunk that is to come again.
BACK = ["READY", "DELAYED", "PARKED", "THROTTLED"]


def brought_to(store: Store, how: str) -> Message:
    """Bring a run to where its chunk is in that state; returns its first message."""
    needs: dict[str, Any] = {"locks": (A,), "rates": (MINUTE,) if how == "THROTTLED" else ()}
    first = start(store, needs=needs, pause_ms=HOUR_MS if how == "pausing" else 0, max_backlog=0)
    if how == "LOCKED":
        finish(store, first, "c0", "DEAD", why="no")
        begin(store, a_message(id="holder"), "h", locks=(A,))
        store.dead.replay(first.id)
        begin(store, publish(store)[0], "c1", locks=(A,))
    elif how == "THROTTLED":
        goes_on(store, first, "c0")
        begin(store, publish(store)[0], "c1", **needs)
    elif how in ("DELAYED", "PARKED"):
        finish(store, first, "c0", how, due_ms=HOUR_MS, group="g")
    elif how == "HELD":
        enqueue(store, first, "c0", a_message(id="mail"))
        goes_on(store, first, "c0")
    elif how != "RUN":
        goes_on(store, first, "c0")
    if how == "PAUSED":
        store.control.pause("task", first.task, who="me", why="")
        assert "paused" == begin(store, publish(store)[0], "c1", **needs).verdict
    if how == "taken":
        store.outbox.take(10)
    if how == "OUT":
        publish(store)
    expected = {"taken": "READY", "pausing": "DELAYED"}.get(how, how)
    assert expected == look(store, now_at(store, first)).state
    return first


def all_wait_is_over(laws: Laws, store: Store) -> None:
    """Let everything come that a chunk might wait for."""
    laws.advance(store, HOUR_MS + 60_000)
    if (holder := store.messages.look("holder")) and holder.state == "RUN":
        finish(store, a_message(id="holder"), "h")
    if store.messages.look("mail"):
        run(store, next(copy for copy in publish(store) if copy.id == "mail"), "m")
    store.parked.release("g", 10)
    store.waiting.let_out(10)
    for paused in store.control.pauses():
        store.control.resume(paused.kind, paused.name)
    store.control.let_on(10)


class PauseLaws(Laws):
    """``pause`` and ``resume``."""

    @pytest.mark.parametrize("how", WAITS)
    def test_paused_run_does_not_go_on(self, store: Store, how: str) -> None:
        """Wherever its chunk waits it is held, whatever comes; older copies of it are waste paper."""
        first = brought_to(store, how)
        old = look(store, now_at(store, first))

        assert "ok" == store.runs.steer(first.id, "pause")

        assert ("HELD", True) == (look(store, now_at(store, first)).state, seen(store, first).paused)
        copy = now_at(store, first).copy(seq=old.seq)
        assert how == "HELD" or "stale" == begin(store, copy, "late", locks=(A,)).verdict
        all_wait_is_over(self, store)
        assert coming(store) is None
        assert ["HELD"] == alive(store, first.id)
        assert recount(store, [now_at(store, first)]) == store.messages.counts()

    @pytest.mark.parametrize("how", STATES)
    def test_resumed_run_goes_on(self, store: Store, how: str) -> None:
        """With the chunk that stood, once, as if nothing had been; a chunk that runs notices nothing."""
        first = brought_to(store, how)
        standing = now_at(store, first).id
        store.runs.steer(first.id, "pause")
        all_wait_is_over(self, store)
        assert ["RUN" if how == "RUN" else "HELD"] == alive(store, first.id)

        assert "ok" == store.runs.steer(first.id, "resume")

        assert not seen(store, first).paused
        if how == "RUN":
            assert "ok" == goes_on(store, first, "c0")
            standing = after(first).id
        chunk = follow(store, "r", locks=(A,))
        assert standing == chunk.id
        goes_on(store, chunk, "r")
        assert 1 == len(alive(store, first.id))

    @pytest.mark.parametrize("how", ["next", "READY", "DELAYED", "THROTTLED", "lose", "release", "sweep"])
    def test_chunk_that_runs_obeys_when_it_ends(self, store: Store, how: str) -> None:
        """Done, retried, refused by the far side, lost, given back: its run is held then."""
        first = start(store, needs={"locks": (A,), "rates": (MINUTE,)})
        store.runs.steer(first.id, "pause")
        assert "RUN" == look(store, first).state

        if how == "next":
            goes_on(store, first, "c0")
        elif how == "sweep":
            self.a_lease_passes(store)
        elif how in ("lose", "release"):
            getattr(store.claims, how)(first.id, "c0")
        else:
            finish(store, first, "c0", how, due_ms=1_000, group="slow", counted=how != "THROTTLED")

        assert ["HELD"] == alive(store, first.id)
        self.advance(store, HOUR_MS)
        store.waiting.let_out(10)
        assert coming(store) is None
        assert {"a": (seen(store, first).current,)} == held(store)
        store.runs.steer(first.id, "resume")
        follow(store, "c1", locks=(A,), rates=(MINUTE,))

    def test_parked_chunk_is_held_when_a_worker_comes(self, store: Store) -> None:
        """A pause and a deploy, in any order."""
        first = brought_to(store, "PARKED")
        store.runs.steer(first.id, "pause")
        assert "PARKED" == look(store, first).state

        store.parked.release("g", 10)

        assert "HELD" == look(store, first).state
        store.runs.steer(first.id, "resume")
        follow(store, "c1", locks=(A,))

    @pytest.mark.parametrize("how", ["retry", "pausing"])
    def test_resumed_chunk_is_not_early(self, store: Store, how: str) -> None:
        """What it waited for before the pause it still waits for: its backoff, its run's pause."""
        first = brought_to(store, "DELAYED" if how == "retry" else "pausing")
        due_ms = look(store, now_at(store, first)).at_ms

        store.runs.steer(first.id, "pause")
        store.runs.steer(first.id, "resume")

        again = look(store, now_at(store, first))
        assert ("DELAYED", True) == (again.state, abs(due_ms - again.at_ms) < 2_000)

    def test_retry_of_a_pausing_run_is_not_early(self, store: Store) -> None:
        """Its backoff counts from its failure, not from the resume."""
        first = start(store)
        store.runs.steer(first.id, "pause")
        finish(store, first, "c0", "DELAYED", due_ms=5 * HOUR_MS, counted=True)
        self.advance(store, 2 * HOUR_MS)

        store.runs.steer(first.id, "resume")

        again = look(store, first)
        assert ("DELAYED", True) == (again.state, abs(store.now_ms() + 3 * HOUR_MS - again.at_ms) < 10_000)

    def test_pause_and_backlog_are_both_waited_for(self, store: Store) -> None:
        """A resume does not pass the backlog; its end does not pass a pause."""
        first = brought_to(store, "HELD")
        store.runs.steer(first.id, "resume")
        assert "HELD" == look(store, after(first)).state
        store.runs.steer(first.id, "pause")
        all_wait_is_over(self, store)
        assert "HELD" == look(store, after(first)).state

        store.runs.steer(first.id, "resume")

        assert "READY" == look(store, after(first)).state

    def test_pause_is_not_caught_up(self, store: Store) -> None:
        """The chunk that was held is followed a whole pause later."""
        first = start(store, pause_ms=300_000)
        goes_on(store, first, "c0")
        store.runs.steer(first.id, "pause")
        self.advance(store, 5 * HOUR_MS)
        store.runs.steer(first.id, "resume")
        second = follow(store, "c1")
        goes_on(store, second, "c1")

        assert abs(look(store, after(second)).at_ms - store.now_ms() - 300_000) < 10_000

    def test_steering_may_be_repeated(self, store: Store) -> None:
        """Twice is once; what is unknown or has ended is told so."""
        first = brought_to(store, "READY")
        pauses = [store.runs.steer(first.id, "pause") for _ in range(2)]
        held_seq = look(store, after(first)).seq
        resumes = [store.runs.steer(first.id, "resume") for _ in range(2)]
        ends(store, follow(store, "c1", locks=(A,)), "c1")

        assert (["ok", "ok"], 2, ["ok", "ok"]) == (pauses, held_seq, resumes)
        for how in ("pause", "resume", "cancel"):
            assert ("ended", "unknown") == (store.runs.steer(first.id, how), store.runs.steer("nobody", how))
        assert "done" == seen(store, first).state


class CancelLaws(Laws):
    """``cancel``."""

    @pytest.mark.parametrize("how", [state for state in STATES if state != "RUN"])
    def test_cancelled_run_ends_at_once(self, store: Store, how: str) -> None:
        """Where its chunk waits; nothing of it comes again, and its lock is free."""
        first = brought_to(store, how)
        old = look(store, now_at(store, first))

        assert "ok" == store.runs.steer(first.id, "cancel")

        found = seen(store, first)
        assert ("cancelled", "", False) == (found.state, found.error, found.stopping)
        assert [] == alive(store, first.id)
        assert "settled" == begin(store, now_at(store, first).copy(seq=old.seq), "late", locks=(A,)).verdict
        all_wait_is_over(self, store)
        assert coming(store) is None
        assert {} == held(store)
        assert "ended" == store.runs.steer(first.id, "cancel")

    def test_copy_of_a_cancelled_chunk_is_recognised_for_long(self, store: Store) -> None:
        """It may lie in a queue for seven days, whatever else is forgotten meanwhile: the run does not begin anew."""
        first = start(store, "c0")
        goes_on(store, first, "c0")
        (copy,) = publish(store)
        store.runs.steer(first.id, "cancel")

        self.advance(store, LONG_WINDOW_MS - 60_000)

        assert store.runs.look(first.id) is None
        assert "settled" == begin(store, copy, "late").verdict

    @pytest.mark.parametrize("how", ["next", "last", *BACK, "lose", "release", "sweep"])
    def test_cancelled_run_ends_with_the_chunk_that_runs(self, store: Store, how: str) -> None:
        """However that one ends: no next, no retry. A repeat of its finish is known."""
        first = start(store, unique="until_done", needs={"locks": (A,), "rates": (MINUTE,)})
        store.runs.steer(first.id, "cancel")
        running = seen(store, first)
        assert ("running", True, ["RUN"]) == (running.state, running.stopping, alive(store, first.id))
        tells = {"next": goes_on, "last": ends}.get(how)
        answers = ["ok", "mine"]

        if tells:
            answers = [tells(store, first, "c0") for _ in range(2)]
        elif how == "sweep":
            self.a_lease_passes(store)
        elif how in ("lose", "release"):
            getattr(store.claims, how)(first.id, "c0")
        else:
            more: dict[str, Any] = {"due_ms": 1_000, "group": "slow", "counted": how == "READY", "body": b"{}"}
            answers = [finish(store, first, "c0", how, ran=how != "PARKED", **more) for _ in range(2)]

        assert ["ok", "mine"] == answers
        assert how not in ("lose", "sweep") or "refused" == goes_on(store, first, "c0")
        found = seen(store, first)
        assert ("cancelled", "", False) == (found.state, found.error, found.stopping)
        assert ([], {}) == (alive(store, first.id), held(store))
        record = look(store, first)
        assert ("DONE", b"") == (record.state, record.body)
        self.advance(store, HOUR_MS)
        store.waiting.let_out(10)
        assert coming(store) is None
        assert {} == store.messages.counts()

    @pytest.mark.parametrize("how", ["waits", "next", "last", "READY", "lose"])
    def test_why_it_was_cancelled_is_kept(self, store: Store, how: str) -> None:
        """With the run, however its chunk ends; and with that chunk, unless it has done its part."""
        first = start(store)
        if how == "waits":
            goes_on(store, first, "c0")

        assert "ok" == store.runs.steer(first.id, "cancel", "cancelled by me: twice")
        if how in ("next", "last"):
            {"next": goes_on, "last": ends}[how](store, first, "c0")
        elif how == "READY":
            finish(store, first, "c0", "READY")
        elif how == "lose":
            store.claims.lose(first.id, "c0")

        chunk = after(first) if how == "waits" else first
        assert ("cancelled", "cancelled by me: twice") == (seen(store, first).state, seen(store, first).error)
        assert ("" if how in ("next", "last") else "cancelled by me: twice") == look(store, chunk).why

    def test_cancelled_chunk_that_fails_is_a_dead_letter(self, store: Store) -> None:
        """What went wrong is seen; its replay is a new word: the run goes on."""
        first = start(store)
        store.runs.steer(first.id, "cancel")
        finish(store, first, "c0", "DEAD", why="OSError")

        assert ("failed", "OSError") == (seen(store, first).state, seen(store, first).error)
        store.dead.replay(first.id)
        goes_on(store, follow(store, "c1"), "c1")
        assert ("running", "", ["READY"]) == (
            seen(store, first).state,
            seen(store, first).error,
            alive(store, first.id),
        )

    def test_paused_run_can_be_cancelled(self, store: Store) -> None:
        """At rest, and while its chunk runs."""
        resting, running = start(store, "c0"), start(store, "c1")
        for chunk in (resting, running):
            store.runs.steer(chunk.id, "pause")
        goes_on(store, resting, "c0")
        for chunk in (resting, running):
            store.runs.steer(chunk.id, "cancel")
        goes_on(store, running, "c1")

        assert ["cancelled"] * 2 == [seen(store, chunk).state for chunk in (resting, running)]
        assert {} == store.messages.counts()

    def test_what_it_had_enqueued_stays(self, store: Store) -> None:
        """A cancelled run makes no more; what is on its way arrives."""
        first, mail = start(store, max_backlog=0), a_message()
        enqueue(store, first, "c0", mail)
        goes_on(store, first, "c0")
        store.runs.steer(first.id, "cancel")

        (copy,) = publish(store)
        assert (mail.id, 1) == (copy.id, seen(store, first).open)
        run(store, copy, "m")
        assert (0, "cancelled") == (seen(store, first).open, seen(store, first).state)
