"""What workers do with one run, in steps that hold what must never be; ``test_run_model.py`` interleaves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from taskbridge.errors import ClaimLost
from taskbridge.message import Message
from taskbridge.needs import NeedsLock, Same
from taskbridge.store import GAP_MS, LAST_RESORT_MS
from taskbridge.store.flow import Next, RunState
from taskbridge.testing import a_message
from taskbridge.testing.laws.chunks import BOUNDS, a_run, after, open_run, within
from taskbridge.testing.laws.steps import begin, finish

from .twins import Twins

CHUNKS, MAILS, BACKLOG, PAUSE_MS = 4, 2, 1, 3_000
SWEEP_MS, WAIT_MS = GAP_MS // 2, 50_000

#: So many windows of two hours are less than the day for which a run that has ended is known.
WINDOWS = 6

LOCK = NeedsLock("a")
KEY = (Same("walk", "until_done", LAST_RESORT_MS),)

#: How a worker sends a chunk back, or ends it for good.
BACK = ["READY", "DELAYED", "PARKED", "DEAD", "release"]

ENDED = {"DONE", "DEAD"}

#: Where the store has a chunk; else an engine has.
HERE = {"RUN", "READY", "DELAYED", "LOCKED", "PARKED", "HELD"}

some = st.integers(min_value=0, max_value=9)
flag = st.booleans()
seldom = st.sampled_from([False] * 6 + [True])


@dataclass
class Worker:
    """One slot: the copy it fetched, its claim, whether it runs, and what it has told of its end."""

    copy: Message | None = None
    claim: str = ""
    runs: bool = False
    end: str = ""


SAID = {"max_backlog": BACKLOG, "pause_ms": PAUSE_MS}


class Steps:
    """A run, its workers, and the engine: a bag of copies."""

    def __init__(self, store: Twins, advance: Callable[[int], None]) -> None:
        super().__init__()
        self.store, self.advance = store, advance
        self.run = a_run(id="run")
        self.bag: list[Message] = []
        self.workers = [Worker(), Worker()]
        self.ghosts: list[tuple[Message, str]] = []
        self.published: list[tuple[str, int]] = []
        self.claims = self.starts = self.windows = 0
        self.has_lock = False
        self.mails: dict[str, bool] = {}
        self.accepted: list[str] = []
        self.standing: tuple[str, str] = "", ""

    def state(self) -> RunState | None:
        found: RunState | None = self.store.runs.look("run")
        return found

    def copies(self) -> list[Message]:
        """What is unacknowledged in the engine."""
        return self.bag + [worker.copy for worker in self.workers if worker.copy]

    def is_current(self, copy: Message) -> bool:
        """Whether it is a copy of what has not ended, with the record's number."""
        record = self.store.messages.look(copy.id)
        return record is not None and record.state not in ENDED and record.seq == copy.seq

    def running(self, i: int) -> Worker:
        running = [worker for worker in self.workers if worker.runs]
        return running[i % len(running)]

    def fetch(self, worker: Worker, i: int) -> None:
        self.claims += 1
        worker.copy, worker.claim = self.bag.pop(i % len(self.bag)), f"c{self.claims}"

    def ask(self, worker: Worker, *, reply_lost: bool = False) -> None:
        """Begin, and open the run where it begins."""
        assert worker.copy
        verdict = begin(self.store, worker.copy, worker.claim, max_crashes=9, locks=(LOCK,)).verdict
        if reply_lost:
            return
        worker.runs = verdict == "run"
        if worker.runs and not worker.copy.flow:
            assert BOUNDS == open_run(self.store, worker.copy, worker.claim, **SAID)
        if worker.runs:
            state = self.state()
            assert state
            assert worker.copy.id == state.current, "a chunk runs beside the one that stands"
            self.has_lock = True
        else:
            self.free(worker)

    def send(self, chunk: Message, claim: str, number: int, wait_ms: int) -> None:
        """Enqueue the first mails of a chunk. Only a claim that stands may, and none is made twice."""
        round = chunk.flow.round if chunk.flow else 0
        mails = [a_message(id=f"mail:{round}:{chunk.id}:{n}") for n in range(number)]
        record = self.store.messages.look(chunk.id)
        stands = record is not None and (record.state, record.claim) == ("RUN", claim)
        if stands and self.state() is None:
            return  # begun, and not opened: nothing is enqueued before
        try:
            created = self.store.outbox.put(mails, wait_ms, within(chunk, claim))
        except ClaimLost:
            assert not stands
            return
        assert stands, "a zombie has enqueued"
        for mail, new in zip(mails, created, strict=True):
            assert new == (mail.id not in self.mails), "enqueued twice, or not at all"
            self.mails.setdefault(mail.id, True)

    def tell(self, worker: Worker) -> None:
        assert worker.copy
        if worker.end == "next":
            self.accept(worker.copy, worker.claim)
        elif worker.end == "release":
            self.store.claims.release(worker.copy.id, worker.claim)
        else:
            due_ms = WAIT_MS if worker.end in ("DELAYED", "PARKED") else 0
            ran = worker.end != "PARKED"
            finish(self.store, worker.copy, worker.claim, worker.end, due_ms=due_ms, group="g", why="no", ran=ran)

    def accept(self, chunk: Message, claim: str) -> None:
        """Say that a chunk is done; each is accepted once."""
        number = chunk.flow.chunk if chunk.flow else 0
        following = after(chunk, round=chunk.flow.round if chunk.flow else 0)
        last = len(self.accepted) >= CHUNKS - 1
        assert following.flow
        told = Next(did=10, at=following.flow.at, message=None if last else following)
        if self.state() is None:
            return
        record = self.store.messages.look(chunk.id)
        if "ok" == finish(self.store, chunk, claim, next=told):
            assert record
            assert (record.state, record.claim) == ("RUN", claim), "a lost claim is accepted"
            assert chunk.id not in self.accepted, "accepted twice"
            self.accepted.append(chunk.id)
            state = self.state()
            assert state
            assert state.ended_ms or state.chunk == number + 1

    def work(self, worker: Worker) -> None:
        """Do what is left to do, without a fault."""
        if not worker.copy:
            self.fetch(worker, 0)
        if not worker.runs:
            self.ask(worker)
        if worker.runs and worker.copy:
            self.send(worker.copy, worker.claim, MAILS, 0)
            worker.end = worker.end or "next"
            self.tell(worker)
        self.free(worker)

    def free(self, worker: Worker) -> None:
        worker.copy, worker.runs, worker.end = None, False, ""
