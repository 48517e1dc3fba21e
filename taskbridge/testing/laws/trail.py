"""The laws of a message's past: what its trail, and the marker of one that has ended, tell of it."""

from __future__ import annotations

import pytest

from ...message import Message
from ...needs import NeedsLock, NeedsTokens, Same
from ...store import Copy, Note, Store
from ...store.trail import LONGEST_NOTE, MOST_NOTES
from ..fakes import a_message
from .chunks import a_run, start
from .steps import Laws, begin, finish, look, put_once, run, take
from .waited import SLACK_MS, about

MINUTE_MS = 60_000
A = NeedsLock("a")
SLOW = NeedsTokens("slow", "slow", 60 * MINUTE_MS * 1000, 1)
CLAIM = "host.1.ab.0.1:celery:1"


def trail(store: Store, message: Message) -> list[tuple[str, str]]:
    """What happened to a message, and what each was about."""
    return [(note.what, note.about) for note in look(store, message).trail]


def last(store: Store, message: Message) -> Note:
    """The last thing that happened to it."""
    return look(store, message).trail[-1]


class TrailLaws(Laws):
    """``Record.trail``, ``sent_to`` and ``past``."""

    def test_what_runs_at_once_and_succeeds_has_no_trail(self, store: Store) -> None:
        """Its marker tells when it was enqueued, begun and done, of which task it was, and by whose claim."""
        message = a_message(task="bank.pay", queue="mail", enqueued_at_ms=5, due_at_ms=7)

        begin(store, message, CLAIM)
        assert () == look(store, message).trail
        finish(store, message, CLAIM, of=message)

        past = look(store, message).past
        assert past is not None
        assert () == look(store, message).trail
        assert ("bank.pay", "mail", 5, 7, CLAIM) == (
            *(past.task, past.queue, past.enqueued_at_ms, past.due_at_ms),
            past.claim,
        )
        assert about(0, past.ended_ms - past.begun_ms)
        assert about(0, store.now_ms() - past.ended_ms)

    def test_what_ends_unrun_tells_what_it_was(self, store: Store) -> None:
        """Its task stands in its marker, and why it ended in its trail; it was never begun."""
        message = a_message(task="bank.pay", enqueued_at_ms=5, expires_at_ms=9)

        begin(store, message)

        past = look(store, message).past
        assert past is not None
        assert ("bank.pay", 5, 0) == (past.task, past.enqueued_at_ms, past.begun_ms)
        assert [("dropped", "expired: not begun in time")] == trail(store, message)

    @pytest.mark.parametrize("lead", ["x", "xy", "xyz"])
    def test_long_name_in_any_letters_is_told_whole(self, store: Store, lead: str) -> None:
        """Wherever a letter of more bytes than one falls."""
        message = a_message(task=f"bank.{lead}{'ü' * 40}")
        run(store, message)

        past = look(store, message).past
        assert past is not None
        assert message.task == past.task

    def test_each_failed_attempt_is_told(self, store: Store) -> None:
        """With its number, its claim, when it had begun, why, and when it may go on; also when all is well at last."""
        message = a_message()
        for attempt in (1, 2):
            copy = message if attempt == 1 else take(store)[0]
            run(store, copy, f"c{attempt}", "READY", counted=True, why=f"no {attempt}")
        note = last(store, message)
        (copy,) = take(store)
        run(store, copy, "c3")

        assert ("retried", "no 2", 2, "c2") == (note.what, note.about, note.attempt, note.claim)
        assert about(0, note.at_ms - note.begun_ms)
        assert abs(note.due_ms - note.at_ms) < SLACK_MS
        assert [("retried", "no 1"), ("retried", "no 2")] == trail(store, message)
        assert look(store, message).past is not None

    def test_a_later_run_is_told_as_it_was_asked_for(self, store: Store) -> None:
        """One that spends no attempt is postponed, one that no worker knows is parked, and let out again."""
        first, second = a_message(), a_message()

        run(store, first, "c1", "DELAYED", due_ms=MINUTE_MS, why="not ready")
        run(store, second, "c2", "PARKED", ran=False, due_ms=MINUTE_MS, group="bank.pay currency")
        assert 1 == store.parked.release("bank.pay currency", 10)

        assert [("postponed", "not ready")] == trail(store, first)
        assert abs(last(store, first).due_ms - last(store, first).at_ms - MINUTE_MS) < SLACK_MS
        assert [("parked", "bank.pay currency"), ("released", "bank.pay currency")] == trail(store, second)

    def test_waits_are_told_from_their_beginning_to_their_end(self, store: Store) -> None:
        """Which lock or limit refused it, whose copy that was, and that it was let on."""
        holder, waiter, slow = a_message(), a_message(), a_message()
        begin(store, holder, "c1", locks=(A,))

        begin(store, waiter, "c2", locks=(A,))
        begin(store, a_message(), "c3", rates=(SLOW,))
        begin(store, slow, "c4", rates=(SLOW,))
        finish(store, holder, "c1")

        assert [("locked", "a"), ("let", "lock")] == trail(store, waiter)
        assert [("throttled", "slow")] == trail(store, slow)
        assert ("c4", 0) == (last(store, slow).claim, last(store, slow).begun_ms)

    def test_what_a_process_left_is_told(self, store: Store) -> None:
        """One whose process died is lost, one that was given back is returned; both with the attempt that ended."""
        first, second = a_message(), a_message()
        begin(store, first, "c1")
        begin(store, second, "c2")

        store.claims.lose(first.id, "c1")
        store.claims.release(second.id, "c2")

        assert [("lost", "c1"), ("returned", "c2")] == [
            (note.what, note.claim) for note in (last(store, first), last(store, second))
        ]

    def test_a_lapsed_claim_is_told(self, store: Store) -> None:
        """Whoever takes it back."""
        message = a_message()
        begin(store, message)

        assert [message.id] == self.a_lease_passes(store)

        assert [("lost", "")] == trail(store, message)

    def test_death_and_what_follows_is_told(self, store: Store) -> None:
        """Why it died, that it was replayed, and that it was purged."""
        message = a_message()
        run(store, message, "c1", "DEAD", why="OSError: no", traceback="Traceback")
        store.dead.replay(message.id)
        (copy,) = take(store)
        run(store, copy, "c2", "DEAD", why="again")

        store.dead.purge(message.id)

        assert [
            ("dead", "OSError: no"),
            ("replayed", ""),
            ("dead", "again"),
            ("dropped", "purged from the dead letters"),
        ] == trail(store, message)

    def test_where_it_was_published_is_told(self, store: Store) -> None:
        """Of the last time in the record; each before that in the trail, so a switch of engines is seen."""
        message = a_message()
        store.outbox.put([message], 0)
        (copy,) = take(store)
        store.outbox.mark([(copy.id, copy.seq)], {copy.id: "celery"})
        assert ("celery", ()) == (look(store, message).sent_to, look(store, message).trail)
        run(store, copy, CLAIM, "READY", counted=True, why="no")

        (copy,) = take(store)
        store.outbox.mark([(copy.id, copy.seq)], {copy.id: "dramatiq"})

        assert [("published", "celery"), ("retried", "no"), ("published", "dramatiq")] == trail(store, message)
        assert "dramatiq" == look(store, message).sent_to

    def test_a_copy_that_is_taken_over_is_told(self, store: Store) -> None:
        """With the backend whose queue it lay in, whether the store knew it or not."""
        message = a_message()

        store.outbox.adopt([Copy(message=message)], backend="celery")

        assert [("adopted", "celery")] == trail(store, message)

    def test_a_later_call_in_its_place_is_told(self, store: Store) -> None:
        """A debounced call was put off."""
        same = (Same("k", "debounce", MINUTE_MS),)
        first = a_message()
        put_once(store, [first], [same], MINUTE_MS)

        put_once(store, [a_message()], [same], MINUTE_MS)

        assert [("replaced", "")] == trail(store, first)

    def test_a_chunk_that_its_run_holds_is_told(self, store: Store) -> None:
        """From the pause to its end, where it had begun to wait before."""
        walk = start(store, message=a_run())
        assert "ok" == finish(store, walk, "c0", "DELAYED", due_ms=MINUTE_MS, why="later")

        store.runs.steer(walk.id, "pause")
        store.runs.steer(walk.id, "resume")

        told = [("published", ""), ("postponed", "later"), ("held", "its run is paused"), ("resumed", "")]
        assert told == trail(store, walk)

    def test_code_that_holds_has_no_trail(self, store: Store) -> None:
        """It is no message."""
        begin(store, a_message(), "c1", locks=(A,))
        code = a_message()

        begin(store, code, "c2", locks=(A,), hold=True)

        assert () == look(store, code).trail

    def test_a_trail_is_bounded(self, store: Store) -> None:
        """The last notes stay, each cut, of whatever it was about, as one line."""
        message = a_message()
        copy = message
        for n in range(MOST_NOTES + 5):
            run(store, copy, f"c{n}", "READY", counted=True, why=f"{n}\n\x1b[31m" + "ü" * 500)
            (copy,) = take(store)

        found = look(store, message).trail

        assert MOST_NOTES == len(found)
        assert (6, MOST_NOTES + 5) == (found[0].attempt, found[-1].attempt)
        assert found[-1].about.startswith(f"{MOST_NOTES + 4}  [31mü")
        assert LONGEST_NOTE // 2 - 10 < len(found[-1].about) <= LONGEST_NOTE

    def test_marks_and_repeats_change_nothing(self, store: Store) -> None:
        """A settle that is told twice is one note, and a stale copy leaves none."""
        message = a_message()
        run(store, message, "c1", "READY", counted=True, why="no")

        assert "mine" == finish(store, message, "c1", "READY", counted=True, why="no")
        assert "stale" == begin(store, message, "c2").verdict

        assert [("retried", "no")] == trail(store, message)


class TurnLaws(Laws):
    """``Waiting.turns``."""

    def test_who_waits_for_nothing_has_no_turn(self, store: Store) -> None:
        """One that is not known, runs, or has ended."""
        running, ended = a_message(), a_message()
        begin(store, running, "c1", locks=(A,), rates=(SLOW,))
        run(store, ended, "c2")

        assert [[], [], []] == [store.waiting.turns(id) for id in ("nobody", running.id, ended.id)]

    def test_a_lock_tells_who_has_it_and_who_is_before(self, store: Store) -> None:
        """Each that it waits for, in its order, and since when it waits."""
        holder, early, late = a_message(), a_message(), a_message()
        begin(store, holder, "c1", locks=(A,))
        begin(store, early, "c2", locks=(A,))
        begin(store, late, "c3", locks=(NeedsLock("free"), A, NeedsLock("other", "skip")))

        free, turn = store.waiting.turns(late.id)

        assert ("lock", "free", 0, ()) == (free.kind, free.key, free.ahead, free.holders)
        assert ("lock", "a", 1, (holder.id,), ()) == (turn.kind, turn.key, turn.ahead, turn.holders, turn.reserved)
        assert about(0, store.now_ms() - turn.since_ms)
        assert 0 == store.waiting.turns(early.id)[0].ahead

    def test_a_limit_tells_its_pace_and_who_is_before(self, store: Store) -> None:
        """As it stands now: what was set at run time goes before what its task says."""
        starter, early, late = a_message(), a_message(), a_message()
        for n, message in enumerate((starter, early, late)):
            begin(store, message, f"c{n}", rates=(SLOW,))

        (turn,) = store.waiting.turns(late.id)
        store.waiting.set_limit("slow", interval_us=2_000_000, burst=3, paused=True)
        (changed,) = store.waiting.turns(late.id)

        assert ("limit", "slow", "slow", 1) == (turn.kind, turn.key, turn.name, turn.ahead)
        assert (SLOW.interval_us, 1, 1, False) == (turn.interval_us, turn.burst, turn.weight, turn.paused)
        assert abs(turn.due_ms - store.now_ms() - 60 * MINUTE_MS) < SLACK_MS
        assert (2_000_000, 3, True) == (changed.interval_us, changed.burst, changed.paused)
