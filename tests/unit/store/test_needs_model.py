"""Random interleavings of messages that need locks and tokens, with faults, on both stores.

The engine is a bag of copies, as in ``test_protocol_model.py``. No more hold a lock than may; a lock that the head of
its line could have is never left lying; nobody starts without a token; who starts is told how long it has waited since
its last start, and for what; without further faults everything settles.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from taskbridge.message import Message, decode, encode
from taskbridge.needs import NeedsLock, NeedsTokens
from taskbridge.store import LEASE_MS, RESERVED_MS, Begin, Finish, Store
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message
from tests.servers import RedisServer
from tests.unit.store.faked import FakedRedis
from tests.unit.store.test_protocol_model import SWEEP_MS

WORKERS, MESSAGES = 3, 5

A, B, POOL = NeedsLock("a"), NeedsLock("b"), NeedsLock("pool", at_most=2)
SLOW = NeedsTokens("slow", "slow", 1_000_000, 2)

#: What messages ask for; the n-th message asks for the n-th of these.
NEEDS: list[tuple[tuple[NeedsLock, ...], tuple[NeedsTokens, ...]]] = [
    ((A,), ()),
    ((A, B), ()),
    ((B, A), (SLOW,)),
    ((POOL,), (SLOW,)),
    ((POOL, A), ()),
]

SETTLED = {"DONE", "DEAD"}

some = st.integers(min_value=0, max_value=9)
flag = st.booleans()


@dataclass
class Worker:
    """What it fetched, the claim it made, and whether it runs it."""

    copy: Message | None = None
    claim: str = ""
    runs: bool = False


class Needing(RuleBasedStateMachine):
    """Every rule is one request of one process, or one fault."""

    def __init__(self, store: Store, advance: Callable[[int], None], now_ms: int) -> None:
        super().__init__()
        self.store, self.advance, self.now_ms = store, advance, now_ms
        self.messages: list[Message] = []
        self.bag: list[Message] = []
        self.workers = [Worker() for _ in range(WORKERS)]
        self.claims = 0
        self.starts: list[int] = []
        self.begun: set[str] = set()
        self.waited: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.parked: dict[str, tuple[int, int]] = {}

    @precondition(lambda self: len(self.messages) < MESSAGES)
    @rule()
    def enqueue(self) -> None:
        message = a_message(id=f"m{len(self.messages)}")
        self.messages.append(message)
        self.bag.append(message)

    @precondition(lambda self: self.bag and any(not worker.copy for worker in self.workers))
    @rule(i=some, reply_lost=flag)
    def deliver(self, i: int, reply_lost: bool) -> None:
        worker = next(worker for worker in self.workers if not worker.copy)
        self.claims += 1
        worker.copy, worker.claim = self.bag.pop(i % len(self.bag)), f"c{self.claims}"
        verdict = self.ask(worker)
        if reply_lost:
            again = self.ask(worker)
            assert again == verdict or (again == "stale" and verdict in {"locked", "throttled", "busy"})
        worker.runs = verdict == "run"
        worker.copy = worker.copy if worker.runs else None

    @precondition(lambda self: any(worker.runs for worker in self.workers))
    @rule(i=some, end=st.sampled_from(["DONE", "DONE", "DEAD", "DELAYED", "READY", "PARKED", "THROTTLED"]))
    def finish(self, i: int, end: str) -> None:
        running = [worker for worker in self.workers if worker.runs]
        worker = running[i % len(running)]
        assert worker.copy
        due_ms = 1_000 if end in {"DELAYED", "PARKED", "THROTTLED"} else 0
        group = "slow" if end == "THROTTLED" else "g"
        request = Finish(id=worker.copy.id, claim=worker.claim, state=end, due_ms=due_ms, group=group)
        assert self.store.claims.finish(request) in {"ok", "refused"}
        worker.copy, worker.runs = None, False

    @precondition(lambda self: any(worker.copy for worker in self.workers))
    @rule(i=some, seen=flag)
    def die(self, i: int, seen: bool) -> None:
        holding = [worker for worker in self.workers if worker.copy]
        worker = holding[i % len(holding)]
        assert worker.copy
        self.bag.append(worker.copy)
        if seen:
            self.store.claims.lose(worker.copy.id, worker.claim)
        worker.copy, worker.runs = None, False

    @precondition(lambda self: self.bag)
    @rule(i=some)
    def copy_once_more(self, i: int) -> None:
        self.bag.append(self.bag[i % len(self.bag)])

    @rule(published=flag)
    def relay(self, published: bool) -> None:
        self.store.waiting.let_out(9)
        taken = [
            decode(due.body).copy(id=due.id, seq=due.seq, attempt=due.attempt) for due in self.store.outbox.take(9)
        ]
        if published:
            self.bag += taken
            self.store.outbox.mark([(copy.id, copy.seq) for copy in taken])

    @rule(ms=st.sampled_from([100, 1_000, SWEEP_MS, RESERVED_MS + 1, LEASE_MS + 1]))
    def time_passes(self, ms: int) -> None:
        for message in self.messages:
            self.waited[message.id][self.state(message.id)] += ms
        self.now_ms += ms
        self.advance(ms)

    @rule()
    def a_lease_passes(self) -> None:
        """Claims of the living are renewed, the others lapse."""
        for _ in range(LEASE_MS // SWEEP_MS + 2):
            self.store.claims.sweep(9)
            self.time_passes(SWEEP_MS)
            self.store.claims.renew([(one.copy.id, one.claim) for one in self.workers if one.copy])
        self.store.claims.sweep(9)

    @precondition(lambda self: self.messages)
    @rule(i=some)
    def look_at_the_dead(self, i: int) -> None:
        self.store.dead.replay(self.messages[i % len(self.messages)].id)
        self.store.parked.release("g", 9)

    @rule(key=st.sampled_from(["a", "b", "pool"]))
    def break_one(self, key: str) -> None:
        """Only where nobody runs under it: what a broken lock's old holder does is its own affair."""
        if not any(lock.key == key and lock.holders for lock in self.store.waiting.locks()):
            self.store.waiting.break_lock(key)

    @invariant()
    def nobody_holds_too_much(self) -> None:
        running = {record.id for record in self.store.messages.running()}
        held = Counter(lock.key for id in running for lock in self.needs(id)[0])
        assert held["a"] <= 1
        assert held["b"] <= 1
        assert held["pool"] <= 2
        for lock in self.store.waiting.locks():
            assert set(lock.holders) <= running
            assert len(lock.holders) + len(lock.reserved) <= (2 if lock.key == "pool" else 1)

    @invariant()
    def no_lock_is_left_lying(self) -> None:
        """Somebody among those who wait is kept from going on by a lock that is held or reserved."""
        locked = [message.id for message in self.messages if self.state(message.id) == "LOCKED"]
        taken = {lock.key for lock in self.store.waiting.locks()}
        assert not locked or any(lock.key in taken for id in locked for lock in self.needs(id)[0])

    @invariant()
    def nobody_starts_without_a_token(self) -> None:
        """In any window at most its length at the pace, and the burst."""
        for n, from_ms in enumerate(self.starts):
            for m, until_ms in enumerate(self.starts[n:], start=1):
                assert m <= (until_ms - from_ms) / 1_000 + SLOW.burst + 1e-6

    @invariant()
    def custody_is_never_lost(self) -> None:
        copies = {(copy.id, copy.seq) for copy in self.bag}
        copies |= {(one.copy.id, one.copy.seq) for one in self.workers if one.copy}
        for message in self.messages:
            record = self.store.messages.look(message.id)
            in_store = record and record.state in SETTLED | {"RUN", "READY", "DELAYED", "PARKED", "LOCKED", "THROTTLED"}
            assert in_store or (message.id, record.seq if record else 1) in copies

    def teardown(self) -> None:
        """When the faults stop, everything settles."""
        for _ in range(4 * MESSAGES + 4):
            for worker in self.workers:
                self.end(worker)
            while self.bag:
                self.claims += 1
                worker = self.workers[0]
                worker.copy, worker.claim = self.bag.pop(0), f"c{self.claims}"
                worker.runs = self.ask(worker) == "run"
                self.end(worker)
            self.store.parked.release("g", 9)
            self.time_passes(2_000)
            self.a_lease_passes()
            self.relay(published=True)
        assert [] == [message.id for message in self.messages if self.state(message.id) not in SETTLED]
        assert [] == self.store.waiting.locks()

    def needs(self, id: str) -> tuple[tuple[NeedsLock, ...], tuple[NeedsTokens, ...]]:
        return NEEDS[int(id.removeprefix("m"))]

    def state(self, id: str) -> str:
        record = self.store.messages.look(id)
        return record.state if record else ""

    def ask(self, worker: Worker) -> str:
        """Begin as a worker does, and note who starts when, after what."""
        assert worker.copy
        locks, rates = self.needs(worker.copy.id)
        request = Begin(
            message=worker.copy, body=encode(worker.copy), claim=worker.claim, max_crashes=99, locks=locks, rates=rates
        )
        begun = self.store.claims.begin(request)
        if begun.verdict == "run" and worker.claim not in self.begun:
            self.begun.add(worker.claim)
            waited = self.waited.pop(worker.copy.id, Counter())
            self.parked[worker.claim] = waited["LOCKED"], waited["THROTTLED"]
            if rates:
                self.starts.append(self.now_ms)
        assert self.parked.get(worker.claim, (0, 0)) == (begun.locked_ms, begun.throttled_ms)
        return begun.verdict

    def end(self, worker: Worker) -> None:
        if worker.copy and worker.runs:
            self.store.claims.finish(Finish(id=worker.copy.id, claim=worker.claim, state="DONE"))
        worker.copy, worker.runs = None, False


SETTINGS = settings(deadline=None, stateful_step_count=60, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("examples", [70, pytest.param(200, marks=pytest.mark.soak)])
def test_memory_keeps_locks_and_limits(examples: int) -> None:
    """The store in memory, under random interleavings."""

    class InMemory(Needing):
        def __init__(self) -> None:
            clock = FakeClock()
            super().__init__(MemoryStore(clock), lambda ms: clock.advance(ms / 1000), clock.now_ms())

    run_state_machine_as_test(InMemory, settings=settings(SETTINGS, max_examples=examples))


@pytest.mark.parametrize("examples", [20, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.service("redis")
def test_redis_keeps_locks_and_limits(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, examples: int
) -> None:
    """The store in Redis, its scripts word for word but for where they read the time."""
    redis = FakedRedis(redis_server, monkeypatch)

    class InRedis(Needing):
        def __init__(self) -> None:
            redis.empty()
            super().__init__(redis.store, redis.advance, redis.clock.now_ms())

    run_state_machine_as_test(InRedis, settings=settings(SETTINGS, max_examples=examples))

    redis.store.close()
