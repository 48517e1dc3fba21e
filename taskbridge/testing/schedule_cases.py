"""The cases of ``BackendSuite`` about schedules: what a worker declares is fired, and what is set at run time holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..operations.schedules import one, reset, run_now, set_to
from ..policies.ticks import Interval
from ..schedules.plan import Changes

if TYPE_CHECKING:
    from .backend_suite import Arena

NAME = "suite.ticking"


class ScheduleCases:
    """Inherited by ``BackendSuite``."""

    def test_a_schedule_fires_each_tick_once(self, arena: Arena) -> None:
        """The worker has declared it for once a month; set to each second it runs within a second, once a tick."""
        store = arena.bridge.store
        arena.until(lambda: any(state.name == NAME for state in store.schedules.all()), "the worker to declare it")
        set_to(store, NAME, Changes(timing=Interval(1_000)))
        arena.until(lambda: len(arena.lines(what="ticking")) >= 4, "four ticks")
        reset(store, NAME)
        line = one(store, NAME)
        arena.until(lambda: len(arena.lines(what="ticking")) >= line.fired, "the last tick to run")

        ran = arena.lines(what="ticking")
        ticks_ms = [int(each["id"].partition("@")[2]) for each in ran]
        assert [ticks_ms[0] + 1_000 * n for n in range(line.fired)] == ticks_ms
        assert ticks_ms == [each["due_ms"] for each in ran]
        assert {"tick"} == {each["text"] for each in ran}
        assert all(0 <= each["at_ms"] - each["due_ms"] < 5_000 for each in ran)
        assert ("on", "", 0, 0) == (line.state, line.set, line.skipped_count, line.missed_count)

    def test_a_schedule_may_be_run_at_once(self, arena: Arena) -> None:
        """Its task runs with its arguments, under a message of its own."""
        store = arena.bridge.store
        arena.until(lambda: any(state.name == NAME for state in store.schedules.all()), "the worker to declare it")
        if not arena.backend.capabilities.processes:
            return
        id, created = run_now(arena.bridge, NAME)

        arena.ended(id)

        assert (True, ["tick"]) == (created, [each["text"] for each in arena.lines(id)])
