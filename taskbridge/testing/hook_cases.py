"""The cases of ``BackendSuite`` about hooks and middleware: the same around each run, whatever carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backend_suite import Arena


def _whats(arena: Arena, id: str) -> list[str]:
    """What was noted of a message, in order."""
    return [line["what"] for line in arena.lines(id)]


#: Of one run of a task that has two middleware.
BEGINS = ["before first", "before second", "bridge in", "outer in", "inner in", "task"]
ENDS = ["inner out", "outer out", "bridge out"]
AFTER = ["after first", "after second"]


class HookCases:
    """Inherited by ``BackendSuite``."""

    def test_hooks_and_middleware_run_in_declared_order(self, arena: Arena) -> None:
        """Before hooks, the bridge's middleware, the task's, the task, and back; what middleware sets holds inside."""
        sent = arena.tasks["hooked"].enqueue()

        arena.ended(sent.id)

        assert [*BEGINS, *ENDS, *AFTER] == _whats(arena, sent.id)
        assert ["bank"] == [line["tenant"] for line in arena.lines(sent.id, "task")]

    def test_middleware_is_around_a_coroutine(self, arena: Arena) -> None:
        """An ``async def`` task has ended when its middleware goes on, and its context holds inside."""
        sent = arena.tasks["hooked_awaits"].enqueue()

        arena.ended(sent.id)

        assert [*BEGINS, *ENDS, *AFTER] == _whats(arena, sent.id)
        assert ["bank"] == [line["tenant"] for line in arena.lines(sent.id, "task")]

    def test_failure_hooks_hear_of_each_failure(self, arena: Arena) -> None:
        """Final when it is among the dead; what comes after a run comes after each."""
        sent = arena.tasks["hooked"].enqueue(9)

        arena.ended(sent.id, "DEAD")

        assert [*BEGINS, *ENDS, "failure", *AFTER] * 3 == _whats(arena, sent.id)
        failures = [(line["error"], line["final"]) for line in arena.lines(sent.id, "failure")]
        assert [("attempt 1", False), ("attempt 2", False), ("attempt 3", True)] == failures
        assert ["Again", "Again", "Ended"] == [line["outcome"] for line in arena.lines(sent.id, "after first")]

    def test_before_task_stops_a_run(self, arena: Arena) -> None:
        """It is a failed attempt; the task is not called, and runs with the next one."""
        sent = arena.tasks["hooked_stopped"].enqueue()

        arena.ended(sent.id)

        assert [
            *("before first", "before second", "failure", *AFTER),
            *("before first", "before second", "bridge in", "task", "bridge out", *AFTER),
        ] == _whats(arena, sent.id)
        assert [2] == [line["attempt"] for line in arena.lines(sent.id, "task")]

    def test_hook_that_looks_on_cannot_break_the_work(self, arena: Arena) -> None:
        """A failing ``after_task`` neither fails nor repeats a run, and the worker goes on."""
        sent = arena.tasks["hooked_broken"].enqueue()

        arena.ended(sent.id)
        after = arena.tasks["hooked_plain"].enqueue()
        arena.ended(after.id)

        for id in (sent.id, after.id):
            assert ["before first", "before second", "bridge in", "task", "bridge out", *AFTER] == _whats(arena, id)

    def test_middleware_drops_and_reschedules(self, arena: Arena) -> None:
        """What it raises is judged as if the task had raised it: dropped is not dead, again spends no attempt."""
        dropped = arena.tasks["hooked_dropped"].enqueue()
        again = arena.tasks["hooked_waits"].enqueue()

        for sent in (dropped, again):
            arena.ended(sent.id)

        assert [] == arena.lines(dropped.id, "task") + arena.lines(dropped.id, "failure")
        assert [1] == [line["attempt"] for line in arena.lines(again.id, "task")]
        assert ["Again", "Done"] == [line["outcome"] for line in arena.lines(again.id, "after first")]

    def test_middleware_answers_for_the_task(self, arena: Arena) -> None:
        """One that does not call next ends the run as done."""
        sent = arena.tasks["hooked_answered"].enqueue()

        arena.ended(sent.id)

        assert [] == arena.lines(sent.id, "task")
        assert ["Done"] == [line["outcome"] for line in arena.lines(sent.id, "after first")]

    def test_a_process_starts_once_before_its_first_task(self, arena: Arena) -> None:
        """However much it runs; no process runs a task without."""
        for _ in range(5):
            arena.ended(arena.tasks["hooked_plain"].enqueue().id)

        lines = arena.lines()
        first = {
            pid: next(line["what"] for line in lines if line["pid"] == pid) for pid in {one["pid"] for one in lines}
        }

        assert {"started"} == set(first.values())
        assert len(first) == len(arena.lines(what="started"))
