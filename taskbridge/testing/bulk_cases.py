"""The case of ``BackendSuite`` about calls in bulk: more than one trip carries."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..enqueue import BULK

if TYPE_CHECKING:
    from .backend_suite import Arena


class BulkCases:
    """Inherited by ``BackendSuite``."""

    def test_many_run_once_each(self, arena: Arena) -> None:
        """Of calls in bulk, more than one trip carries, each runs exactly once; however long all of them take."""
        before, count = len(arena.lines(what="plain")), BULK + 100

        sent = arena.tasks["plain"].enqueue_many({"n": n, "text": "bulk"} for n in range(count))

        ran = 0
        while ran < count:
            more = partial(_more_than, arena, before + ran)
            ran = arena.until(more, f"more than {ran} of {count} runs") - before
        numbers = sorted(line["n"] for line in arena.lines(what="plain") if line["text"] == "bulk")
        assert (count, list(range(count))) == (sent.created, numbers)


def _more_than(arena: Arena, count: int) -> int:
    """How many have run by now, if that is more; 0 otherwise."""
    now = len(arena.lines(what="plain"))
    return now if now > count else 0
