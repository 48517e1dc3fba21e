"""The cases of ``BackendSuite`` about those who subscribe to events: they hear the same, whatever carries the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backend_suite import Arena

#: An attempt that is run.
RUN = ["Received", "Started"]


def _heard(arena: Arena, id: str, count: int) -> list[str]:
    """The kinds that a listener has noted of a message, in order, once there are so many."""
    arena.until(lambda: len(arena.lines(id, "heard")) >= count, f"{count} events of {id}")
    return [line["kind"] for line in arena.lines(id, "heard")]


class EventCases:
    """Inherited by ``BackendSuite``."""

    def test_subscribers_hear_a_life_in_order(self, arena: Arena) -> None:
        """Each step of each attempt, in the process that ran it; outside of the task's context."""
        sent = arena.tasks["heard"].enqueue(1)

        arena.ended(sent.id)

        assert [*RUN, "Retried", *RUN, "Succeeded"] == _heard(arena, sent.id, 6)
        heard, ran = arena.lines(sent.id, "heard"), arena.lines(sent.id, "task")
        assert [1, 1, 1, 2, 2, 2] == [line["attempt"] for line in heard]
        assert {line["pid"] for line in ran} == {line["pid"] for line in heard}
        assert {False} == {line["inside"] for line in heard}

    def test_subscribers_hear_of_the_last_failure(self, arena: Arena) -> None:
        """With the exception itself, and when it was; who asked for failures alone hears of nothing else."""
        before_ms = arena.clock.now_ms()
        sent = arena.tasks["heard"].enqueue(9)

        arena.ended(sent.id, "DEAD")

        assert [*RUN, "Retried", *RUN, "Failed"] == _heard(arena, sent.id, 6)
        (failure,) = arena.until(lambda: arena.lines(sent.id, "heard failure"), "the failure to be heard")
        assert "ValueError('attempt 2')" == failure["error"]
        assert before_ms - 1_000 <= failure["then_ms"] <= failure["at_ms"] + 1_000  # by the store's clock

    def test_subscribers_that_fail_or_hang_harm_nothing(self, arena: Arena) -> None:
        """The work goes on, and others hear."""
        sent = [arena.tasks["heard_badly"].enqueue() for _ in range(5)]

        for one in sent:
            arena.ended(one.id)

        for one in sent:
            assert [*RUN, "Succeeded"] == _heard(arena, one.id, 3)
