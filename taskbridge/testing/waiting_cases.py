"""The cases of ``BackendSuite`` about what waits and what is taken once: locks, limits, uniqueness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..message import new_id

if TYPE_CHECKING:
    from ..store import Record
    from .backend_suite import Arena

#: How long a lock may be held by another case's last message, seconds.
PATIENCE_S = 20.0

#: How long after its last call a debounced one runs, seconds.
DEBOUNCE_S = 0.3

#: For how long the far side shuts a key, seconds: the first is enough where no process is halted for longer.
SHUT_S = (0.5, 3.0, 10.0)


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
        who, other = new_id(), new_id()
        sent = [arena.tasks["paced"].enqueue(who, n).id for n in range(8)]
        ends = [arena.ended(id) for id in sent]
        with shut(arena, "suite.paced"):
            waiting = [arena.tasks["paced"].enqueue(other, n).id for n in range(8)]
            arena.ended(arena.tasks["plain"].enqueue(11).id)
            for id in waiting:
                arena.ended(id, "THROTTLED")
        for id in waiting:
            arena.ended(id)

        numbers = [[one["n"] for one in arena.lines(what="paced") if one["who"] == each] for each in (who, other)]
        ordered = arena.backend.capabilities.ordered
        assert [list(range(8))] * 2 == [ran if ordered else sorted(ran) for ran in numbers]
        begun_ms = sorted(one.past.begun_ms for one in ends if one.past)
        assert 330 <= begun_ms[7] - begun_ms[0]

    def test_throttled_stops_the_key_for_everyone(self, arena: Arena) -> None:
        """The far side said so: nobody starts at that key meanwhile, no attempt is spent, another key goes on."""
        shut_s, *longer = SHUT_S
        first, second, beside = _shut_by_the_far_side(arena, shut_s)
        while longer and "throttled" not in happened(second):  # it came when the key was open again
            shut_s = longer.pop(0)
            first, second, beside = _shut_by_the_far_side(arena, shut_s)

        assert ["postponed", "let"] == happened(first)[:2]
        assert ["throttled", "let"] == happened(second)[:2]
        assert "throttled" not in happened(beside)
        begun, again = arena.lines(first.id)
        assert (1, 1) == (begun["attempt"], again["attempt"])
        assert 1_000 * shut_s <= again["at_ms"] - begun["at_ms"] + 5 < 1_000 * shut_s + 9_500
        passed_ms = arena.lines(second.id)[0]["at_ms"]
        assert 1_000 * shut_s <= passed_ms - begun["at_ms"] + 5
        assert again["at_ms"] <= passed_ms or not arena.backend.capabilities.ordered

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
        called = arena.until(partial(_called_in_time, arena), "five calls before the first of them is due")
        assert called
        who, ids, last_at_ms = called
        arena.ended(ids[0])

        (ran,) = [one for one in arena.lines(what="plain") if one["text"] == who]
        assert {ids[0]} == set(ids)
        assert 4 == ran["n"]
        assert 290 <= ran["at_ms"] - last_at_ms < 10_000


def happened(record: Record) -> list[str]:
    """What its trail tells, in a word each."""
    return [note.what for note in record.trail]


@contextmanager
def shut(arena: Arena, limit: str) -> Iterator[None]:
    """Let nobody start at this limit inside the block."""
    arena.bridge.store.waiting.set_limit(limit, paused=True)
    try:
        yield
    finally:
        arena.bridge.store.waiting.set_limit(limit)


def _shut_by_the_far_side(arena: Arena, shut_s: float) -> Sequence[Record]:
    """Have a key shut for so long by its first message; returns how that, one behind it and one beside it ended."""
    who, task = new_id(), arena.tasks["throttled"]
    first = task.enqueue(who, shut_s)
    arena.until(lambda: arena.lines(first.id), "the first to begin")
    second, beside = task.enqueue(who, 0.0), task.enqueue(new_id(), 0.0)
    arena.ended(beside.id)
    return [arena.ended(sent.id) for sent in (first, second, beside)]


def _called_in_time(arena: Arena) -> tuple[str, list[str], int] | None:
    """Call five times; returns who, the ids and when the last call began, unless the machine halted in between."""
    who, ids, last_at_ms = new_id(), list[str](), 0
    debounced = arena.tasks["plain"].using(debounce=DEBOUNCE_S, unique_by=("text",))
    began_s = arena.clock.monotonic_s()
    for n in range(5):
        last_at_ms = arena.clock.now_ms()
        ids.append(debounced.enqueue(n, who).id)
    return (who, ids, last_at_ms) if arena.clock.monotonic_s() - began_s < DEBOUNCE_S else None
