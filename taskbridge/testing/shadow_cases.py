"""The cases of ``BackendSuite`` about shadows: a copy is run once and told, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from ..copies import copy_of
from ..message import Message, Shadow, new_id
from ..store.shadows import SUCCEEDED, Disagreement, Tally, Told
from .suite_notes import QUEUE

if TYPE_CHECKING:
    from .backend_suite import Arena


def _copy(arena: Arena, task: str, rule: str, times: int = 1, **fields: Any) -> str:
    """Publish the copy of a message that nobody sends, so often; returns the message's id."""
    words: dict[str, Any] = {"id": new_id(), "queue": QUEUE, "enqueued_at_ms": arena.clock.now_ms(), **fields}
    copy = copy_of(Message(task=f"suite.{task}", **words), rule)
    for _ in range(times):
        arena.backend.publish([copy])
    return str(words["id"])


def _tally(arena: Arena, rule: str) -> Tally:
    """What was counted under a shadow."""
    tallies: Sequence[Tally] = arena.bridge.store.shadows.read(0)[0]
    return next((one for one in tallies if one.rule == rule), Tally(rule=rule, task=""))


def _disagreement(arena: Arena, id: str) -> Disagreement:
    """What two sides have come to."""

    def found() -> list[Disagreement]:
        return [one for one in arena.bridge.store.shadows.read(100)[1] if one.id == id]

    return arena.until(found, f"both sides of {id} to be told")[0]


class ShadowCases:
    """Inherited by ``BackendSuite``."""

    def test_a_copy_runs_once_and_leaves_no_trace_in_the_ledger(self, arena: Arena) -> None:
        """It knows what it is; it has no record, holds no lock, and a repeat of it does not run."""
        rule = new_id()
        id = _copy(arena, "shadowed", rule, times=3, args=msgspec.Raw(b"[7]"))

        arena.until(lambda: _tally(arena, rule).copies, "the copy to be told")
        after = arena.tasks["plain"].enqueue(1)
        arena.ended(after.id)

        (ran,) = arena.lines(f"{id}~shadow")
        assert (True, 0, 1, 7) == tuple(ran[word] for word in ("shadow", "fence", "attempt", "n"))
        assert ("absent", "absent") == (arena.state(id), arena.state(f"{id}~shadow"))
        assert (1, 1, 0) == (_tally(arena, rule).begun, _tally(arena, rule).copies, _tally(arena, rule).pairs)

    def test_both_sides_are_compared(self, arena: Arena) -> None:
        """The same result of both agrees; the original is done as ever, and knows nothing of it."""
        rule, id, now_ms = new_id(), new_id(), arena.clock.now_ms()
        message = Message(id=id, task="suite.shadowed", queue=QUEUE, args=msgspec.Raw(b"[1]"), enqueued_at_ms=now_ms)

        arena.backend.publish([message.copy(shadow=Shadow(rule=rule)), copy_of(message, rule)])

        arena.ended(id)
        arena.until(lambda: _tally(arena, rule).agreed, "both sides to be told")
        assert ([False], [True]) == tuple([line["shadow"] for line in arena.lines(one)] for one in (id, f"{id}~shadow"))
        tally = _tally(arena, rule)
        assert (1, 1, 1, 1) == (tally.begun, tally.originals, tally.copies, tally.pairs)

    def test_a_copy_that_fails_is_neither_retried_nor_dead(self, arena: Arena) -> None:
        """It disagrees with an original that has returned, and that is all."""
        rule, id, now_ms = new_id(), new_id(), arena.clock.now_ms()
        args = msgspec.Raw(b'[2,"copy"]')
        message = Message(id=id, task="suite.shadowed", queue=QUEUE, args=args, enqueued_at_ms=now_ms)

        arena.backend.publish([message.copy(shadow=Shadow(rule=rule)), copy_of(message, rule)])
        found = _disagreement(arena, id)
        after = arena.tasks["plain"].enqueue(1)
        arena.ended(after.id)

        name = arena.backend.name
        assert ("outcome", SUCCEEDED) == (found.by, found.original.outcome)
        expected = Told(outcome="ValueError", backend=name, ran_us=found.copy.ran_us, why="ValueError: in copy")
        assert expected == found.copy
        assert 1 == len(arena.lines(f"{id}~shadow"))
        assert "absent" == arena.state(f"{id}~shadow")
        arena.ended(id)

    def test_the_first_attempt_is_what_is_compared(self, arena: Arena) -> None:
        """An original that fails as its copy does agrees with it, whatever its retries come to."""
        rule, id, now_ms = new_id(), new_id(), arena.clock.now_ms()
        args = msgspec.Raw(b'[3,"both"]')
        message = Message(id=id, task="suite.shadowed", queue=QUEUE, args=args, enqueued_at_ms=now_ms)

        arena.backend.publish([message.copy(shadow=Shadow(rule=rule)), copy_of(message, rule)])

        arena.ended(id, "DEAD")
        arena.until(lambda: _tally(arena, rule).agreed, "both sides to be told")
        assert [1, 2, 3] == [line["attempt"] for line in arena.lines(id)]
        assert (1, 1) == (_tally(arena, rule).originals, _tally(arena, rule).pairs)

    def test_a_copy_sends_nothing(self, arena: Arena) -> None:
        """What it enqueues is counted in place of it, whatever the way; what would hold or count is refused."""
        rule = new_id()
        id = _copy(arena, "sends", rule, args=msgspec.Raw(b"[4]"))

        arena.until(lambda: _tally(arena, rule).copies, "the copy to be told")
        after = arena.tasks["plain"].enqueue(1)
        arena.ended(after.id)

        (said,) = arena.lines(f"{id}~shadow")
        assert (3, ["ShadowEffect", "ShadowEffect"]) == (said["many"], said["refused"])
        assert ["absent"] * 3 == [arena.state(one) for one in said["ids"]]
        assert [] == [line for one in said["ids"] for line in arena.lines(one)]
        assert 6 == _tally(arena, rule).unsent

    def test_a_copy_over_its_soft_timeout_is_told_so(self, arena: Arena) -> None:
        """As its original would be; where nobody keeps the timeout it does not run."""
        rule = new_id()
        id = _copy(arena, "lingers", rule, args=msgspec.Raw(b"[30]"), timeout_ms=200)

        after = arena.tasks["plain"].enqueue(1)
        arena.ended(after.id)

        if arena.backend.capabilities.soft_timeout:
            arena.until(lambda: _tally(arena, rule).copies, "the copy to be told")
            arena.bridge.store.shadows.tell(rule, "suite.lingers", id, "original", Told(outcome=SUCCEEDED, backend="-"))
            assert "SoftTimeout" == _disagreement(arena, id).copy.outcome
        else:
            assert 0 == _tally(arena, rule).begun

    def copy_whose_process_is_ended(self, arena: Arena) -> None:
        """A case, called behind the others: what a killed process had asked a broker for may be lost for a while."""
        recovered_s = arena.patience_s + arena.backend.capabilities.recovery_s
        arena = replace(arena, patience_s=recovered_s)
        rule = new_id()
        id = _copy(arena, "lingers", rule, args=msgspec.Raw(b"[30]"), hard_timeout_ms=2_000)

        after = [arena.tasks["plain"].enqueue(n) for n in range(3)]
        for one in after:
            arena.ended(one.id)
        arena.until(lambda: not arena.backend.depth(QUEUE), "the queue to be empty")

        begun = int(arena.backend.capabilities.hard_timeout)
        assert (begun, 0) == (_tally(arena, rule).begun, _tally(arena, rule).copies)
        assert begun == len(arena.lines(f"{id}~shadow"))
        assert "absent" == arena.state(f"{id}~shadow")

    def test_a_copy_of_what_is_not_shadow_safe_does_not_run(self, arena: Arena) -> None:
        """Nor one of a task that is not known here, one that is late, or one with an argument it does not have."""
        rule, past_ms = new_id(), arena.clock.now_ms() - 1_000
        sent = [
            _copy(arena, "undeclared", rule, args=msgspec.Raw(b"[1]")),
            _copy(arena, "of_tomorrow", rule),
            _copy(arena, "shadowed", rule, args=msgspec.Raw(b"[1]"), expires_at_ms=past_ms),
            _copy(arena, "shadowed", rule, kwargs=msgspec.Raw(b'{"n":1,"currency":"EUR"}')),
        ]

        after = arena.tasks["plain"].enqueue(1)
        arena.ended(after.id)
        arena.until(lambda: not arena.backend.depth(QUEUE), "the queue to be empty")

        assert [] == [line for id in sent for line in arena.lines(f"{id}~shadow")]
        assert ["absent"] * 4 == [arena.state(f"{id}~shadow") for id in sent]
        assert 0 == _tally(arena, rule).begun
