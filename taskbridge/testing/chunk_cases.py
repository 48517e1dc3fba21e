"""The cases of ``BackendSuite`` about runs: chunk follows chunk, on every engine and under its own command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..errors import NotSupported
from ..store.flow import RunState
from .suite_notes import QUEUE

if TYPE_CHECKING:
    from .backend_suite import Arena


class ChunkCases:
    """Inherited by ``BackendSuite``."""

    def test_every_item_is_in_one_chunk(self, arena: Arena) -> None:
        """With the caller's arguments, which are the task's own behind the chunk."""
        sent = arena.tasks["generates"].enqueue("monthly", page=7)

        run = _ended(arena, sent.id)

        chunks = [one for one in arena.lines(what="chunk") if one.get("run") == sent.id]
        assert [list(range(10)), list(range(10, 20)), list(range(20, 25))] == [one["items"] for one in chunks]
        assert [("monthly", 7, n) for n in range(3)] == [(one["kind"], one["page"], one["number"]) for one in chunks]
        assert ("done", 25, 25) == (run.state, run.done, run.total)

    def test_a_native_call_starts_a_run(self, arena: Arena) -> None:
        """Its producer need not know that the task is chunked."""
        if not arena.backend.capabilities.native_producers:
            with pytest.raises(NotSupported):
                arena.send_native("suite.generates", ["native"], {}, QUEUE)
            return

        before = len(arena.lines(what="chunk"))
        arena.send_native("suite.generates", ["native"], {}, QUEUE)
        arena.until(lambda: len(_chunks(arena, "native")) == 3, "three chunks")

        assert before + 3 == len(arena.lines(what="chunk"))
        assert list(range(25)) == [item for one in _chunks(arena, "native") for item in one["items"]]

    def test_a_run_waits_for_what_it_has_enqueued(self, arena: Arena) -> None:
        """Delayed and retried messages are open; a chunk that is repeated enqueues nothing twice."""
        sent = arena.tasks["floods"].enqueue()

        run = _ended(arena, sent.id)
        arena.until(lambda: not _look(arena, sent.id).open, "all that it enqueued to end")

        chunks = arena.lines(what="chunk", id=sent.id)
        chunks += [one for n in (1, 2) for one in arena.lines(what="chunk", id=f"{sent.id}:{n}")]
        counted = [one for one in arena.lines(what="counted") if one["n"] < 6]
        ends = [max(one["at_ms"] for one in counted if one["n"] // 2 == number) for number in range(2)]
        starts = [min(one["at_ms"] for one in chunks if one["number"] == number) for number in (1, 2)]
        assert [(0, 2), (0, 0), (1, 2), (1, 0), (2, 2), (2, 0)] == [(one["number"], one["created"]) for one in chunks]
        assert all(ended <= began for ended, began in zip(ends, starts, strict=True))
        assert (6, "done") == (run.enqueued, run.state)

    def test_a_run_is_alone_to_its_end(self, arena: Arena, tmp_path: Path) -> None:
        """Its keys and its lock are its own from the first chunk to the last, and free then."""
        gate = tmp_path / "gate"
        first = arena.tasks["alone"].enqueue(str(gate))
        arena.until(lambda: arena.lines(id=f"{first.id}:1"), "the second chunk")
        second = arena.tasks["alone"].enqueue(str(gate))
        held = [lock for lock in arena.bridge.store.waiting.locks() if lock.key == "suite:alone"]
        gate.touch()
        run = _ended(arena, first.id)
        third = arena.tasks["alone"].enqueue(str(gate))
        _ended(arena, third.id)

        assert (first.id, False) == (second.id, second.created)
        assert 1 == len(held)
        assert ("done", 3, True) == (run.state, run.done, third.created)
        assert not [lock for lock in arena.bridge.store.waiting.locks() if lock.key == "suite:alone"]

    def test_a_run_that_failed_goes_on_when_replayed(self, arena: Arena, tmp_path: Path) -> None:
        """It says why it stopped; the chunk that died and all that is left are run."""
        gate = tmp_path / "gate"
        sent = arena.tasks["breaks"].enqueue(str(gate))
        arena.until(lambda: _look(arena, sent.id).state == "failed", "the run to fail")
        failed = _look(arena, sent.id)
        gate.touch()
        arena.bridge.store.dead.replay(failed.current)

        run = _ended(arena, sent.id)

        assert "no disk" in failed.error
        assert (1, f"{sent.id}:1") == (failed.done, failed.current)
        assert ("done", 3) == (run.state, run.done)

    def test_a_run_is_paused_and_cancelled(self, arena: Arena) -> None:
        """Paused, no chunk begins; resumed, it goes on where it was; cancelled, it ends and frees what it held."""
        sent = arena.tasks["steered"].enqueue()
        arena.until(lambda: arena.lines(id=sent.id), "the first chunk")
        runs = arena.bridge.store.runs
        runs.steer(sent.id, "pause")
        arena.until(lambda: arena.state(_look(arena, sent.id).current) == "HELD", "the next chunk to be held")
        paused = _look(arena, sent.id)
        runs.steer(sent.id, "resume")
        arena.until(lambda: _look(arena, sent.id).chunk > paused.chunk, "it to go on")
        runs.steer(sent.id, "cancel")

        arena.until(lambda: _look(arena, sent.id).state == "cancelled", "it to be cancelled")

        assert not [lock for lock in arena.bridge.store.waiting.locks() if lock.key == "suite:steered"]
        other = arena.tasks["steered"].enqueue()
        assert other.created
        _look(arena, other.id)
        runs.steer(other.id, "cancel")
        arena.until(lambda: not _open_runs(arena), "the other run to end")


def _look(arena: Arena, id: str) -> RunState:
    return arena.until(lambda: arena.bridge.store.runs.look(id), f"run {id} to begin")  # type: ignore[return-value]


def _ended(arena: Arena, id: str) -> RunState:
    arena.until(lambda: _look(arena, id).ended_ms, f"run {id} to end")
    return _look(arena, id)


def _chunks(arena: Arena, kind: str) -> list[dict[str, Any]]:
    return [one for one in arena.lines(what="chunk") if one.get("kind") == kind]


def _open_runs(arena: Arena) -> list[RunState]:
    return [run for run in arena.bridge.store.runs.newest(100) if not run.ended_ms]
