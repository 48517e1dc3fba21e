"""One run under random interleavings: two workers, a relay, crashes, pauses, replays, rewinds, on both stores at once.

The engine is a bag of published copies: it hands out any, any number of times. Whatever happens, one chunk is alive,
it has the run's lock, it waits when and only when it must, what it enqueued is counted to the last message and
enqueued once; and without further faults the run comes to its end.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from msgspec import Raw

from taskbridge.store import LEASE_MS, WINDOW_MS
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message
from taskbridge.testing.laws.chunks import a_run, after, open_run
from taskbridge.testing.laws.steps import begin, finish, put_once, take
from tests.servers import RedisServer

from .faked import FakedRedis
from .run_steps import (
    BACK,
    BACKLOG,
    CHUNKS,
    ENDED,
    HERE,
    KEY,
    MAILS,
    PAUSE_MS,
    SAID,
    SWEEP_MS,
    WAIT_MS,
    WINDOWS,
    Steps,
    flag,
    seldom,
    some,
)
from .twins import Twins


class OneRun(Steps, RuleBasedStateMachine):
    """Every rule is one request of one process, or one fault."""

    @initialize()
    def start(self) -> None:
        assert ["run"] == put_once(self.store, [self.run], [KEY], 0)

    # Workers.

    @precondition(lambda self: self.bag and not all(worker.copy for worker in self.workers))
    @rule(i=some, reply_lost=seldom)
    def deliver(self, i: int, reply_lost: bool) -> None:
        worker = next(worker for worker in self.workers if not worker.copy)
        self.fetch(worker, i)
        self.ask(worker, reply_lost=reply_lost)

    @precondition(lambda self: any(worker.copy and not worker.runs for worker in self.workers))
    @rule()
    def begin_again(self) -> None:
        for worker in self.workers:
            if worker.copy and not worker.runs:
                self.ask(worker)

    @precondition(lambda self: any(worker.runs for worker in self.workers))
    @rule(i=some, number=st.integers(min_value=1, max_value=MAILS), wait=flag)
    def enqueue(self, i: int, number: int, wait: bool) -> None:
        worker = self.running(i)
        assert worker.copy
        self.send(worker.copy, worker.claim, number, WAIT_MS if wait else 0)

    @precondition(lambda self: any(worker.runs for worker in self.workers))
    @rule(i=some, end=st.sampled_from(["next", "next", *BACK]), reply_lost=seldom)
    def finish(self, i: int, end: str, reply_lost: bool) -> None:
        worker = self.running(i)
        worker.end = worker.end or end
        self.tell(worker)
        if not reply_lost:
            self.free(worker)

    @precondition(lambda self: not self.copies())
    @rule(mails=st.integers(min_value=0, max_value=MAILS), end=st.sampled_from(["", "next", "next", *BACK]))
    def chunk_goes_well(self, mails: int, end: str) -> None:
        """Published, begun, at work, and perhaps finished: most of what a run is."""
        self.advance(PAUSE_MS)
        self.relay(3)
        while self.bag and not self.workers[0].copy:
            self.deliver(0, reply_lost=False)
        if self.workers[0].runs and mails:
            self.enqueue(0, mails, wait=False)
        if self.workers[0].runs and end:
            self.finish(0, end, reply_lost=False)

    @precondition(lambda self: any(self.mails.values()))
    @rule(keep=st.integers(min_value=0, max_value=1))
    def mails_end(self, keep: int) -> None:
        for id in [id for id, is_open in self.mails.items() if is_open][keep:]:
            self.mail_moves(list(self.mails).index(id), "DONE")

    # Faults.

    @precondition(lambda self: any(worker.copy for worker in self.workers))
    @rule(i=some, seen=flag)
    def die(self, i: int, seen: bool) -> None:
        held = [worker for worker in self.workers if worker.copy]
        worker = held[i % len(held)]
        assert worker.copy
        self.bag.append(worker.copy)
        self.ghosts.append((worker.copy, worker.claim))
        if seen:
            self.store.claims.lose(worker.copy.id, worker.claim)
        self.free(worker)

    @precondition(lambda self: 1 == sum(worker.runs for worker in self.workers) and not self.bag)
    @rule(end=st.sampled_from(["next", "next", *BACK]), mails=flag, forgotten=flag)
    def another_takes_over(self, end: str, mails: bool, forgotten: bool) -> None:
        """A worker pauses so long that its claim is lost; its chunk is elsewhere, or has ended, when it speaks."""
        first = self.running(0)
        assert first.copy
        self.mails_end(0)
        self.a_lease_passes(paused=True)
        self.relay(3)
        while self.bag and not all(worker.copy for worker in self.workers):
            self.deliver(0, reply_lost=False)
        if forgotten and self.windows < WINDOWS:
            self.windows += 1
            self.advance(WINDOW_MS + 1)
        if mails:
            self.send(first.copy, first.claim, MAILS, 0)
        first.end = first.end or end
        self.tell(first)
        self.free(first)
        for worker in [worker for worker in self.workers if worker.runs and worker.copy]:
            self.send(worker.copy, worker.claim, MAILS, 0)

    @precondition(lambda self: self.ghosts)
    @rule(i=some, what=st.sampled_from(["finish", "enqueue", "lose", "open"]))
    def late_word_of_the_dead(self, i: int, what: str) -> None:
        copy, claim = self.ghosts[i % len(self.ghosts)]
        if what == "finish":
            self.accept(copy, claim)
        elif what == "enqueue":
            self.send(copy, claim, MAILS, 0)
        elif what == "open" and not copy.flow:
            open_run(self.store, copy, claim, **SAID)
        else:
            self.store.claims.lose(copy.id, claim)

    @precondition(lambda self: self.copies())
    @rule(i=some)
    def copy_once_more(self, i: int) -> None:
        copies = self.copies()
        self.bag.append(copies[i % len(copies)])

    @rule(steps=st.sampled_from([1, 2, 3, 3, 3]))
    def relay(self, steps: int) -> None:
        self.store.outbox.mark(self.published)  # a mark may come when its relay is long gone
        self.let_out()
        taken = take(self.store)
        chunks = [copy for copy in taken if copy.queue == "walks" and copy.id != "other"]
        if steps >= 2:
            self.bag += chunks
            self.published += [(copy.id, copy.seq) for copy in chunks]
        if steps >= 3:
            self.store.outbox.mark([(copy.id, copy.seq) for copy in chunks])
        self.store.outbox.mark([(copy.id, copy.seq) for copy in taken if copy not in chunks])

    @rule(ms=st.sampled_from([SWEEP_MS, LEASE_MS + 1, WAIT_MS]))
    def time_passes(self, ms: int) -> None:
        self.advance(ms)

    @precondition(lambda self: self.windows < WINDOWS and all(self.is_current(copy) for copy in self.copies()))
    @rule()
    def markers_are_forgotten(self) -> None:
        """More than the two hours for which a done message is known; no engine keeps an old copy for so long."""
        self.windows += 1
        self.advance(WINDOW_MS + 1)

    @rule(paused=flag)
    def a_lease_passes(self, paused: bool) -> None:
        for _ in range(LEASE_MS // SWEEP_MS + 2):
            self.store.claims.sweep(9)
            self.advance(SWEEP_MS)
            held = [(worker.copy.id, worker.claim) for worker in self.workers if worker.copy]
            self.store.claims.renew([] if paused else held)
        self.store.claims.sweep(9)

    def let_out(self) -> None:
        self.store.waiting.let_out(9)
        self.store.parked.release("g", 9)

    # What the run has enqueued, and who else wants its lock or its key.

    @precondition(lambda self: self.mails)
    @rule(i=some, how=st.sampled_from(["DEAD", "DEAD", "READY", "replay", "replay", "purge"]))
    def mail_moves(self, i: int, how: str) -> None:
        id = list(self.mails)[i % len(self.mails)]
        if how in ("replay", "purge"):
            moved = getattr(self.store.dead, how)(id)
            self.mails[id] = self.mails[id] or (moved and how == "replay")
            return
        record = self.store.messages.look(id)
        copy = a_message(id=id, seq=record.seq if record else 1)
        if record and record.state not in ENDED:
            assert "run" == begin(self.store, copy, f"{id}-{how}").verdict
            finish(self.store, copy, f"{id}-{how}", how, counted=True)
            self.mails[id] = how == "READY"

    @precondition(lambda self: self.state())
    @rule()
    def start_again(self) -> None:
        self.starts += 1
        id = f"again{self.starts}"
        (stands,) = put_once(self.store, [a_run(id=id)], [KEY], 0)
        state = self.state()
        assert state
        assert stands == (id if state.ended_ms else "run"), "a second run beside the first"
        if stands == id:
            begin(self.store, a_run(id=id), id)
            finish(self.store, a_run(id=id), id)

    # People.

    @precondition(lambda self: self.state())
    @rule(how=st.sampled_from(["pause", "pause", "resume", "resume", "replay", "rewind"]))
    def steer(self, how: str) -> None:
        state = self.state()
        assert state
        if how == "replay":
            self.store.dead.replay(state.current)
        elif how == "rewind":
            chunk = after(self.run, by=state.chunk + 1, round=state.round + 1)
            answer = self.store.runs.rewind("run", state.current, chunk, at=Raw(b"0"), done=0)
            standing = self.store.messages.look(chunk.id)
            assert (answer == "ok") == bool(standing)
            if answer == "ok":
                self.accepted.clear()
        else:
            assert self.store.runs.steer("run", how) == ("ended" if state.ended_ms else "ok")

    @precondition(lambda self: self.state())
    @rule(sure=seldom)
    def cancel(self, sure: bool) -> None:
        if sure:
            self.store.runs.steer("run", "cancel")

    # What holds after every step.

    @invariant()
    def one_chunk_is_alive(self) -> None:
        state = self.state()
        if state is None:
            return
        ids = ["run", *(f"run:{n}" for n in range(1, state.chunk + 3))]
        records = [record for id in ids if (record := self.store.messages.look(id)) and record.state != "DONE"]
        if state.state in ("done", "cancelled", "dropped"):
            assert [] == records
            return
        assert [state.current] == [record.id for record in records]
        assert (state.state == "failed") == (records[0].state == "DEAD")
        assert records[0].state in HERE | {"DEAD"} or any(
            (copy.id, copy.seq) == (records[0].id, records[0].seq) for copy in self.copies()
        ), "nobody has the chunk"

    @invariant()
    def it_waits_when_it_must(self) -> None:
        state = self.state()
        if state is None or state.ended_ms:
            self.standing = "", ""
            return
        record = self.store.messages.look(state.current)
        assert record
        must = state.paused or state.open > BACKLOG
        assert not state.stopping or record.state == "RUN", "goes on though it is to end"
        assert not state.paused or record.state in ("RUN", "PARKED", "HELD")
        if record.state == "HELD":
            assert must, "held for nothing"
        known, was = self.standing
        if record.state in ("READY", "DELAYED") and (was == "HELD" or known not in ("", state.current)):
            assert not must, "let go too early"
        self.standing = state.current, record.state

    @invariant()
    def lock_is_the_runs(self) -> None:
        state = self.state()
        self.has_lock = self.has_lock and bool(state and not state.ended_ms)
        if self.has_lock and state:
            (lock,) = self.store.waiting.locks()
            assert (state.current,) == (*lock.holders, *lock.reserved)

    @invariant()
    def counts_are_exact(self) -> None:
        state = self.state()
        if state:
            assert (sum(self.mails.values()), len(self.mails)) == (state.open, state.enqueued)
        counted = {"READY", "DELAYED", "PARKED", "LOCKED", "HELD", "DEAD"}
        ids = ["run", *(f"run:{n}" for n in range(1, (state.chunk if state else 0) + 3)), *self.mails]
        ids += [f"again{n}" for n in range(1, self.starts + 1)]
        records = [record for id in ids if (record := self.store.messages.look(id)) and record.state in counted]
        assert Counter((record.queue, record.state) for record in records) == self.store.messages.counts()

    def teardown(self) -> None:
        """When the faults stop, the run comes to its end, and leaves its lock and its key."""
        for _ in range(8 * CHUNKS):
            if (state := self.state()) and not state.ended_ms:
                self.store.runs.steer("run", "resume")
            elif state:
                self.store.dead.replay(state.current)
            for id in self.mails:
                self.mail_moves(list(self.mails).index(id), "DONE")
            self.let_out()
            self.advance(WAIT_MS)
            self.a_lease_passes(paused=True)
            self.relay(3)
            for worker in self.workers:
                while worker.copy or self.bag:
                    self.work(worker)
            self.one_chunk_is_alive()
            self.it_waits_when_it_must()
            state = self.state()
            if state and state.state in ("done", "cancelled") and not state.open:
                break
        state = self.state()
        assert state
        assert state.state in ("done", "cancelled")
        assert state.state == "cancelled" or len(self.accepted) >= CHUNKS
        assert (0, []) == (state.open, [lock.key for lock in self.store.waiting.locks()])
        assert ["free"] == put_once(self.store, [a_run(id="free")], [KEY], 0)


#: The server's own clock ends keys: each life comes so much nearer to its end.
LIVES = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local life = redis.call('PTTL', key)
  if life > 0 then redis.call('PEXPIRE', key, life - ARGV[1]) end
end
"""

SETTINGS = settings(deadline=None, stateful_step_count=60, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("examples", [100, pytest.param(300, marks=pytest.mark.soak)])
def test_memory_keeps_one_chain(examples: int) -> None:
    """The store in memory, many times."""

    class InMemory(OneRun):
        def __init__(self) -> None:
            clock = FakeClock()
            super().__init__(MemoryStore(clock), lambda ms: clock.advance(ms / 1000))

    run_machine(InMemory, settings=settings(SETTINGS, max_examples=examples))


@pytest.mark.parametrize("examples", [20, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.service("redis")
def test_redis_and_memory_keep_one_chain_alike(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, examples: int
) -> None:
    """Both at once, answer by answer; the scripts word for word but for where they read the time."""
    redis = FakedRedis(redis_server, monkeypatch)

    def advance(ms: int) -> None:
        redis.advance(ms)
        redis.client.eval(LIVES, 0, ms)

    class InBoth(OneRun):
        def __init__(self) -> None:
            redis.empty()
            super().__init__(Twins(MemoryStore(redis.clock), redis.store), advance)

    run_machine(InBoth, settings=settings(SETTINGS, max_examples=examples))

    redis.store.close()
