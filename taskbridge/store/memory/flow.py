"""What messages are part of, in memory, and what follows when one ends: what flow.lua is in Redis.

Whoever calls a method holds the records' lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from ...errors import ClaimLost, ConfigError
from ...message import Message, encode
from ...needs import Within
from .. import LAST_RESORT_MS
from ..flow import HOLE, Follower, Next

if TYPE_CHECKING:
    from .records import Entry, Records

#: How long what has ended can be looked at: as in flow.lua.
REMEMBERED_MS = 24 * 3_600_000

_HOLE = msgspec.json.encode(HOLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a message is part of, and by which batches and runs it is counted."""

    run: str = ""
    chain: str = ""
    link: int = 0
    batches: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


NO_PART = Part()


@dataclass(slots=True, kw_only=True)
class Chain:
    links: dict[int, Follower]
    on_error: str
    call: Follower | None
    made_ms: int
    at: int = 0
    begun: bool = False


@dataclass(slots=True, kw_only=True)
class Tally:
    """How many belong to it, and how they ended."""

    total: int = 0
    open: int = 0
    done: int = 0
    failed: int = 0
    dropped: int = 0
    ended_ms: int = 0


@dataclass(slots=True, kw_only=True)
class Batch(Tally):
    when: str
    then: Follower | None
    error: Follower | None
    made_ms: int
    builder: str = ""
    sealed: bool = False
    sent: set[str] = field(default_factory=set)
    until_ms: int | None = None
    """When it is forgotten; None while it has open members."""


@dataclass(slots=True, kw_only=True)
class Run(Tally):
    task: str
    queue: str
    bounds: msgspec.Raw
    at: msgspec.Raw
    expected: int
    max_backlog: int
    pause_ms: int
    current: str
    started_ms: int
    planned_ms: int
    state: str = "running"
    error: str = ""
    paused: bool = False
    stop: bool = False
    reason: str = ""
    chunk: int = 0
    round: int = 0
    progress: int = 0
    base: int = 0
    since_ms: int = 0
    sent: set[str] = field(default_factory=set)
    forgotten_ms: int = 0
    """From when on nobody knows of it; 0 while it goes on, or has a dead letter."""


class Flow:
    """Chains, batches and runs by id, and the one place that moves them on."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.chains: dict[str, Chain] = {}
        self.batches: dict[str, Batch] = {}
        self.runs: dict[str, Run] = {}

    def run_of(self, entry: Entry) -> Run | None:
        """The run that this is a chunk of."""
        return self.runs.get(entry.part.run)

    def ends(self, id: str, part: Part, how: str, why: str = "", result: bytes = b"") -> None:
        """Done, failed, dropped, or purged after it had failed: the next goes on, or there is one less to wait for."""
        if how == "purged":
            if part.run in self.runs:
                self._forget_run(self.runs[part.run])
            if part.chain:
                self._advance(id, part, "dropped", b"")
            return
        if part.run:
            how = self._run_ended(part.run, how, why)
        if part.chain and self._advance(id, part, how, result):
            return
        self._count(part, how, 1)

    def revive(self, entry: Entry) -> None:
        """It was dead and is on its way again, and so is its run, under the keys that nobody has taken meanwhile."""
        run, now_ms = self.run_of(entry), self._records.now_ms()
        if run:
            run.state, run.error, run.ended_ms, run.planned_ms = "running", "", 0, now_ms
            run.stop, run.reason = False, ""
            for one in entry.same:
                free = now_ms >= self._records.standing.get(one.key, ("", 0))[1]
                if one.until == "until_done" and free:
                    self._records.standing[one.key] = entry.part.run, now_ms + LAST_RESORT_MS
        self._count(entry.part, "failed", -1)

    def chunk_done(self, entry: Entry, told: Next) -> None:
        """The next chunk takes its place unless the run is to end. Starts keep their pace."""
        run = self.runs.get(entry.part.run)
        if run is None:
            return
        run.progress += told.did
        run.at = told.at
        if told.message and not run.stop:
            self.follow(entry, told.message, max(self._records.now_ms(), run.planned_ms + run.pause_ms))

    def follow(self, entry: Entry, chunk: Message, due_ms: int) -> None:
        """What counts a chunk, its locks and its keys go over to the next."""
        from .records import Entry

        records, run, id = self._records, self.runs[entry.part.run], entry.part.run
        following = Entry(id=chunk.id, queue=entry.queue, body=encode(chunk), part=entry.part, fresh_ms=due_ms)
        following.locks, following.rates, following.same = entry.locks, entry.rates, entry.same
        records.needs.hand_over(entry, following)
        for one in entry.same:  # the last resort is not for what goes on
            other, until_ms = records.standing.get(one.key, ("", 0))
            if one.until == "until_done" and other == id and records.now_ms() < until_ms:
                records.standing[one.key] = id, records.now_ms() + LAST_RESORT_MS
        entry.part, entry.locks, entry.same = NO_PART, (), ()
        records.enter(following, "HELD", due_ms)
        run.sent.clear()
        run.current = chunk.id
        run.chunk += 1
        self.go_on(run)

    def go_on(self, run: Run) -> None:
        """The chunk that is held is due, unless its run is paused or too much of what it has enqueued is yet to end."""
        records = self._records
        if run.paused or 0 <= run.max_backlog < run.open:
            return
        entry = records.read(run.current)
        if entry.state == "HELD":
            run.planned_ms = at_ms = max(records.now_ms(), entry.at_ms)
            entry.fresh_ms = at_ms if entry.fresh_ms else 0
            records.depart(entry)
            records.enter(entry, "DELAYED" if at_ms > records.now_ms() else "READY", at_ms)
            if entry.trail:  # a chunk that goes on at once has nothing to tell
                records.note(entry, "resumed", due_ms=at_ms)
            records.bell.notify_all()

    def chain(self, id: str) -> Chain | None:
        """Return a chain that has not ended; one that nobody has begun is forgotten after a day."""
        chain = self.chains.get(id)
        if chain and not chain.begun and self._records.now_ms() >= chain.made_ms + REMEMBERED_MS:
            del self.chains[id]
            return None
        return chain

    def begin(self, message: Message) -> None:
        """A new message begins its chain, if it is of one."""
        if message.flow and message.flow.chain:
            self.chains[message.flow.chain].begun = True

    def refuse_link(self, message: Message, within: Within) -> None:
        """Refuse a new message whose chain is not kept.

        Raises:
            ConfigError: it was kept a day ago, and is forgotten.
        """
        chain = message.flow.chain if message.flow else ""
        known = self._records.read(message.id).state or message.id in (self._sent(within) or ())
        if chain and not known and not self.chain(chain):
            raise ConfigError("the links that follow were kept a day ago and are forgotten: make the chain anew")

    def refuse(self, messages: Sequence[Message], within: Within) -> None:
        """Refuse new messages that cannot belong there. What a task has put in a batch may be put again, sealed or not.

        Raises:
            ClaimLost: the claim of the chunk that enqueues them does not stand.
            ConfigError: the batch is closed.
        """
        if within.chunk:
            entry = self._records.read(within.chunk)
            if entry.state != "RUN" or entry.claim != within.claim or not entry.part.run:
                raise ClaimLost("this chunk has another owner by now: it enqueues nothing more")
        for id in within.batches:
            batch = self.batch(id)
            sent = self._sent(within)
            late = batch and batch.sealed and (sent is None or not {message.id for message in messages} <= sent)
            if batch is None or late:
                raise ConfigError("the batch is closed, or was never opened: nothing more can be added to it")

    def sent_before(self, id: str, within: Within) -> bool:
        """Whether this chunk, or the task that fills this batch, has enqueued it already, however long ago."""
        sent = self._sent(within)
        if sent is None:
            return False
        known = id in sent
        sent.add(id)
        return known

    def _sent(self, within: Within) -> set[str] | None:
        run = self.runs.get(self._records.read(within.chunk).part.run) if within.chunk else None
        built = (batch for id in within.batches if (batch := self.batch(id)) and batch.builder)
        counter = run or next(built, None)
        return counter.sent if counter else None

    def join(self, within: Within) -> None:
        """One more belongs there."""
        for tally in self._tallies(within.batches, within.runs):
            tally.total += 1
            tally.open += 1
            if isinstance(tally, Batch):
                tally.until_ms = None

    def complete(self, id: str) -> None:
        """A batch that is sealed and has no open member calls back, each callback once."""
        batch, now_ms = self.batches[id], self._records.now_ms()
        if batch.open > 0:
            return
        if not batch.sealed:
            batch.until_ms = now_ms + LAST_RESORT_MS
            return
        if batch.then and (not batch.failed or batch.when == "all_done"):
            self._make(batch.then, None, NO_PART)
            batch.then = None
        if batch.error and batch.failed:
            self._make(batch.error, None, NO_PART)
            batch.error = None
        batch.ended_ms, batch.until_ms = now_ms, now_ms + (LAST_RESORT_MS if batch.failed else REMEMBERED_MS)

    def batch(self, id: str) -> Batch | None:
        """Return a batch, unless it is forgotten."""
        batch = self.batches.get(id)
        over = batch is not None and batch.until_ms is not None and batch.until_ms <= self._records.now_ms()
        return None if over else batch

    def forget(self) -> None:
        """Drop what ended long ago."""
        now_ms = self._records.now_ms()
        self.batches = {id: one for id, one in self.batches.items() if self.batch(id)}
        self.runs = {id: one for id, one in self.runs.items() if not 0 < one.forgotten_ms <= now_ms}

    def _advance(self, id: str, part: Part, how: str, result: bytes) -> bool:
        """A link has ended; True when the next one is ready, and counts for it."""
        chain, failed = self.chains.get(part.chain), how == "failed"
        if chain is None:
            return False
        if failed:
            if chain.on_error == "stop":
                return False  # it stays as it is: its dead letter can be replayed
            self._records.read(id).part = Part(run=part.run) if part.run else NO_PART
            if chain.on_error == "call" and chain.call:
                self._make(chain.call, msgspec.json.encode(id), NO_PART)
                how = "dropped"
        link = part.link + 1
        follower = None if how == "dropped" else chain.links.pop(link, None)
        following = Part(chain=part.chain, link=link, batches=part.batches, runs=part.runs)
        if follower and self._make(follower, result or b"null", following):
            chain.at = link
            return True
        del self.chains[part.chain]
        if failed:  # it was what counted, and may be replayed
            self._records.read(id).part = replace(part, chain="", link=0)
        return False

    def _run_ended(self, id: str, how: str, why: str) -> str:
        run = self.runs.get(id)
        if run is None:
            return how
        cancelled = how != "failed" and run.stop
        run.state = "cancelled" if cancelled else how
        run.error = run.reason if cancelled else why if how != "done" else ""
        run.ended_ms, run.paused = self._records.now_ms(), False
        if how != "failed":
            self._forget_run(run)
        return "dropped" if cancelled else how

    def _forget_run(self, run: Run) -> None:
        """It can be looked at for a while."""
        run.sent.clear()
        run.forgotten_ms = self._records.now_ms() + REMEMBERED_MS

    def _count(self, part: Part, how: str, by: int) -> None:
        for tally in self._tallies(part.batches, part.runs):
            setattr(tally, how, getattr(tally, how) + by)
            tally.open -= by
        if by < 0:
            for id in part.batches:
                if batch := self.batch(id):
                    batch.ended_ms, batch.until_ms = 0, None
            return
        for id in part.batches:
            if self.batch(id):
                self.complete(id)
        for id in part.runs:
            if id in self.runs:
                self.go_on(self.runs[id])

    def _tallies(self, batches: tuple[str, ...], runs: tuple[str, ...]) -> list[Tally]:
        found: list[Tally] = [batch for id in batches if (batch := self.batch(id))]
        return found + [self.runs[id] for id in runs if id in self.runs]

    def _make(self, follower: Follower, value: bytes | None, part: Part) -> bool:
        """A message of the store's own making, under an id that only it can have; whether it belongs to ``part``.

        The value fills its hole. One for others' workers belongs nowhere: nobody tells how it ends.
        """
        from .records import Entry

        records, message = self._records, follower.message
        if records.read(message.id).state:
            return not follower.for_others
        body = encode(message) if value is None else encode(message).replace(_HOLE, value, 1)
        at_ms = records.now_ms() + follower.wait_ms
        entry = Entry(id=message.id, queue=message.queue, body=body, fresh_ms=at_ms)
        entry.part, entry.foreign = NO_PART if follower.for_others else part, follower.for_others
        records.enter(entry, "DELAYED" if follower.wait_ms > 0 else "READY", at_ms)
        records.bell.notify_all()
        return not follower.for_others


def part_of(message: Message, within: Within) -> Part:
    """Return what a new message is part of."""
    flow = message.flow
    chain, link = (flow.chain, flow.link) if flow else ("", 0)
    return Part(chain=chain, link=link, batches=within.batches, runs=within.runs)
