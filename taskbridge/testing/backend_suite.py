"""What a backend is: every case a law that holds on every engine and broker.

A backend's test is one subclass with an ``arena`` fixture: a worker serves the queue ``suite`` with one process, and
the arena knows how to reach it. A case reads Capabilities: the feature works, or is refused with ``NotSupported``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import pytest

from ..backend import Backend
from ..bridge import Bridge
from ..clock import SystemClock
from ..errors import ArgumentError, NotSupported, PayloadTooLarge
from ..message import Message, new_id
from ..store import Record
from ..task import Task
from .batch_cases import BatchCases
from .bulk_cases import BulkCases
from .chain_cases import ChainCases
from .chunk_cases import ChunkCases
from .control_cases import ControlCases
from .event_cases import EventCases
from .hook_cases import HookCases
from .ledger_cases import LedgerCases
from .polling_cases import PollingCases
from .route_cases import RouteCases
from .schedule_cases import ScheduleCases
from .shadow_cases import ShadowCases
from .suite_notes import NOTES, QUEUE
from .suite_tasks import Kind, Money
from .trace_cases import TraceCases
from .waiting_cases import WaitingCases

T = TypeVar("T")

#: How long an event may take on a busy machine, seconds.
PATIENCE_S = 20.0

NativeCall = Callable[[str, list[Any], dict[str, Any], str], None]


@dataclass
class Arena:
    """A worker that runs, and the ways to reach it.

    Args:
        bridge: the producer's, on the same settings as the worker.
        tasks: the suite's, declared on it.
        notes: the file the tasks write to.
        push_raw: puts bytes into the queue ``suite`` as a careless producer would.
        send_native: calls a task (name, args, kwargs, queue) by the engine's own means.
        patience_s: how long an event may take, seconds. Defaults to 20.
    """

    bridge: Bridge
    tasks: Mapping[str, Task[..., Any]]
    notes: Path
    push_raw: Callable[[bytes], None]
    send_native: NativeCall
    patience_s: float = PATIENCE_S
    clock: SystemClock = field(default_factory=SystemClock)
    _lines: list[dict[str, Any]] = field(default_factory=list, init=False, repr=False)
    _read: int = field(default=0, init=False, repr=False)

    @property
    def backend(self) -> Backend:
        """The backend under test."""
        return self.bridge.backend(self.bridge.settings.backend)

    def lines(self, id: str | None = None, what: str | None = None) -> list[dict[str, Any]]:
        """What tasks wrote, of one message or of all."""
        if self.notes.exists():
            with self.notes.open("rb") as file:
                file.seek(self._read)
                whole = file.read().rpartition(b"\n")[0]  # the last line may still be on its way
            self._lines += map(json.loads, whole.splitlines())
            self._read += len(whole) + bool(whole)
        return [one for one in self._lines if id in (None, one["id"]) and what in (None, one["what"])]

    def until(self, condition: Callable[[], T], what: str) -> T:
        """Ask until the answer is true, and return it."""
        began_s = self.clock.monotonic_s()
        while not (answer := condition()):
            waited_s = self.clock.monotonic_s() - began_s
            assert waited_s < self.patience_s, f"expected within {self.patience_s} s: {what}"
            self.clock.sleep(min(max(0.005, waited_s / 20), 0.05))
        return answer

    def state(self, id: str) -> str:
        """The state of a message's record, ``absent`` without one."""
        record = self.bridge.store.messages.look(id)
        return record.state if record else "absent"

    def ended(self, id: str, state: str = "DONE") -> Record:
        """Wait until a message has come to this end."""
        self.until(lambda: self.state(id) == state, f"{id} to be {state}, is {self.state(id)}")
        record = self.bridge.store.messages.look(id)
        assert record is not None
        return record

    def publish(self, task: str, **fields: Any) -> str:
        """Publish a message of ours as it is given; returns its id."""
        kwargs = msgspec.Raw(msgspec.json.encode(fields.pop("kwargs", {})))
        fields = {"id": new_id(), "queue": QUEUE, "enqueued_at_ms": self.clock.now_ms(), **fields}
        self.backend.publish([Message(task=task, kwargs=kwargs, **fields)])
        return str(fields["id"])

    def hold_worker(self, tmp_path: Path) -> Path:
        """Keep the one worker process busy; returns the file that frees it."""
        gate = tmp_path / "gate"
        held = self.tasks["waits_for"].enqueue(str(gate))
        self.until(lambda: self.lines(held.id), "the worker to be held")
        return gate


class BackendSuite(
    BatchCases,
    BulkCases,
    ChainCases,
    ChunkCases,
    ControlCases,
    EventCases,
    HookCases,
    LedgerCases,
    PollingCases,
    RouteCases,
    ScheduleCases,
    ShadowCases,
    TraceCases,
    WaitingCases,
):
    """Every backend behaves so."""

    @pytest.fixture
    def arena(self) -> Arena:
        raise NotImplementedError("a subclass gives the arena")

    def test_arguments_come_back_as_annotated(self, arena: Arena) -> None:
        """What is sent as a date, a Decimal, an enum or a dataclass arrives as one, equal."""
        values = {
            "when": datetime(2026, 3, 1, 12, tzinfo=UTC),
            "day": date(2026, 3, 1),
            "span": timedelta(days=1, microseconds=1),
            "price": Decimal("0.10"),
            "key": UUID(int=7),
            "kind": Kind.DEBIT,
            "money": Money(Decimal("-1.005"), "EUR"),
            "address": {"city": "Brno"},
            "maybe": None,
            "table": {"a": [Decimal("1.0"), Decimal("1.00")]},
        }

        sent = arena.tasks["typed"].enqueue(**values)

        arena.ended(sent.id)
        assert [repr(value) for value in values.values()] == arena.lines(sent.id)[0]["values"]

    def test_positional_and_keyword_arguments_mean_the_same(self, arena: Arena) -> None:
        """A call arrives as it was made."""
        one = arena.tasks["plain"].enqueue(1, "x")
        other = arena.tasks["plain"].enqueue(n=1, text="x")

        for sent in (one, other):
            arena.ended(sent.id)
        found = [arena.lines(sent.id)[0] for sent in (one, other)]

        assert [(1, "x"), (1, "x")] == [(line["n"], line["text"]) for line in found]

    def test_a_failure_is_retried_under_the_same_id(self, arena: Arena) -> None:
        """Attempts count from one, the id stays, and the message is done in the end."""
        sent = arena.tasks["failing"].enqueue(2)

        arena.ended(sent.id)

        assert [1, 2, 3] == [line["attempt"] for line in arena.lines(sent.id)]

    def test_the_last_failure_is_a_dead_letter_with_its_traceback(self, arena: Arena) -> None:
        """After its retries a message is among the dead, says why, and runs again when replayed."""
        sent = arena.tasks["doomed"].enqueue()

        record = arena.ended(sent.id, "DEAD")
        runs = len(arena.lines(sent.id))
        replayed = arena.bridge.store.dead.replay(sent.id)

        assert (3, True) == (runs, replayed)
        assert "ValueError: always" in record.why
        assert "in doomed" in record.traceback
        arena.until(lambda: len(arena.lines(sent.id)) == 6, "three more runs")
        arena.ended(sent.id, "DEAD")

    def test_retry_waits_as_long_as_the_task_says(self, arena: Arena) -> None:
        """``Retry(after=)`` beats the back-off, and spends an attempt."""
        sent = arena.tasks["asks_retry"].enqueue(0.3)

        arena.ended(sent.id)
        first, second = arena.lines(sent.id)

        assert (1, 2) == (first["attempt"], second["attempt"])
        assert 300 <= second["at_ms"] - first["at_ms"] < 10_000

    def test_drop_ends_a_message(self, arena: Arena) -> None:
        """Dropped is neither retried nor dead."""
        sent = arena.tasks["drops"].enqueue()

        arena.ended(sent.id)

        assert 1 == len(arena.lines(sent.id))

    def test_a_delayed_message_runs_once_and_not_early(self, arena: Arena) -> None:
        """A delay is kept by the store, to the millisecond on the early side."""
        sent_at_ms = arena.clock.now_ms()
        sent = arena.tasks["plain"].using(delay=0.5).enqueue(1, "late")
        later = arena.tasks["plain"].using(delay=3_600).enqueue(1, "later")

        arena.ended(sent.id)

        (ran,) = arena.lines(sent.id)
        assert ("DELAYED", []) == (arena.state(later.id), arena.lines(later.id))
        assert 500 <= ran["at_ms"] - sent_at_ms < 10_000

    def test_an_expired_message_is_dropped_unrun(self, arena: Arena) -> None:
        """What is not begun before it expires never runs."""
        id = arena.publish("suite.plain", kwargs={"n": 1}, expires_at_ms=arena.clock.now_ms() - 1_000)

        arena.ended(id)

        assert [] == arena.lines(id)

    def test_a_copy_is_recognised(self, arena: Arena) -> None:
        """A message published three times runs once."""
        id = new_id()

        for _ in range(3):
            arena.publish("suite.plain", id=id, kwargs={"n": 3})
        arena.ended(id)
        after = arena.tasks["plain"].enqueue(4)
        arena.ended(after.id)

        assert 1 == len(arena.lines(id))

    def test_an_unknown_task_is_parked(self, arena: Arena) -> None:
        """A task this release does not have waits for a newer worker."""
        id = arena.publish("suite.of_tomorrow", kwargs={"n": 1})

        record = arena.ended(id, "PARKED")

        assert "suite.of_tomorrow" in record.why

    def test_an_unknown_argument_parks_drops_or_fails_as_the_task_says(self, arena: Arena) -> None:
        """By default nothing runs without an argument it was sent."""
        kwargs = {"n": 1, "currency": "EUR"}

        parked = arena.publish("suite.plain", kwargs=kwargs)
        dropped = arena.publish("suite.lenient", kwargs=kwargs)
        failed = arena.publish("suite.strict", kwargs=kwargs)

        assert "currency" in arena.ended(parked, "PARKED").why
        assert "currency" in arena.ended(failed, "DEAD").why
        arena.ended(dropped)
        assert ([], 1, []) == (arena.lines(parked), len(arena.lines(dropped)), arena.lines(failed))

    def test_bands_are_read_in_order(self, arena: Arena, tmp_path: Path) -> None:
        """High goes before normal before low; within a band first come first served, where the broker keeps that."""
        gate, kept = arena.hold_worker(tmp_path), arena.backend.capabilities

        order = [(2, "low-0"), (5, "mid-0"), (9, "high-0"), (0, "low-1"), (4, "mid-1"), (7, "high-1")]
        for priority, text in order:
            arena.tasks["plain"].using(priority=priority).enqueue(priority, text)
        if kept.bands:
            arena.until(lambda: arena.backend.depth(QUEUE) == len(order), "all six to lie in the queue")
        gate.touch()

        def texts() -> list[str]:
            return [line["text"] for line in arena.lines(what="plain") if "-" in line["text"]]

        arena.until(lambda: len(texts()) == len(order), "all six to run")
        ran = texts()
        if kept.bands:
            assert ["high", "high", "mid", "mid", "low", "low"] == [text.partition("-")[0] for text in ran]
            assert not kept.ordered or ["high-0", "high-1", "mid-0", "mid-1", "low-0", "low-1"] == ran
        else:
            assert sorted(text for _, text in order) == sorted(ran)

    def test_sys_exit_is_a_failure_of_the_task_alone(self, arena: Arena) -> None:
        """The worker goes on."""
        sent = arena.tasks["leaves"].enqueue()

        arena.ended(sent.id, "DEAD")
        after = arena.tasks["plain"].enqueue(5)

        arena.ended(after.id)
        assert 1 == len(arena.lines(after.id))

    def test_a_soft_timeout_is_raised_inside_the_task(self, arena: Arena) -> None:
        """Of one call, so that any worker may meet it: kept, or the message is dead unrun and says why."""
        sent = arena.tasks["stays"].using(timeout=1).enqueue(30)

        record = arena.ended(sent.id, "DEAD")

        if arena.backend.capabilities.soft_timeout:
            assert "failed 1 times: SoftTimeout: soft timeout after 1 s" == record.why
            assert ["soft timeout after 1 s"] == [line["met"] for line in arena.lines(sent.id)]
        else:
            assert record.why.startswith("NotSupported: this worker cannot keep the timeout of 1 s of suite.stays")

    def test_a_hard_timeout_ends_the_process_and_the_attempt(self, arena: Arena) -> None:
        """A failed attempt and no crash; where nobody would end it, the message is dead unrun and says why."""
        sent = arena.tasks["stays"].using(hard_timeout=0.2).enqueue(30)

        record = arena.ended(sent.id, "DEAD")
        after = arena.tasks["plain"].enqueue(9)

        arena.ended(after.id)
        assert (0, []) == (record.crashes, arena.lines(sent.id))
        if arena.backend.capabilities.hard_timeout:
            assert "failed 1 times: HardTimeout: hard timeout after 0.2 s" == record.why
        else:
            assert record.why.startswith("NotSupported: this worker cannot keep the hard_timeout of 0.2 s of suite.sta")

    def test_a_copy_whose_process_is_ended_does_not_run_again(self, arena: Arena) -> None:
        """It has begun and never ended, which cost one process; where nobody would end it, it does not run."""
        self.copy_whose_process_is_ended(arena)

    def test_what_runs_is_ended_with_its_process(self, arena: Arena, tmp_path: Path) -> None:
        """Within seconds, and not made again; where nobody would end it, that is said, and its success counts."""
        self.process_whose_message_is_cancelled(arena, tmp_path)

    def test_a_coroutine_is_a_task(self, arena: Arena) -> None:
        """``async def`` runs."""
        sent = arena.tasks["awaits"].enqueue(6)

        arena.ended(sent.id)

        assert 6 == arena.lines(sent.id)[0]["n"]

    def test_the_inbox_commits_an_effect_once(self, arena: Arena, tmp_path: Path) -> None:
        """An attempt that failed after its commit does not pay again."""
        sent = arena.tasks["pays"].enqueue(str(tmp_path / "bank.db"))

        arena.ended(sent.id)

        assert [True, False] == [line["fresh"] for line in arena.lines(sent.id)]

    def test_bytes_that_are_no_message_are_buried_and_the_worker_goes_on(self, arena: Arena) -> None:
        """Undecodable bytes are among the dead letters, as they are."""
        if not arena.backend.capabilities.poison:
            return
        raw = b"\xff\xfe not a message " + new_id().encode()

        arena.push_raw(raw)
        after = arena.tasks["plain"].enqueue(8)

        arena.ended(after.id)
        arena.until(lambda: raw in [one.body for one in arena.bridge.store.dead.list(20)], "the bytes among the dead")

    def test_a_native_call_with_what_is_no_json_is_buried_and_the_worker_goes_on(self, arena: Arena) -> None:
        """NaN and half a surrogate pair, as Python writes them: neither becomes another value, nor is it lost."""
        if not arena.backend.capabilities.native_producers:
            return
        text = new_id()

        arena.send_native("suite.plain", [float("nan")], {"text": f"{text}-1"}, QUEUE)
        arena.send_native("suite.plain", [1], {"text": f"{text}-2 \ud800"}, QUEUE)
        after = arena.tasks["plain"].enqueue(8)

        arena.ended(after.id)

        def buried() -> list[bytes]:
            return [one.body for one in arena.bridge.store.dead.list(50) if text.encode() in one.body]

        arena.until(lambda: len(buried()) == 2, "both calls among the dead")
        assert [] == [one for one in arena.lines(what="plain") if text in one["text"]]

    def test_a_plain_producer_of_the_engine_can_call_a_task(self, arena: Arena) -> None:
        """A native message, without a word of ours, runs under the same contract."""
        text = new_id()
        if not arena.backend.capabilities.native_producers:
            with pytest.raises(NotSupported):
                arena.send_native("suite.plain", [9], {"text": text}, QUEUE)
            return

        arena.send_native("suite.plain", [9], {"text": text}, QUEUE)

        arena.until(lambda: any(one["text"] == text for one in arena.lines(what="plain")), "the native call to run")
        (ran,) = [one for one in arena.lines(what="plain") if one["text"] == text]
        arena.ended(ran["id"])
        assert ran["id"].endswith("#0")

    def test_what_json_cannot_carry_is_refused_where_it_is_sent(self, arena: Arena) -> None:
        """A wrong call is an error of the caller, and nothing is sent."""
        before = arena.backend.depth(QUEUE)
        plain = arena.tasks["plain"]

        with pytest.raises(ArgumentError, match="unexpected keyword"):
            plain.enqueue(1, colour="red")
        with pytest.raises(ArgumentError, match="expected"):
            plain.enqueue("one")
        with pytest.raises(PayloadTooLarge, match="pass its id"):
            plain.enqueue(1, "x" * 70_000)

        assert before == arena.backend.depth(QUEUE)


def notes_in(directory: Path) -> Path:
    """Name the notes' file for this process and those it starts."""
    path = directory / "notes.jsonl"
    os.environ[NOTES] = str(path)
    return path
