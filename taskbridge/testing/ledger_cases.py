"""The cases of ``BackendSuite`` about ``ledger=False``: no record while all is well, and one as soon as it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..message import new_id
from ..operations.control import cancel
from .control_cases import paused
from .suite_notes import QUEUE

if TYPE_CHECKING:
    from .backend_suite import Arena


def light(arena: Arena, **fields: object) -> str:
    """Publish a call of the task; returns its id."""
    return arena.publish("suite.light", kwargs={"n": 1, **fields.pop("kwargs", {})}, **fields)  # type: ignore[dict-item]


def without_records(arena: Arena) -> None:
    """Have nothing recorded because of what other cases did, and wait until the worker knows."""
    arena.bridge.store.control.record_all(0)

    def leaves_none() -> bool:
        id = light(arena)
        arena.until(lambda: arena.lines(id), "it to run")
        arena.ended(arena.tasks["plain"].enqueue(1).id)  # it is told with or before this one
        return arena.state(id) == "absent"

    arena.until(leaves_none, "the worker to record nothing that wants no ledger")


def recorded(arena: Arena) -> None:
    """Wait until the worker records all of them."""

    def leaves_one() -> bool:
        id = light(arena)
        arena.until(lambda: arena.lines(id), "it to run")
        arena.ended(arena.tasks["plain"].enqueue(1).id)
        return arena.state(id) == "DONE"

    arena.until(leaves_one, "the worker to record what wants no ledger, too")


class LedgerCases:
    """Inherited by ``BackendSuite``."""

    def test_without_a_ledger_a_success_leaves_no_record(self, arena: Arena) -> None:
        """Each of many runs; the store knows of none, and none has a fencing token."""
        without_records(arena)
        sent = [light(arena, kwargs={"n": n}) for n in range(20)]
        for id in sent:
            arena.until(lambda id=id: arena.lines(id), "it to run")  # type: ignore[misc]
        arena.ended(arena.tasks["plain"].enqueue(1).id)

        ran = [[(one["n"], one["attempt"], one["fence"]) for one in arena.lines(id)] for id in sent]
        assert [[(n, 1, 0)] for n in range(20)] == ran
        assert {"absent"} == {arena.state(id) for id in sent}
        arena.until(lambda: not arena.backend.depth(QUEUE), "the queue to be empty")

    def test_without_a_ledger_a_failure_is_retried_and_recorded(self, arena: Arena) -> None:
        """Attempts count from one; the last failure is a dead letter with its traceback, which can be replayed."""
        without_records(arena)
        failing, doomed = light(arena, kwargs={"n": 1, "fails": 2}), light(arena, kwargs={"n": 1, "fails": 9})

        arena.ended(failing)
        record = arena.ended(doomed, "DEAD")
        replayed = arena.bridge.store.dead.replay(doomed)

        assert [1, 2, 3] == [one["attempt"] for one in arena.lines(failing)]
        assert replayed
        assert "ValueError: attempt 3" in record.why
        assert "in light" in record.traceback
        arena.until(lambda: len(arena.lines(doomed)) == 6, "three more runs")
        arena.ended(doomed, "DEAD")

    def test_without_a_ledger_a_task_may_ask_to_be_run_again(self, arena: Arena) -> None:
        """It polls like any other; each time with what it asked for."""
        without_records(arena)
        sent = arena.tasks["light_polls"].enqueue(3)

        arena.ended(sent.id)

        assert [3, 2, 1, 0] == [one["left"] for one in arena.lines(sent.id)]

    def test_what_the_store_keeps_for_a_while_stays_recorded(self, arena: Arena) -> None:
        """A delay is kept as ever, and each runs once however often its copy comes."""
        sent_at_ms = arena.clock.now_ms()
        sent = arena.tasks["light"].using(delay=0.3).enqueue(1)

        arena.ended(sent.id)

        (ran,) = arena.lines(sent.id)
        assert ran["at_ms"] - sent_at_ms >= 300
        assert ran["fence"] > 0

    def test_without_a_ledger_what_has_expired_or_does_not_fit_never_runs(self, arena: Arena) -> None:
        """The one is dropped, and forgotten; the other is a dead letter that says why."""
        without_records(arena)
        late = light(arena, expires_at_ms=arena.clock.now_ms() - 1_000)
        in_time = light(arena, expires_at_ms=arena.clock.now_ms() + 3_600_000, kwargs={"n": 1, "fails": 1})
        strange = light(arena, kwargs={"n": 1, "currency": "EUR"})

        record = arena.ended(strange, "DEAD")
        arena.ended(in_time)
        arena.until(lambda: not arena.backend.depth(QUEUE), "the queue to be empty")

        assert "currency" in record.why
        assert ("absent", [], []) == (arena.state(late), arena.lines(late), arena.lines(strange))
        assert 2 == len(arena.lines(in_time))

    def test_without_a_ledger_a_pause_and_a_cancel_are_kept(self, arena: Arena) -> None:
        """While either holds, all are recorded: what is paused waits in turn, what is cancelled never runs."""
        without_records(arena)
        with paused(arena, "task", "suite.light_polls"):
            waits = arena.until(lambda: _held(arena), "one to be kept waiting")
        arena.ended(waits)
        id = new_id()
        cancel(arena.bridge, id)
        recorded(arena)
        light(arena, id=id)
        arena.ended(arena.tasks["plain"].enqueue(1).id)

        assert "paused" in {note.what for note in arena.ended(waits).trail}
        assert ("DONE", []) == (arena.state(id), arena.lines(id))
        without_records(arena)


def _held(arena: Arena) -> str:
    """Send one; returns its id if it is paused, and nothing if it ran before the worker had heard."""
    id = arena.tasks["light_polls"].enqueue(0).id
    arena.until(lambda: arena.lines(id) or arena.state(id) == "PAUSED", "it to run or to wait")
    return id if arena.state(id) == "PAUSED" else ""
