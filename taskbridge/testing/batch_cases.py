"""The cases of ``BackendSuite`` about batches: every member counts once, and each callback is made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ..flow.batch import When
from ..flow.progress import BatchProgress
from ..message import new_id

if TYPE_CHECKING:
    from .backend_suite import Arena


def counts(arena: Arena, id: str) -> tuple[int, int, int, int, int, bool]:
    """Total, open, done, failed, dropped, and whether it is complete."""
    one: BatchProgress | None = arena.bridge.batch_progress(id)
    assert one is not None
    return one.total, one.open, one.done, one.failed, one.dropped, one.complete


class BatchCases:
    """Inherited by ``BackendSuite``."""

    def test_a_batch_calls_back_once_when_its_last_member_ends(self, arena: Arena) -> None:
        """Members of two tasks, one of them retried: the callback comes after all, with its own arguments."""
        text, tasks = new_id(), arena.tasks
        members = [*(tasks["plain"].s(n, text) for n in range(20)), tasks["failing"].s(2)]

        batch = arena.bridge.batch(members).then(tasks["plain"].s(99, text)).on_error(tasks["plain"].s(98, text))
        sent = batch.enqueue()
        arena.ended(f"{sent.id}:then")

        ran = [line["n"] for line in arena.lines(what="plain") if line["text"] == text]
        assert (21, [*range(20), 99], 99) == (sent.created, sorted(ran), ran[-1])
        assert (21, 0, 21, 0, 0, True) == counts(arena, sent.id)
        assert "absent" == arena.state(f"{sent.id}:error")

    @pytest.mark.parametrize("when", ["all_done", "all_succeeded"])
    def test_a_failed_member_hangs_no_batch(self, arena: Arena, when: When) -> None:
        """Dead and dropped members have ended: ``on_error`` tells of it, ``then`` comes if that is all it waits for."""
        tasks = arena.tasks
        batch = arena.bridge.batch([tasks["plain"].s(1), tasks["doomed"].s(), tasks["drops"].s()], when=when)

        sent = batch.then(tasks["plain"].s(2)).on_error(tasks["plain"].s(3)).enqueue()
        arena.ended(f"{sent.id}:error")

        assert (3, 0, 1, 1, 1, True) == counts(arena, sent.id)
        assert (when == "all_done") == (arena.state(f"{sent.id}:then") != "absent")

    def test_a_batch_is_filled_while_it_runs(self, arena: Arena) -> None:
        """Its first members end before others are added: it is complete when the block is left."""
        text, tasks = new_id(), arena.tasks
        with arena.bridge.open_batch(then=tasks["plain"].s(9, text)) as b:
            first = b.add(tasks["plain"].s(1, text))
            arena.ended(first.id)
            between = counts(arena, b.id)
            b.enqueue_many(tasks["plain"], [{"n": 2, "text": text}, (3, text)])
        arena.ended(f"{b.id}:then")

        ran = [line["n"] for line in arena.lines(what="plain") if line["text"] == text]
        assert ((1, 0, 1, 0, 0, False), (3, 0, 3, 0, 0, True)) == (between, counts(arena, b.id))
        assert ([1, 2, 3, 9], 1, 9) == (sorted(ran), ran[0], ran[-1])

    def test_a_task_that_fills_a_batch_may_be_repeated(self, arena: Arena) -> None:
        """It failed in the middle, at the end and after it: one batch, each member once, one callback."""
        text = new_id()

        sent = arena.tasks["builds"].enqueue(text, 5)
        arena.ended(sent.id)
        (id,) = {line["batch"] for line in arena.lines(sent.id)}
        arena.ended(f"{id}:then")

        lines = [line for line in arena.lines(what="plain") if line["text"].startswith(text)]
        assert 4 == len(arena.lines(sent.id))
        assert [(n, text) for n in range(5)] == sorted((line["n"], line["text"]) for line in lines[:-1])
        assert (5, f"{text} then", f"{id}:then") == (lines[-1]["n"], lines[-1]["text"], lines[-1]["id"])
        assert (5, 0, 5, 0, 0, True) == counts(arena, id)
