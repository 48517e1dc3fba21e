"""The laws of what an operator pauses: a task, a queue or a key; and of how it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ...message import Message
from ...needs import NeedsLock, NeedsTokens, Same
from ...store import Store
from ...store.control import MOST_PAUSES, Pause
from ..fakes import a_message
from .batches import counts, filled
from .chunks import coming, ends, goes_on, seen, start
from .run_needs import held, now_at
from .steps import Laws, begin, finish, look, publish, put_once, recount, run, state

A, B = NeedsLock("a"), NeedsLock("b")
SLOW = NeedsTokens("slow", "slow:1", 60_000_000, 1)
HOUR_MS = 3_600_000

#: What a message of ``a_message`` with these needs is stopped by.
NEEDS: dict[str, Any] = {"locks": (A,), "rates": (SLOW,)}
SUBJECTS = [("task", "tests.send"), ("queue", "mail"), ("key", "a"), ("key", "slow:1")]


def pause(store: Store, kind: str = "task", name: str = "tests.send") -> str:
    """Pause it; the sends of ``a_message`` when nothing is said."""
    return store.control.pause(kind, name, who="me", why="the bank is down")


def resume(store: Store, kind: str = "task", name: str = "tests.send", *, step: int = 100) -> None:
    """Let it go on, to the last that waits."""
    assert -1 < store.control.resume(kind, name)
    while store.control.let_on(step)[1]:
        pass


def paused(store: Store, number: int, **needs: Any) -> list[Message]:
    """Have so many messages meet a pause, one after another."""
    messages = [a_message() for _ in range(number)]
    for n, message in enumerate(messages):
        assert "paused" == begin(store, message, f"p{n}", **needs).verdict
    return messages


def waiting(store: Store) -> dict[str, int]:
    """How many wait for what."""
    return {f"{one.kind} {one.name}": one.waiting for one in store.control.pauses()}


def ids(messages: Sequence[Message]) -> list[str]:
    """In their order."""
    return [message.id for message in messages]


class PausedLaws(Laws):
    """``pause``, ``resume``, ``let_on`` and ``pauses``, and what ``begin`` makes of them."""

    @pytest.mark.parametrize(("kind", "name"), SUBJECTS)
    def test_what_is_paused_is_not_begun(self, store: Store, kind: str, name: str) -> None:
        """It waits in the store, under the next number, and holds nothing: no attempt, lock or token is spent."""
        assert "ok" == pause(store, kind, name)
        message = a_message()

        begun = begin(store, message, **NEEDS)

        record = look(store, message)
        assert ("paused", f"{kind} {name}", 0) == (begun.verdict, begun.key, begun.fence)
        assert ("PAUSED", 2, 0, 1, begun.key) == (
            *(record.state, record.seq, record.starts, record.attempt, record.waits_at),
        )
        assert {("mail", "PAUSED"): 1} == store.messages.counts()
        assert [] == store.waiting.locks()
        assert [] == publish(store)
        assert "stale" == begin(store, message, "late", **NEEDS).verdict

    def test_all_else_goes_on(self, store: Store) -> None:
        """Another task of the same queue, another queue of the same task, another key: none is slowed."""
        pause(store, "task", "tests.other")
        pause(store, "queue", "other")
        pause(store, "key", "b")

        assert "run" == begin(store, a_message(), **NEEDS).verdict

    def test_what_runs_goes_on(self, store: Store) -> None:
        """A pause disturbs nothing that has begun; its retry waits."""
        message = a_message()
        begin(store, message, "c1")
        pause(store)

        assert "run" == begin(store, message, "c1").verdict
        assert "ok" == finish(store, message, "c1", "READY", counted=True)
        (retry,) = publish(store)
        assert "paused" == begin(store, retry, "c2").verdict
        assert 2 == look(store, message).attempt

    @pytest.mark.parametrize(("kind", "name", "step"), [(*SUBJECTS[0], 1), (*SUBJECTS[1], 3), (*SUBJECTS[2], 100)])
    def test_resumed_goes_on_in_its_order(self, store: Store, kind: str, name: str, step: int) -> None:
        """At the front, in steps of any size; a copy each, which runs as if nothing had been."""
        pause(store, kind, name)
        messages = paused(store, 7, **NEEDS)

        resume(store, kind, name, step=step)

        due = store.outbox.take(100)
        assert (ids(messages), {True}) == ([one.id for one in due], {one.front for one in due})
        store.outbox.mark([(one.id, one.seq) for one in due])
        assert [] == store.control.pauses()
        assert {} == store.messages.counts()
        begun = begin(store, messages[0].copy(seq=2), "c1", **NEEDS)
        assert ("run", 1, 0) == (begun.verdict, begun.starts, begun.parked_ms)

    def test_who_comes_while_others_go_on_waits_behind_them(self, store: Store) -> None:
        """Resumed, and not all have gone on: a message that comes then passes none of them."""
        pause(store)
        _, second = paused(store, 2)
        store.control.resume("task", "tests.send")
        store.control.let_on(1)
        (copy,) = publish(store)

        late = a_message()
        verdicts = begin(store, late, "late").verdict, begin(store, copy, "c1").verdict

        assert ("paused", "run") == verdicts
        resume_all = [store.control.let_on(1), store.control.let_on(1)]
        assert [(1, 1), (1, 0)] == resume_all
        assert ids([second, late]) == ids(publish(store))
        assert "run" == begin(store, a_message(), "c2").verdict

    def test_pause_stands_once(self, store: Store) -> None:
        """Paused again it says so, and who paused it first is named; so is nobody else."""
        assert ["ok", "paused"] == [pause(store), store.control.pause("task", "tests.send", who="you", why="")]

        now_ms = store.now_ms()
        (one,) = store.control.pauses()
        assert one == Pause(
            kind="task", name="tests.send", at_ms=one.at_ms, who="me", why="the bank is down", waiting=0, resumed=False
        )
        assert 0 <= now_ms - one.at_ms < 10_000

    def test_what_is_not_paused_is_not_resumed(self, store: Store) -> None:
        """Never paused, resumed already, or another thing of that name."""
        pause(store)
        paused(store, 2)

        assert [-1, 2, -1] == [
            store.control.resume("queue", "tests.send"),
            store.control.resume("task", "tests.send"),
            store.control.resume("task", "tests.send"),
        ]

    def test_what_nobody_waits_for_is_over_at_once(self, store: Store) -> None:
        """Resumed, it leaves nothing behind."""
        pause(store)

        assert 0 == store.control.resume("task", "tests.send")
        assert [] == store.control.pauses()

    def test_paused_again_before_all_have_gone_on(self, store: Store) -> None:
        """Those that were left stay, and what had gone on and not begun comes back before them."""
        pause(store)
        first, second, third = paused(store, 3)
        store.control.resume("task", "tests.send")
        store.control.let_on(1)
        assert "ok" == pause(store)
        (copy,) = publish(store)

        assert "paused" == begin(store, copy, "c1").verdict

        assert (0, 0) == store.control.let_on(100)
        assert {"task tests.send": 3} == waiting(store)
        resume(store)
        assert ids([first, second, third]) == ids(publish(store))

    def test_two_pauses_hold_until_both_are_resumed(self, store: Store) -> None:
        """Its queue, then its task: it keeps its turn from one to the other."""
        pause(store, "queue", "mail")
        (first,) = paused(store, 1)
        pause(store)
        store.control.resume("queue", "mail")
        store.control.let_on(100)
        (copy,) = publish(store)
        later = paused(store, 1)

        assert "paused" == begin(store, copy, "c1").verdict

        resume(store)
        assert ids([first, *later]) == ids(publish(store))

    def test_what_was_paused_waits_for_its_lock_in_its_order(self, store: Store) -> None:
        """First come, first served, also where the holder ends after the pause."""
        begin(store, a_message(id="holder"), "h", locks=(A,))
        pause(store)
        messages = paused(store, 3, locks=(A,))
        resume(store)
        for copy in publish(store):
            assert "locked" == begin(store, copy, f"l{copy.id}", locks=(A,)).verdict

        ran = []
        finish(store, a_message(id="holder"), "h")
        while copies := publish(store):
            (copy,) = copies
            ran.append(copy.id)
            run_with_lock(store, copy)

        assert ids(messages) == ran

    def test_lock_that_was_reserved_goes_to_who_is_not_paused(self, store: Store) -> None:
        """Let on for its lock, it meets a pause: the next in line has the lock at once."""
        holder, waits, other = a_message(), a_message(), a_message(task="tests.other")
        for n, message in enumerate((holder, waits, other)):
            begin(store, message, f"c{n}", locks=(A,))
        finish(store, holder, "c0")
        (copy,) = publish(store)
        pause(store)

        assert "paused" == begin(store, copy, "c3", locks=(A,)).verdict

        (next_copy,) = publish(store)
        assert other.id == next_copy.id
        assert "run" == begin(store, next_copy, "c4", locks=(A,)).verdict

    def test_expiry_counts_through_a_pause(self, store: Store) -> None:
        """What was not begun in time ends when it is resumed, never run."""
        pause(store)
        begin(store, a_message(expires_at_ms=store.now_ms() + 60_000))
        self.advance(store, HOUR_MS)

        resume(store)

        (copy,) = publish(store)
        assert "expired" == begin(store, copy.copy(expires_at_ms=store.now_ms() - 1), "c1").verdict

    def test_uniqueness_stands_through_a_pause(self, store: Store) -> None:
        """What waits is the one of its kind; a debounced call takes its place and waits in its stead."""
        pause(store)
        first, same, bounced, later = (a_message() for _ in range(4))
        put_once(store, [first], [(Same("k", "until_started", HOUR_MS),)], 0)
        put_once(store, [bounced], [(Same("d", "debounce", HOUR_MS),)], 0)
        for copy in publish(store):
            begin(store, copy, copy.id)

        assert [first.id] == put_once(store, [same], [(Same("k", "until_started", HOUR_MS),)], 0)
        assert [bounced.id] == put_once(store, [later], [(Same("d", "debounce", HOUR_MS),)], 0)

        assert [("PAUSED", 2)] * 2 == [state(store, first), state(store, bounced)]
        resume(store)
        for copy in publish(store):
            run(store, copy, copy.id)
        assert [same.id] == put_once(store, [same], [(Same("k", "until_started", HOUR_MS),)], 0)

    def test_retry_of_what_was_paused_waits_no_more(self, store: Store) -> None:
        """Its turn ended with its start: a retry is no sooner at the front than any other's."""
        pause(store)
        (message,) = paused(store, 1)
        resume(store)
        (copy,) = publish(store)
        begin(store, copy, "c1")

        finish(store, copy, "c1", "READY", counted=True)

        (due,) = store.outbox.take(100)
        assert (message.id, False) == (due.id, due.front)

    def test_member_of_a_batch_is_open_while_it_is_paused(self, store: Store) -> None:
        """The batch is complete when it has run."""
        pause(store)
        (member,) = filled(store, 1)
        begin(store, member, "c1")
        assert (1, 1, 0, 0, 0) == counts(store)

        resume(store)
        (copy,) = publish(store)
        run(store, copy, "c2")

        assert (1, 0, 1, 0, 0) == counts(store)

    def test_chunk_keeps_its_runs_locks(self, store: Store) -> None:
        """The run rests where its task is paused, and no other run slips in."""
        first = start(store, needs={"locks": (A,)})
        pause(store, "task", "tests.walk")
        goes_on(store, first, "c0")
        copy = coming(store)
        assert copy is not None

        assert "paused" == begin(store, copy, "c1", locks=(A,)).verdict

        assert {"a": (copy.id,)} == held(store)
        assert "locked" == begin(store, a_message(), "c2", locks=(A,)).verdict
        resume(store, "task", "tests.walk")
        copy = coming(store)
        assert copy is not None
        assert "run" == begin(store, copy, "c3", locks=(A,)).verdict
        ends(store, copy, "c3")
        assert "done" == seen(store, first).state

    def test_run_that_is_paused_too_goes_on_after_both(self, store: Store) -> None:
        """Paused itself while its chunk waits for its task, it is held, and does not go on with the task alone."""
        first = start(store)
        pause(store, "task", "tests.walk")
        goes_on(store, first, "c0")
        copy = coming(store)
        assert copy is not None
        begin(store, copy, "c1")

        store.runs.steer(first.id, "pause")

        assert "HELD" == look(store, now_at(store, first)).state
        resume(store, "task", "tests.walk")
        assert coming(store) is None
        store.runs.steer(first.id, "resume")
        assert coming(store) is not None
        assert recount(store, [now_at(store, first)]) == store.messages.counts()

    def test_run_is_cancelled_while_its_chunk_is_paused(self, store: Store) -> None:
        """It ends at once, and nothing is left in the list."""
        first = start(store)
        pause(store, "task", "tests.walk")
        goes_on(store, first, "c0")
        copy = coming(store)
        assert copy is not None
        begin(store, copy, "c1")

        store.runs.steer(first.id, "cancel")

        assert "cancelled" == seen(store, first).state
        assert {"task tests.walk": 0} == waiting(store)

    def test_code_that_holds_waits_for_its_key(self, store: Store) -> None:
        """Woken when it is resumed; code that no longer asks is forgotten, and holds nobody up."""
        pause(store, "key", "a")
        code, gone = a_message(task="", queue=""), a_message(task="", queue="")
        for n, one in enumerate((gone, code)):
            assert "paused" == begin(store, one, f"c{n}", locks=(A,), hold=True).verdict
        assert {} == store.messages.counts()
        self.advance(store, 20_000)
        store.waiting.await_turn(code.id, 0.01)
        self.advance(store, 20_000)

        resume(store, "key", "a")

        assert store.waiting.await_turn(code.id, 5)
        assert "run" == begin(store, code.copy(seq=2), "c1", locks=(A,), hold=True).verdict

    def test_pauses_are_bounded(self, store: Store) -> None:
        """Every worker looks at all of them: beyond that it says so, and pauses nothing."""
        for n in range(MOST_PAUSES):
            store.control.pause("key", f"user:{n}", who="me", why="")

        assert "full" == pause(store)
        assert "paused" == store.control.pause("key", "user:7", who="me", why="")
        assert MOST_PAUSES == len(store.control.pauses())
        store.control.resume("key", "user:7")
        assert "ok" == pause(store)


def run_with_lock(store: Store, copy: Message) -> None:
    """Begin and finish a copy that may have the lock."""
    assert "run" == begin(store, copy, f"r{copy.id}", locks=(A,)).verdict
    finish(store, copy, f"r{copy.id}")
