"""The cases of ``BackendSuite`` about what waits and what is taken once: locks, limits, uniqueness."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..message import new_id

if TYPE_CHECKING:
    from .backend_suite import Arena

#: How long a lock may be held by another case's last message, seconds.
PATIENCE_S = 20.0


class WaitingCases:
    """Inherited by ``BackendSuite``."""

    def test_a_queue_tells_how_much_waits_and_since_when(self, arena: Arena) -> None:
        """In one look at several, without taking anything; a queue that nobody has sent to has nothing."""
        full, empty = f"full-{new_id()[:8]}", f"empty-{new_id()[:8]}"
        before_ms = arena.bridge.store.now_ms()
        for n in range(3):
            arena.tasks["plain"].using(queue=full, priority=4 * n).enqueue(n)

        nothing, level = arena.backend.levels([empty, full])

        assert (0, 0, 3) == (nothing.waiting, nothing.since_ms, level.waiting)
        if arena.backend.capabilities.scan:
            assert before_ms - 1_000 <= level.since_ms <= arena.bridge.store.now_ms() + 1_000
        else:
            assert 0 == level.since_ms
        assert 3 == arena.backend.depth(full)

    def test_a_lock_makes_messages_wait_and_nobody_else(self, arena: Arena) -> None:
        """Held by code elsewhere, it parks them unstarted, while their queue goes on; released, they run in order."""
        who = new_id()
        with arena.bridge.lock(f'suite:"{who}"', timeout=PATIENCE_S) as held:
            waiting = [arena.tasks["guarded"].enqueue(who, n).id for n in range(3)]
            for id in waiting:
                arena.ended(id, "LOCKED")
            arena.ended(arena.tasks["plain"].enqueue(10).id)
            records = [arena.bridge.store.messages.look(id) for id in waiting]
        for id in waiting:
            arena.ended(id)

        lines = [one for one in arena.lines(what="guarded") if one["who"] == who]
        assert [0, 0, 0] == [record.starts for record in records if record]
        runs = [(one["n"], one["attempt"]) for one in lines]
        assert [(0, 1), (1, 1), (2, 1)] == (runs if arena.backend.capabilities.ordered else sorted(runs))
        assert held.fencing_token < lines[0]["token"] < lines[1]["token"] < lines[2]["token"]

    def test_a_held_lock_may_skip_or_fail_a_message(self, arena: Arena) -> None:
        """``skip`` ends it unrun; ``fail`` is a failed attempt, here its last."""
        who = new_id()
        with arena.bridge.lock(f'suite:"{who}"', timeout=PATIENCE_S):
            skipped, failed = arena.tasks["skipping"].enqueue(who), arena.tasks["refusing"].enqueue(who)
            ends = [arena.ended(skipped.id), arena.ended(failed.id, "DEAD")]
        free = [arena.tasks[name].enqueue(who) for name in ("skipping", "refusing")]
        for sent in free:
            arena.ended(sent.id)

        assert "skipped: the lock" in ends[0].why
        assert "LockHeld" in ends[1].why
        assert [[], [], 1, 1] == [
            arena.lines(skipped.id),
            arena.lines(failed.id),
            *(len(arena.lines(s.id)) for s in free),
        ]

    def test_a_rate_limit_paces_starts_and_nothing_else(self, arena: Arena) -> None:
        """Twenty a second, one at a time: each runs once, in the order of arrival, and nothing else is slowed."""
        who = new_id()
        sent = [arena.tasks["paced"].enqueue(who, n).id for n in range(8)]
        beside = arena.tasks["plain"].enqueue(11)
        arena.ended(beside.id)
        unfinished = [id for id in sent if arena.state(id) != "DONE"]
        for id in sent:
            arena.ended(id)

        lines = [one for one in arena.lines(what="paced") if one["who"] == who]
        numbers = [one["n"] for one in lines]
        assert list(range(8)) == (numbers if arena.backend.capabilities.ordered else sorted(numbers))
        assert 330 <= lines[-1]["at_ms"] - lines[0]["at_ms"]
        assert unfinished

    def test_throttled_stops_the_key_for_everyone(self, arena: Arena) -> None:
        """The far side said so: nobody starts at that key meanwhile, no attempt is spent, another key goes on."""
        who, other = new_id(), new_id()
        first = arena.tasks["throttled"].enqueue(who, 0.5)
        arena.ended(first.id, "THROTTLED")
        second, beside = arena.tasks["throttled"].enqueue(who, 0.0), arena.tasks["throttled"].enqueue(other, 0.0)
        arena.ended(second.id, "THROTTLED")
        arena.ended(beside.id)
        for sent in (first, second):
            arena.ended(sent.id)

        begun, again = arena.lines(first.id)
        assert (1, 1) == (begun["attempt"], again["attempt"])
        assert 500 <= again["at_ms"] - begun["at_ms"] + 5 < 10_000
        assert again["at_ms"] <= arena.lines(second.id)[0]["at_ms"]

    def test_a_unique_call_is_taken_once_until_it_starts(self, arena: Arena, tmp_path: Path) -> None:
        """Enqueued again, one by one or in bulk, it gives the message that waits; once it started, another is taken."""
        gate, who, other = arena.hold_worker(tmp_path), new_id(), new_id()
        first, again = arena.tasks["only"].enqueue(who, 1), arena.tasks["only"].enqueue(who, 2)
        many = arena.tasks["only"].enqueue_many([{"who": who}, {"who": other}, {"who": other}])
        gate.touch()
        arena.ended(first.id)
        arena.until(lambda: [one for one in arena.lines(what="only") if one["who"] == other], "the other one to run")
        later = arena.tasks["only"].enqueue(who, 3)
        arena.ended(later.id)

        assert (True, False, True) == (first.created, again.created, later.created)
        assert (first.id, 1, 2) == (again.id, many.created, many.existing)
        assert [1, 3] == [one["n"] for one in arena.lines(what="only") if one["who"] == who]

    def test_an_idempotency_key_is_taken_once(self, arena: Arena) -> None:
        """Also after it is done; another key is another call."""
        key = new_id()
        first = arena.tasks["plain"].using(idempotency_key=key).enqueue(1, key)
        arena.ended(first.id)
        again = arena.tasks["plain"].using(idempotency_key=key).enqueue(1, key)
        other = arena.tasks["plain"].using(idempotency_key=new_id()).enqueue(1, key)
        arena.ended(other.id)

        assert (first.id, False, True) == (again.id, again.created, other.created)
        assert 2 == len([one for one in arena.lines(what="plain") if one["text"] == key])

    def test_debounced_calls_run_once_after_the_last(self, arena: Arena) -> None:
        """With its arguments, and not before so long after it."""
        who, debounced = new_id(), arena.tasks["plain"].using(debounce=0.3, unique_by=("text",))
        sent = [debounced.enqueue(n, who) for n in range(5)]
        sent_at_ms = arena.clock.now_ms()
        arena.ended(sent[0].id)

        (ran,) = [one for one in arena.lines(what="plain") if one["text"] == who]
        assert {sent[0].id} == {one.id for one in sent}
        assert 4 == ran["n"]
        assert 290 <= ran["at_ms"] - sent_at_ms < 10_000
