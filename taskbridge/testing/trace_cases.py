"""The cases of ``BackendSuite`` about traces: a message keeps what joins it to its sender, whatever way it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..flow.chain import chain
from ..message import new_id

if TYPE_CHECKING:
    from .backend_suite import Arena


@contextmanager
def _traced(arena: Arena) -> Iterator[dict[str, str]]:
    """Have all that is sent inside carry headers that no other message has; returns them."""
    headers = {"traceparent": f"00-{new_id()}-b7ad6b7169203331-01", "baggage": "user=7"}
    now = dict(headers)
    arena.bridge.trace.inject(lambda: now)
    yield headers
    now.clear()


class TraceCases:
    """Inherited by ``BackendSuite``."""

    def test_a_trace_goes_with_a_message(self, arena: Arena) -> None:
        """At once, later, and in each attempt; what nobody traces carries nothing."""
        task = arena.tasks["traced"]
        with _traced(arena) as headers:
            sent = [task.enqueue(), task.using(delay=0.2).enqueue(), task.enqueue(fails=1)]
        bare = task.enqueue()

        for one in (*sent, bare):
            arena.ended(one.id)

        assert [[headers], [headers], [headers] * 2, [{}]] == [
            [line["trace"] for line in arena.lines(one.id)] for one in (*sent, bare)
        ]

    def test_a_trace_goes_through_a_chain(self, arena: Arena) -> None:
        """Every link is in that of who has enqueued the chain."""
        task = arena.tasks["traced"]
        with _traced(arena) as headers:
            sent = chain(task.s(1), task.s(), task.s().using(delay=0.2)).enqueue()

        for n in range(3):
            arena.ended(f"{sent.chain}:{n}")

        assert [[headers]] * 3 == [[line["trace"] for line in arena.lines(f"{sent.chain}:{n}")] for n in range(3)]
