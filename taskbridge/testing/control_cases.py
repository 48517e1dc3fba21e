"""The cases of ``BackendSuite`` about control: pause, resume, cancel, and who did what; the same wherever tasks run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..errors import ConfigError
from ..message import new_id
from ..operations.audit import audit
from ..operations.control import cancel, pause, pauses, resume
from .suite_notes import QUEUE

if TYPE_CHECKING:
    from .backend_suite import Arena

#: How long a worker may take to leave a queue alone, seconds, and a little more.
OBEYED_S = 1.2


class ControlCases:
    """Inherited by ``BackendSuite``."""

    def test_a_paused_task_waits_and_nobody_else(self, arena: Arena) -> None:
        """Unstarted, in the store; resumed, each runs once, in the order of arrival."""
        text = new_id()
        with paused(arena, "task", "suite.plain"):
            sent = [arena.tasks["plain"].enqueue(n, text).id for n in range(5)]
            for id in sent:
                arena.ended(id, "PAUSED")
            arena.ended(arena.tasks["drops"].enqueue().id)
            records = [arena.bridge.store.messages.look(id) for id in sent]
        for id in sent:
            arena.ended(id)

        ran = [one["n"] for one in arena.lines(what="plain") if one["text"] == text]
        assert [("task suite.plain", 0)] * 5 == [(one.waits_at, one.starts) for one in records if one]
        assert list(range(5)) == (ran if arena.backend.capabilities.ordered else sorted(ran))
        assert [] == pauses(arena.bridge)

    def test_a_paused_queue_rests(self, arena: Arena) -> None:
        """What is sent to it waits, there or in the store; resumed, all of it runs, what came first first."""
        text = new_id()
        with paused(arena, "queue", QUEUE):
            sent = [arena.tasks["plain"].enqueue(n, text).id for n in range(3)]
            arena.clock.sleep(OBEYED_S)
            sent += [arena.tasks["plain"].enqueue(n, text).id for n in range(3, 6)]
            arena.until(lambda: rest(arena, sent), "each to wait where it rests")
            states = {arena.state(id) for id in sent}
        for id in sent:
            arena.ended(id)

        ran = [one["n"] for one in arena.lines(what="plain") if one["text"] == text]
        assert {"absent", "PAUSED"} >= states
        assert list(range(6)) == (ran if arena.backend.capabilities.ordered else sorted(ran))

    def test_a_paused_key_stops_whoever_needs_it(self, arena: Arena) -> None:
        """One lock's key: another's messages go on, though they are of the same task."""
        who, other = new_id(), new_id()
        with paused(arena, "key", f'suite:"{who}"'):
            sent = [arena.tasks["guarded"].enqueue(who, n).id for n in range(3)]
            for id in sent:
                arena.ended(id, "PAUSED")
            arena.ended(arena.tasks["guarded"].enqueue(other, 0).id)
        for id in sent:
            arena.ended(id)

        ran = [one["n"] for one in arena.lines(what="guarded") if one["who"] == who]
        assert [0, 1, 2] == (ran if arena.backend.capabilities.ordered else sorted(ran))

    def test_what_waits_is_cancelled(self, arena: Arena, tmp_path: Path) -> None:
        """Delayed, waiting for a lock, paused, or in the engine's queue, where the store has not seen it: none runs."""
        who, plain = new_id(), arena.tasks["plain"]
        delayed = plain.using(delay=60).enqueue(1, who).id
        with arena.bridge.lock(f'suite:"{who}"', timeout=20), paused(arena, "task", "suite.drops"):
            locked, stopped = arena.tasks["guarded"].enqueue(who, 1).id, arena.tasks["drops"].enqueue().id
            arena.ended(locked, "LOCKED")
            arena.ended(stopped, "PAUSED")
            gate = arena.hold_worker(tmp_path)
            queued = plain.enqueue(2, who).id
            done = [cancel(arena.bridge, id, why="by the suite") for id in (delayed, locked, stopped, queued)]
        gate.touch()
        arena.ended(plain.enqueue(3, who).id)

        assert [True, True, True, False] == [one.ended for one in done]
        for one in done:
            arena.ended(one.id)
        assert [[]] * 4 == [arena.lines(one.id) for one in done]
        assert arena.ended(locked).why.endswith(": by the suite")

    def process_whose_message_is_cancelled(self, arena: Arena, tmp_path: Path) -> None:
        """A case, called behind the others: what a killed process had asked a broker for may be lost for a while."""
        recovered_s = arena.patience_s + arena.backend.capabilities.recovery_s
        arena = replace(arena, patience_s=recovered_s)
        gate = tmp_path / "gate"
        id = arena.tasks["waits_for"].enqueue(str(gate)).id
        arena.until(lambda: arena.lines(id), "it to run")

        done = cancel(arena.bridge, id, kill=True)
        ends = "its process is ended" in done.says
        if not ends:
            gate.touch()
        record = arena.ended(id)

        arena.ended(arena.tasks["plain"].enqueue(9).id)
        assert (1, ends) == (len(arena.lines(id)), record.why.startswith("cancelled by "))
        assert ends or "is not ended" in done.says

    def test_what_has_ended_is_not_cancelled_and_all_is_noted(self, arena: Arena) -> None:
        """It says so and stays as it is; the audit log tells the action, and that it was refused."""
        id = arena.tasks["plain"].enqueue(4).id
        before = arena.ended(id)

        with pytest.raises(ConfigError, match="has ended already"):
            cancel(arena.bridge, id, who="me@suite")

        assert before == arena.bridge.store.messages.look(id)
        refusal, action = audit(arena.bridge.store, 2)
        assert ("me@suite", "cancel", f"message {id}") == (action.who, action.verb, action.subject)
        assert refusal.detail.startswith("refused: ")


def rest(arena: Arena, ids: Sequence[str]) -> bool:
    """Whether no process has one of these in its hands, or will have before the queue is resumed."""
    kept = sum(arena.state(id) == "PAUSED" for id in ids)
    queued = arena.backend.depth(QUEUE) if arena.backend.capabilities.rests else 0
    return kept + queued >= len(ids)


@contextmanager
def paused(arena: Arena, kind: str, name: str) -> Iterator[None]:
    """Pause it inside the block, and resume it, come what may."""
    pause(arena.bridge, kind, name, why="by the suite")
    try:
        yield
    finally:
        resume(arena.bridge, kind, name)
