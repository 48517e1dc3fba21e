"""The laws of how long a message was parked: what ``begin`` tells of its waits, by the store's clock."""

from __future__ import annotations

from ...message import Message
from ...needs import NeedsLock, NeedsTokens
from ...store import Begun, Store
from ..fakes import a_message
from .steps import Laws, begin, finish, publish

A, B = NeedsLock("a"), NeedsLock("b")
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
SLOW = NeedsTokens("slow", "slow", HOUR_MS * 1000, 1)

#: How long what these laws do may take on a slow machine, beside what they let pass.
SLACK_MS = 10_000


def about(expected_ms: int, told_ms: int) -> bool:
    """Whether that is it, but for the time that the test itself takes."""
    return expected_ms <= told_ms < expected_ms + SLACK_MS


def told(begun: Begun) -> tuple[str, int, int, str]:
    """What begin says of waits, where nothing is expected to have passed."""
    return begun.verdict, begun.locked_ms, begun.throttled_ms, begun.parked_for


def let_out(store: Store) -> Message:
    """Let out the one that may go, and publish it."""
    store.waiting.let_out(100)
    (copy,) = publish(store)
    return copy


class WaitedLaws(Laws):
    """``locked_ms``, ``throttled_ms`` and what they come to."""

    def test_who_never_waited_was_not_parked(self, store: Store) -> None:
        """Whatever it needs, and though it was delayed, lay ready and in a queue, and comes from a retry."""
        message = a_message()
        store.outbox.put([message], MINUTE_MS)
        self.advance(store, 2 * MINUTE_MS)
        (copy,) = publish(store)
        self.advance(store, MINUTE_MS)
        assert ("run", 0, 0, "") == told(begin(store, copy, "c1", locks=(A,), rates=(SLOW,)))

        finish(store, copy, "c1", "DELAYED", counted=True, due_ms=MINUTE_MS)
        self.advance(store, 2 * MINUTE_MS)
        (copy,) = publish(store)

        assert ("run", 0, 0, "") == told(begin(store, copy, "c2", locks=(A,)))

    def test_wait_for_a_lock_ends_with_its_release(self, store: Store) -> None:
        """From when it was refused to when it was let on; what it lay ready and in a queue then is not counted."""
        first, second = a_message(), a_message()
        begin(store, first, "c1", locks=(A,))
        begin(store, second, "c2", locks=(A,))
        self.advance(store, MINUTE_MS)
        finish(store, first, "c1")
        self.advance(store, MINUTE_MS // 6)
        (copy,) = publish(store)

        begun = begin(store, copy, "c3", locks=(A,))

        assert ("run", 0, "lock") == (begun.verdict, begun.throttled_ms, begun.parked_for)
        assert about(MINUTE_MS, begun.locked_ms)
        assert begun.locked_ms == begun.parked_ms

    def test_wait_at_a_limit_ends_when_it_is_let_out(self, store: Store) -> None:
        """From when it was refused to when its token was there and it was let out."""
        begin(store, a_message(), "c1", rates=(SLOW,))
        begin(store, a_message(), "c2", rates=(SLOW,))
        self.advance(store, HOUR_MS)
        copy = let_out(store)
        self.advance(store, MINUTE_MS // 6)

        begun = begin(store, copy, "c3", rates=(SLOW,))

        assert ("run", 0, "limit") == (begun.verdict, begun.locked_ms, begun.parked_for)
        assert about(HOUR_MS, begun.throttled_ms)
        assert begun.throttled_ms == begun.parked_ms

    def test_each_wait_is_told_by_what_it_was_for(self, store: Store) -> None:
        """A lock, then a limit: each has its own time; the longer one is what it was parked for."""
        holder, waiter = a_message(), a_message()
        begin(store, holder, "c1", locks=(A,), rates=(SLOW,))
        begin(store, waiter, "c2", locks=(A,), rates=(SLOW,))
        self.advance(store, 2 * MINUTE_MS)
        finish(store, holder, "c1")
        (copy,) = publish(store)
        assert "throttled" == begin(store, copy, "c3", locks=(A,), rates=(SLOW,)).verdict
        self.advance(store, HOUR_MS)

        begun = begin(store, let_out(store), "c4", locks=(A,), rates=(SLOW,))

        assert "run" == begun.verdict
        assert about(2 * MINUTE_MS, begun.locked_ms)
        assert about(HOUR_MS, begun.throttled_ms)
        assert ("limit", begun.locked_ms + begun.throttled_ms) == (begun.parked_for, begun.parked_ms)

    def test_waits_for_one_lock_after_another_add_up(self, store: Store) -> None:
        """A newer release asks for another lock, for which it waits again."""
        one, other, waiter = a_message(), a_message(), a_message()
        begin(store, one, "c1", locks=(A,))
        begin(store, other, "c2", locks=(B,))
        begin(store, waiter, "c3", locks=(A,))
        self.advance(store, MINUTE_MS)
        finish(store, one, "c1")
        (copy,) = publish(store)
        assert "locked" == begin(store, copy, "c4", locks=(B,)).verdict
        self.advance(store, 2 * MINUTE_MS)
        finish(store, other, "c2")
        (copy,) = publish(store)

        assert about(3 * MINUTE_MS, begin(store, copy, "c5", locks=(B,)).locked_ms)

    def test_each_attempt_has_its_own_waits(self, store: Store) -> None:
        """What the first one waited is not told of the second, which waits for less, nor of the third, for nothing."""
        message = a_message()
        for n, minutes in enumerate((5, 1)):
            holder = a_message()
            begin(store, holder, f"h{n}", locks=(A,))
            assert "locked" == begin(store, message, f"a{n}", locks=(A,)).verdict
            self.advance(store, minutes * MINUTE_MS)
            finish(store, holder, f"h{n}")
            (message,) = publish(store)
            assert about(minutes * MINUTE_MS, begin(store, message, f"b{n}", locks=(A,)).locked_ms)
            finish(store, message, f"b{n}", "READY", counted=True)
            (message,) = publish(store)

        assert ("run", 0, 0, "") == told(begin(store, message, "c9", locks=(A,)))

    def test_repeat_of_begin_tells_the_same(self, store: Store) -> None:
        """Its reply was lost: the same claim asks again, later, and is told what it was told; the next one is not."""
        holder, waiter = a_message(), a_message()
        begin(store, holder, "c1", locks=(A,))
        begin(store, waiter, "c2", locks=(A,))
        self.advance(store, MINUTE_MS)
        finish(store, holder, "c1")
        (copy,) = publish(store)
        first = begin(store, copy, "c3", locks=(A,))
        self.advance(store, MINUTE_MS // 12)

        again = begin(store, copy, "c3", locks=(A,))

        assert told(first) == told(again)
        assert about(MINUTE_MS, again.locked_ms)
        finish(store, copy, "c3", "READY", counted=True)
        (copy,) = publish(store)
        for _ in range(2):
            assert ("run", 0, 0, "") == told(begin(store, copy, "c4", locks=(A,)))

    def test_what_the_far_side_shut_is_a_wait_at_a_limit(self, store: Store) -> None:
        """It said 429, and its limit is shut: the message waits there until it is let out, and that is told."""
        message = a_message()
        begin(store, message, "c1", rates=(SLOW,))
        finish(store, message, "c1", "THROTTLED", group="slow", due_ms=MINUTE_MS)
        self.advance(store, 2 * HOUR_MS)

        begun = begin(store, let_out(store), "c2", rates=(SLOW,))

        assert ("run", "limit") == (begun.verdict, begun.parked_for)
        assert about(2 * HOUR_MS, begun.throttled_ms)

    def test_one_that_runs_to_fail_has_waited_too(self, store: Store) -> None:
        """It waited for one lock, and fails for another."""
        waits, fails = NeedsLock("a"), NeedsLock("b", "fail")
        holder, waiter = a_message(), a_message()
        begin(store, holder, "c1", locks=(A, B))
        begin(store, waiter, "c2", locks=(waits, fails))
        self.advance(store, MINUTE_MS)
        finish(store, holder, "c1")
        (copy,) = publish(store)
        begin(store, a_message(), "c3", locks=(B,))

        begun = begin(store, copy, "c4", locks=(waits, fails))

        assert ("held", "b") == (begun.verdict, begun.key)
        assert about(MINUTE_MS, begun.locked_ms)
        again = begin(store, copy, "c4", locks=(waits, fails))
        assert (told(begun), "b") == (told(again), again.key)

    def test_lock_that_was_broken_ends_the_wait(self, store: Store) -> None:
        """An operator took it from its holder."""
        begin(store, a_message(), "c1", locks=(A,))
        begin(store, a_message(), "c2", locks=(A,))
        self.advance(store, MINUTE_MS)
        store.waiting.break_lock("a")
        (copy,) = publish(store)

        assert about(MINUTE_MS, begin(store, copy, "c3", locks=(A,)).locked_ms)

    def test_code_that_waits_is_told_too(self, store: Store) -> None:
        """A hold asks again when it is woken, and is told how long it waited."""
        holder, code = a_message(), a_message()
        begin(store, holder, "c1", locks=(A,))
        begin(store, code, "c2", locks=(A,), hold=True)
        self.advance(store, MINUTE_MS // 4)
        finish(store, holder, "c1")

        begun = begin(store, code.copy(seq=2), "c2", locks=(A,), hold=True)

        assert "run" == begun.verdict
        assert about(MINUTE_MS // 4, begun.locked_ms)
