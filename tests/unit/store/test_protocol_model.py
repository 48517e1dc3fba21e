"""Random interleavings of workers, relays and faults, on both stores, beside a model of the protocol.

The engine is a bag of published copies: it hands out any, any number of times. Whatever happens, each answer is the
model's, custody is never lost, one claim per number is accepted, and without further faults everything settles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from taskbridge.message import Message, decode, encode
from taskbridge.store import GAP_MS, LEASE_MS, Begin, Finish, Store
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message
from tests.servers import RedisServer
from tests.unit.store.faked import FakedRedis
from tests.unit.store.protocol_model import OUTBOX, SETTLED, M, Model

WORKERS, MESSAGES = 2, 2
SWEEP_MS = GAP_MS // 2

#: A retry waits, and a parked message is kept, longer than any lease.
WAIT_MS = 50_000

#: How a run ends without a fault.
END: dict[str, object] = {"state": "DONE", "due_ms": 0, "counted": False, "ran": True}

some = st.integers(min_value=0, max_value=9)
flag = st.booleans()


@dataclass
class Worker:
    """One slot: the copy it fetched, the claim it made for it, how far it came, and what became of the run."""

    copy: Message | None = None
    claim: str = ""
    runs: bool = False
    end: dict[str, object] = field(default_factory=dict)


class Interleavings(RuleBasedStateMachine):
    """Every rule is one request of one process, or one fault."""

    def __init__(self, store: Store, advance: Callable[[int], None], now_ms: int) -> None:
        super().__init__()
        self.store, self.advance, self.model = store, advance, Model(now_ms=now_ms)
        self.messages: list[Message] = []
        self.bag: list[Message] = []
        self.workers = [Worker() for _ in range(WORKERS)]
        self.ghosts: list[tuple[Message, str]] = []
        self.published: list[tuple[str, int]] = []
        self.claims = 0
        self.ran: dict[tuple[str, int], str] = {}
        self.fences: dict[str, int] = {}
        self.ended: set[str] = set()

    # Producers.

    @precondition(lambda self: len(self.messages) < MESSAGES)
    @rule(wait_ms=st.sampled_from([-1, 0, WAIT_MS]), expires=flag)
    def enqueue(self, wait_ms: int, expires: bool) -> None:
        message = a_message(id=f"m{len(self.messages)}", expires_at_ms=self.model.now_ms + WAIT_MS if expires else 0)
        self.messages.append(message)
        if wait_ms < 0:
            self.bag.append(message)
        else:
            self.put(message, wait_ms)

    @precondition(lambda self: self.messages)
    @rule(i=some)
    def put_again(self, i: int) -> None:
        message = self.messages[i % len(self.messages)]
        if message.id in self.model.m:
            self.put(message, 0)

    def put(self, message: Message, wait_ms: int) -> None:
        assert [self.model.put(message.id, wait_ms)] == self.store.outbox.put([message], wait_ms)

    # Workers. A reply that is lost leaves the worker where it was: it asks again.

    @precondition(lambda self: self.bag and any(not worker.copy for worker in self.workers))
    @rule(i=some, cut=st.sampled_from(["", "", "", "before begin", "reply lost"]), max_crashes=st.sampled_from([1, 2]))
    def deliver(self, i: int, cut: str, max_crashes: int) -> None:
        worker = next(worker for worker in self.workers if not worker.copy)
        self.fetch(worker, i)
        if cut != "before begin":
            self.begin(worker, max_crashes, reply_lost=cut == "reply lost")

    @precondition(lambda self: any(worker.copy and not worker.runs for worker in self.workers))
    @rule(reply_lost=flag)
    def begin_again(self, reply_lost: bool) -> None:
        for worker in self.workers:
            if worker.copy and not worker.runs:
                self.begin(worker, 2, reply_lost=reply_lost)

    @precondition(lambda self: any(worker.runs for worker in self.workers))
    @rule(
        i=some,
        end=st.sampled_from(["DONE", "DEAD", "DELAYED", "READY", "PARKED"]),
        counted=flag,
        ran=st.sampled_from([True, True, False]),
        reply_lost=flag,
    )
    def finish(self, i: int, end: str, counted: bool, ran: bool, reply_lost: bool) -> None:
        running = [worker for worker in self.workers if worker.runs]
        worker = running[i % len(running)]
        due_ms = WAIT_MS if end in {"DELAYED", "PARKED"} else 0
        worker.end = worker.end or {"state": end, "counted": counted, "ran": ran, "due_ms": due_ms}
        answer = self.tell(worker)
        if not reply_lost:
            assert answer != "unknown"
            self.free(worker)

    @precondition(lambda self: any(worker.runs and not worker.end for worker in self.workers))
    @rule(i=some)
    def give_back(self, i: int) -> None:
        running = [worker for worker in self.workers if worker.runs and not worker.end]
        worker = running[i % len(running)]
        assert worker.copy
        given = self.store.claims.release(worker.copy.id, worker.claim)
        assert self.model.take_back(worker.copy.id, worker.claim, crashed=False) == given
        self.free(worker)

    @precondition(lambda self: any(worker.copy for worker in self.workers))
    @rule()
    def renew(self) -> None:
        self.prolong()

    # Faults of workers and engines.

    @precondition(lambda self: any(worker.copy for worker in self.workers))
    @rule(i=some, seen=flag)
    def die(self, i: int, seen: bool) -> None:
        holding = [worker for worker in self.workers if worker.copy]
        worker = holding[i % len(holding)]
        assert worker.copy
        self.bag.append(worker.copy)
        self.ghosts.append((worker.copy, worker.claim))
        self.free(worker)
        if seen:
            self.late_word_of_the_dead(-1, begins=False)

    @precondition(lambda self: self.ghosts)
    @rule(i=some, begins=flag)
    def late_word_of_the_dead(self, i: int, begins: bool) -> None:
        """A dead worker's request arrives, or its supervisor tells of its death, perhaps not for the first time."""
        copy, claim = self.ghosts[i % len(self.ghosts)]
        if begins:
            self.ask(copy, claim, 2)
        else:
            assert self.model.take_back(copy.id, claim, crashed=True) == self.store.claims.lose(copy.id, claim)

    @precondition(lambda self: self.copies())
    @rule(i=some)
    def copy_once_more(self, i: int) -> None:
        """A second engine, a mover, a redelivery while it runs."""
        copies = self.copies()
        self.bag.append(copies[i % len(copies)])

    # Relays. A relay that dies forgets what it took; a mark may come when its relay is long gone.

    @rule(i=some, steps=st.sampled_from([1, 2, 3, 3, 3]))
    def relay(self, i: int, steps: int) -> None:
        taken = [decode(due.body).copy(seq=due.seq, attempt=due.attempt) for due in self.store.outbox.take(9)]
        assert self.model.take() == {(copy.id, copy.seq, copy.attempt) for copy in taken}
        if steps >= 2:
            self.bag += taken
            self.published += [(copy.id, copy.seq) for copy in taken]
        if steps >= 3:
            for copy in taken:
                self.mark(copy.id, copy.seq)

    @precondition(lambda self: self.published)
    @rule(i=some)
    def late_mark(self, i: int) -> None:
        self.mark(*self.published[i % len(self.published)])

    # Time, sweeps, and people.

    @rule(ms=st.sampled_from([SWEEP_MS, LEASE_MS + 1, WAIT_MS]))
    def time_passes(self, ms: int) -> None:
        self.advance(ms)
        self.model.now_ms += ms

    @rule()
    def sweep(self) -> None:
        swept = self.store.claims.sweep(9)
        assert self.model.sweep() == set(swept)

    @rule(paused=flag)
    def a_lease_passes(self, paused: bool) -> None:
        for _ in range(LEASE_MS // SWEEP_MS + 2):
            self.sweep()
            self.time_passes(SWEEP_MS)
            if not paused:
                self.prolong()
        self.sweep()

    @precondition(lambda self: 1 == sum(bool(worker.copy) for worker in self.workers))
    @rule(dies=flag, speaks=flag)
    def another_takes_over(self, dies: bool, speaks: bool) -> None:
        """A worker pauses so long that its claim is lost, or dies; its message runs elsewhere when word of it comes."""
        first = next(worker for worker in self.workers if worker.copy)
        if dies:
            self.die(0, seen=False)
        self.a_lease_passes(paused=True)
        self.relay(0, 3)
        while self.bag and not all(worker.copy for worker in self.workers):
            self.deliver(-1, "", 2)
        if speaks and dies:
            self.late_word_of_the_dead(-1, begins=False)
        elif speaks and first.runs:
            first.end = first.end or END
            self.tell(first)

    @rule(known=flag)
    def look_at_the_parked(self, known: bool) -> None:
        if known:
            assert self.model.release() == self.store.parked.release("g", 9)
        else:
            assert self.model.overdue() == set(self.store.parked.overdue(9))

    @precondition(lambda self: self.messages)
    @rule(i=some, again=st.sampled_from([True, True, False]))
    def look_at_the_dead(self, i: int, again: bool) -> None:
        id = self.messages[i % len(self.messages)].id
        if again:
            assert self.model.replay(id) == self.store.dead.replay(id)
        else:
            purged = self.store.dead.purge(id)
            assert self.model.purge(id) == purged
            self.ended |= {id} if purged else set()

    # What holds after every step.

    @invariant()
    def record_is_the_models(self) -> None:
        for message in self.messages:
            found, m = self.store.messages.look(message.id), self.model.m.get(message.id, M())
            if found is None:
                assert not m.st
            else:
                expected = (m.st, m.seq, m.attempt, m.starts, m.crashes, m.claim)
                actual = (found.state, found.seq, found.attempt, found.starts, found.crashes, found.claim)
                assert expected == actual

    @invariant()
    def counts_are_a_recount(self) -> None:
        counted = OUTBOX | {"PARKED", "DEAD"}
        assert dict(Counter(("mail", m.st) for m in self.model.m.values() if m.st in counted)) == (
            self.store.messages.counts()
        )
        parked = sum(m.st == "PARKED" for m in self.model.m.values())
        assert ({"g": parked} if parked else {}) == self.store.parked.groups()
        running = {(id, m.claim) for id, m in self.model.m.items() if m.st == "RUN"}
        assert running == {(record.id, record.claim) for record in self.store.messages.running()}

    @invariant()
    def custody_is_never_lost(self) -> None:
        """An unsettled message is the store's, or a copy with its number is unacknowledged in the engine."""
        copies = {(copy.id, copy.seq) for copy in self.copies()}
        for message in self.messages:
            m = self.model.m.get(message.id, M())
            assert m.st in SETTLED | OUTBOX | {"RUN", "PARKED"} or (message.id, m.seq) in copies

    def teardown(self) -> None:
        """When the faults stop, everything settles."""
        for _ in range(8):
            for worker in self.workers:
                self.work(worker)
            while self.bag:
                self.fetch(self.workers[0], 0)
                self.work(self.workers[0])
            self.look_at_the_parked(known=True)
            self.time_passes(WAIT_MS)
            self.a_lease_passes(paused=False)
            self.relay(0, 3)
        self.record_is_the_models()
        self.counts_are_a_recount()
        assert [] == [id for id, m in self.model.m.items() if m.st not in SETTLED]
        assert len(self.messages) == len(self.model.m)

    # Steps.

    def copies(self) -> list[Message]:
        """What is unacknowledged in the engine."""
        return self.bag + [worker.copy for worker in self.workers if worker.copy]

    def fetch(self, worker: Worker, i: int) -> None:
        self.claims += 1
        worker.copy, worker.claim = self.bag.pop(i % len(self.bag)), f"c{self.claims}"

    def begin(self, worker: Worker, max_crashes: int, *, reply_lost: bool) -> None:
        assert worker.copy
        verdict = self.ask(worker.copy, worker.claim, max_crashes)
        if not reply_lost:
            worker.runs = verdict == "run"
            worker.copy = worker.copy if worker.runs else None

    def ask(self, copy: Message, claim: str, max_crashes: int) -> str:
        """Begin as a worker does, and hold what must never be."""
        request = Begin(message=copy, body=encode(copy), claim=claim, max_crashes=max_crashes)
        begun = self.store.claims.begin(request)
        verdict = begun.verdict
        expired = 0 < copy.expires_at_ms < self.model.now_ms
        assert self.model.begin(copy.id, copy.seq, claim, max_crashes, expired=expired) == verdict
        if verdict == "run":
            assert copy.id not in self.ended, "begun after its end"
            assert claim == self.ran.setdefault((copy.id, copy.seq), claim), "two claims of one number"
            known, newest = self.fences.get(claim), max(self.fences.values(), default=0)
            assert begun.fence == known if known else begun.fence > newest, "the fence of an older start"
            self.fences[claim] = begun.fence
        if verdict == "expired":
            self.ended.add(copy.id)
        return verdict

    def tell(self, worker: Worker) -> str:
        assert worker.copy
        id, claim = worker.copy.id, worker.claim
        state, due_ms = str(worker.end["state"]), int(str(worker.end["due_ms"]))
        counted, ran = bool(worker.end["counted"]), bool(worker.end["ran"])
        request = Finish(id=id, claim=claim, state=state, due_ms=due_ms, counted=counted, ran=ran, group="g")
        answer = self.store.claims.finish(request)
        assert self.model.finish(id, claim, state, due_ms, counted=counted, ran=ran) == answer
        if answer == "ok":
            assert id not in self.ended, "ended twice"
            self.ended |= {id} if state == "DONE" else set()
        return answer

    def work(self, worker: Worker) -> None:
        """Do what is left to do, without a fault."""
        if worker.copy and not worker.runs:
            worker.runs = self.ask(worker.copy, worker.claim, 2) == "run"
        if worker.runs:
            worker.end = worker.end or END
            self.tell(worker)
        self.free(worker)

    def mark(self, id: str, seq: int) -> None:
        self.store.outbox.mark([(id, seq)])
        self.model.mark(id, seq)

    def prolong(self) -> None:
        """Renew what living workers hold, whether it stands or not."""
        held = [(worker.copy.id, worker.claim) for worker in self.workers if worker.copy]
        self.store.claims.renew(held)
        for id, claim in held:
            self.model.renew(id, claim)

    def free(self, worker: Worker) -> None:
        worker.copy, worker.runs, worker.end = None, False, {}


SETTINGS = settings(deadline=None, stateful_step_count=50, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("examples", [130, pytest.param(400, marks=pytest.mark.soak)])
def test_memory_keeps_the_protocol(examples: int) -> None:
    """The store in memory, under random interleavings."""

    class InMemory(Interleavings):
        def __init__(self) -> None:
            clock = FakeClock()
            super().__init__(MemoryStore(clock), lambda ms: clock.advance(ms / 1000), clock.now_ms())

    run_state_machine_as_test(InMemory, settings=settings(SETTINGS, max_examples=examples))


@pytest.mark.parametrize("examples", [40, pytest.param(120, marks=pytest.mark.soak)])
@pytest.mark.service("redis")
def test_redis_keeps_the_protocol(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, examples: int) -> None:
    """The store in Redis, its scripts word for word but for where they read the time."""
    redis = FakedRedis(redis_server, monkeypatch)

    class InRedis(Interleavings):
        def __init__(self) -> None:
            redis.empty()
            super().__init__(redis.store, redis.advance, redis.clock.now_ms())

    run_state_machine_as_test(InRedis, settings=settings(SETTINGS, max_examples=examples))

    redis.store.close()
