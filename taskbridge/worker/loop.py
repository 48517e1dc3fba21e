"""One loop in one thread, the same for every engine: fetch, decode, begin, run, finish with acknowledgement.

``finish`` of one message travels with ``begin`` of the next when that one is in hand, and at once when it is not.
A message is never acknowledged before the store has the next state; what the store cannot be told is told again.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ..attempt import attempt
from ..backend import Consumer, Delivery, Runner
from ..claimed import Claimed, Watch
from ..clock import Clock
from ..errors import BrokerUnavailable, ConfigError, StoreUnavailable, StoreUnfit
from ..events import Buried
from ..execution import accepted, ask, record, told
from ..message import Message, raw_id
from ..outcome import Done, Outcome
from ..patience import Trouble, patiently
from ..runtime import Runtime
from ..settling import judge, telling
from ..shadow import BEGUN, run_copy
from ..store import Begun, Finish
from ..unrecorded import begun as begun_unrecorded
from ..unrecorded import is_unrecorded
from .complaints import Complaints
from .pace import Pace
from .slots import Slot
from .tenure import Tenure

log = logging.getLogger("taskbridge.worker")

#: How long an idle child waits for the bell before it looks by itself, seconds.
WAIT_S = 1.0

#: How often a child looks whether its supervisor is through with its hand, seconds.
HOLD_S = 0.001

#: How long to leave an absent broker alone, seconds.
AWAY_S = 0.5

#: What a broker raises that cannot be used now: it is away, refuses us, or a queue is gone. Others are served.
_UNUSABLE = (BrokerUnavailable, ConfigError, StoreUnavailable, StoreUnfit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where messages come from: one backend's consumer, and the hooks they run in."""

    backend: str
    consumer: Consumer
    runner: Runner


@dataclass(slots=True)
class Ran:
    """A message that was run, and is yet to be told."""

    source: Source
    claimed: Claimed
    outcome: Outcome
    finish: Finish
    cell: int


class Loop:
    """The life of a child.

    Args:
        owner: the child's name, new with each process.
        sources: its backends, served in turn.
        runtime: what running needs.
        slot: where its claims are shown.
        wait: waits for the bell, at most so many seconds, or until one of some file descriptors can be read.
        ring: wakes another child, for there is more.
        queues: those that its consumers were made for.
        watch: who ends this process at a hard timeout. Defaults to nobody.
        tenure: how long this child serves. Defaults to until it is told to stop.
        records: whether a message is to be recorded though its task wants no ledger. Defaults to what the store says.
    """

    def __init__(
        self,
        owner: str,
        sources: Sequence[Source],
        runtime: Runtime,
        slot: Slot,
        wait: Callable[[float, Sequence[int]], None],
        ring: Callable[[], None],
        *,
        queues: Sequence[str] = (),
        watch: Watch | None = None,
        tenure: Tenure | None = None,
        records: Callable[[Message], bool] | None = None,
    ) -> None:
        self.stopping = False
        self._owner = owner
        self._sources = deque(sources)
        self._troubles = {source.backend: _trouble(source.backend, runtime.clock) for source in sources}
        self._runtime = runtime
        self._slot = slot
        self._wait = wait
        self._ring = ring
        self._queues = self._served = queues
        self._paused = 0
        self._watch = watch
        self._tenure = tenure
        self._records = records or partial(runtime.heed.records, store=runtime.store, clock=runtime.clock)
        self._pace = Pace()
        self._complaints = Complaints(runtime.clock)
        self._hand: deque[tuple[Source, Delivery]] = deque()
        self._emptied = slot.emptied
        self._ran: Ran | None = None
        self._cell = 0

    def run(self) -> None:
        """Serve until told to stop; then settle what ran and give back what was not begun."""
        while not self.stopping:
            if not self.step():
                self._rest(WAIT_S, self._ears())
        self._settle()
        self._give_back()

    def step(self) -> bool:
        """Serve one message; False when there was none."""
        if self._slot.emptied != self._emptied:  # a long run: the supervisor gave back what we had not begun
            self._emptied = self._slot.emptied
            self._hand.clear()
        if not self._hand:
            self._settle()
            self._fetch()
        if not self._hand:
            return False
        source, delivery = self._hand.popleft()
        if delivery.withdrawn:
            return True
        if delivery.message is None:
            self._bury(source, delivery)
        elif delivery.message.is_copy:
            self._serve_copy(source, delivery)
        elif is_unrecorded(delivery.message, self._runtime) and not self._records(delivery.message):
            self._serve_unrecorded(source, delivery)
        else:
            self._serve(source, delivery)
        return True

    def _serve(self, source: Source, delivery: Delivery) -> None:
        claimed, cell = self._begin(source, delivery)
        if not accepted(claimed, self._runtime):
            self._slot.clear(cell, self._runtime.clock.monotonic_s())
            self._acknowledge(source, delivery)
            return
        outcome = self._run_in_hooks(source, claimed)
        self._pace.ran(claimed.ran_ms)
        self._ran = Ran(source, claimed, outcome, telling(claimed, outcome, self._runtime), cell)
        self._grow_older()

    def _serve_copy(self, source: Source, delivery: Delivery) -> None:
        """Run what a shadow only compares: nothing is claimed, and nothing settled but what ran before it."""
        self._settle()
        message, claim, cell = self._shown(source, delivery)
        claimed = self._claimed(source, delivery, message, claim, BEGUN)
        run_copy(claimed, self._runtime, partial(source.runner.run, delivery))
        self._slot.clear(cell, self._runtime.clock.monotonic_s())
        self._release(source, delivery)
        self._pace.ran(claimed.ran_ms)
        self._grow_older()

    def _serve_unrecorded(self, source: Source, delivery: Delivery) -> None:
        """Run what its task wants no ledger for; the store hears of it only when it does not succeed."""
        self._settle()
        if delivery.withdrawn:  # given back while the store was slow: nobody would recognise a copy
            return
        delivery.unrecorded = True
        message, claim, cell = self._shown(source, delivery)
        if self._is_given_back():
            self._slot.clear(cell, self._runtime.clock.monotonic_s())
            return
        claimed = self._claimed(source, delivery, message, claim, begun_unrecorded(message, self._runtime.clock))
        if not accepted(claimed, self._runtime):
            self._forget(source, delivery, cell)
            return
        outcome = self._run_in_hooks(source, claimed)
        self._pace.ran(claimed.ran_ms)
        if isinstance(outcome, Done):
            self._forget(source, delivery, cell)
            told(claimed, "ok", outcome, self._runtime)
        else:
            self._enter_ledger(source, claimed, outcome, cell)
        self._grow_older()

    def _is_given_back(self) -> bool:
        """Whether the supervisor has just given back what is in hand; nobody would recognise the copy."""
        while self._slot.held:
            self._runtime.clock.sleep(HOLD_S)
        return self._slot.emptied != self._emptied

    def _enter_ledger(self, source: Source, claimed: Claimed, outcome: Outcome, cell: int) -> None:
        """Take what has not succeeded into the ledger; from here on the supervisor renews its claim."""
        clock = self._runtime.clock
        self._slot.write(cell, claimed.message.id, claimed.claim, clock.monotonic_s())
        if record(claimed, self._runtime):
            self._ran = Ran(source, claimed, outcome, telling(claimed, outcome, self._runtime), cell)
        else:
            self._slot.clear(cell, clock.monotonic_s())
            self._acknowledge(source, claimed.delivery)

    def _forget(self, source: Source, delivery: Delivery, cell: int) -> None:
        """It is the broker's alone: only when that was told is nothing to be brought back."""
        self._release(source, delivery)
        self._slot.clear(cell, self._runtime.clock.monotonic_s())

    def _grow_older(self) -> None:
        """One more has run: it may have been the last."""
        if self._tenure and (over := self._tenure.ran()):
            log.info("child %d goes and is replaced: %s", os.getpid(), over.text)
            self._slot.leave(over.word)
            self.stopping = True

    def _run_in_hooks(self, source: Source, claimed: Claimed) -> Outcome:
        try:
            return source.runner.run(claimed.delivery, partial(attempt, claimed, self._runtime))
        except (Exception, SystemExit) as error:  # the hooks' own failure is the attempt's
            if count := self._complaints.more(error):
                told = (source.backend, claimed.message.task, count)
                log.exception("the hooks of %s failed around %s, the last of %d times", *told)
            return judge(error, claimed, self._runtime)

    def _begin(self, source: Source, delivery: Delivery) -> tuple[Claimed, int]:
        """Claim this delivery; what ran before it is told on the same trip."""
        message, claim, cell = self._shown(source, delivery)
        request = ask(delivery, message, claim, self._runtime)
        claims, clock = self._runtime.store.claims, self._runtime.clock
        if self._ran is None:
            begun = patiently(lambda: claims.begin(request), clock)
        else:
            finish = self._ran.finish
            answer, begun = patiently(lambda: claims.finish_and_begin(finish, request), clock)
            self._told(answer)
        return self._claimed(source, delivery, message, claim, begun), cell

    def _shown(self, source: Source, delivery: Delivery) -> tuple[Message, str, int]:
        """Show the supervisor what is about to begin, and under which claim."""
        message = delivery.message
        assert message is not None
        delivery.taken = True
        self._cell = cell = 1 - self._cell
        claim = f"{self._owner}:{source.backend}:{delivery.tag}"
        now_s = self._runtime.clock.monotonic_s()
        self._slot.write(cell, message.id, claim, now_s, unrecorded=delivery.unrecorded)
        return message, claim, cell

    def _claimed(self, source: Source, delivery: Delivery, message: Message, claim: str, begun: Begun) -> Claimed:
        return Claimed(
            delivery=delivery,
            message=message,
            claim=claim,
            backend=source.backend,
            begun=begun,
            watch=self._watch,
            stopping=lambda: self.stopping,
        )

    def _settle(self) -> None:
        """Tell what ran, for nothing is in hand that it could travel with."""
        if self._ran is not None:
            finish = self._ran.finish
            self._told(patiently(lambda: self._runtime.store.claims.finish(finish), self._runtime.clock))

    def _told(self, answer: str) -> None:
        ran, self._ran = self._ran, None
        assert ran is not None
        self._slot.clear(ran.cell, self._runtime.clock.monotonic_s())
        if answer == "unknown":  # the store has lost the record: the engine's copy is all there is
            self._return(ran.source, [ran.claimed.delivery])
        else:
            self._acknowledge(ran.source, ran.claimed.delivery)
        told(ran.claimed, answer, ran.outcome, self._runtime)

    def _acknowledge(self, source: Source, delivery: Delivery) -> None:
        """Let the broker forget what the store has settled, where the store's script could not."""
        if delivery.held is None:
            self._release(source, delivery)

    def _release(self, source: Source, delivery: Delivery) -> None:
        """Let the broker forget it."""
        try:
            source.consumer.acknowledge(delivery)
        except _UNUSABLE as error:
            what = "has run and was not acknowledged; it runs again"
            if not delivery.unrecorded:
                what = "was settled and not acknowledged; it will be recognised"
            log.warning("%s %s: %s", delivery.tag, what, error)

    def _bury(self, source: Source, delivery: Delivery) -> None:
        """Bytes that are no message: among the dead letters, as they are."""
        id = raw_id(delivery.raw)
        dead = self._runtime.store.dead
        bury = partial(dead.bury, id, delivery.queue, delivery.raw, delivery.problem, delivery.held)
        patiently(bury, self._runtime.clock)
        buried = Buried(id=id, task="", queue=delivery.queue, backend=source.backend, why=delivery.problem)
        self._runtime.events.emit(buried)
        self._acknowledge(source, delivery)

    def _fetch(self) -> None:
        """Take messages from the first backend that has some; another begins next time."""
        if self._slot.paused != self._paused:
            self._leave_paused()
        if self._queues and not self._served:  # it hears of what is resumed, and is not deaf
            self._slot.alive(self._runtime.clock.monotonic_s())
            return
        for _ in range(len(self._sources)):
            source = self._sources[0]
            self._sources.rotate(-1)
            try:
                deliveries = source.consumer.fetch(self._pace.ahead)
            except _UNUSABLE as error:
                self._troubles[source.backend].met(error)
                self._rest(AWAY_S, ())
                continue
            self._troubles[source.backend].over()
            self._slot.alive(self._runtime.clock.monotonic_s())
            if deliveries:
                self._hand.extend((source, delivery) for delivery in deliveries)
                if source.consumer.more:
                    self._ring()
                return

    def _leave_paused(self) -> None:
        """Other queues are paused than before: serve those that are not."""
        number = self._slot.paused
        try:
            paused = self._runtime.store.control.halts().queues if number else ()
            served = [queue for queue in self._queues if queue not in paused]
            for source in self._sources:
                source.consumer.serve(served)
        except _UNUSABLE as error:
            log.warning("which queues are paused is asked again: %s", error)
            return
        self._paused, self._served = number, served

    def _rest(self, seconds: float, ears: Sequence[int]) -> None:
        """Wait for the bell, at most so long; all other time a child has something to do."""
        clock, slot = self._runtime.clock, self._slot
        slot.rest(clock.monotonic_s())
        self._wait(seconds, ears)
        slot.rested(clock.monotonic_s())

    def _ears(self) -> list[int]:
        served = self._served or not self._queues
        return [ear for source in self._sources for ear in source.consumer.ears] if served else []

    def _give_back(self) -> None:
        for source in self._sources:
            self._return(source, [delivery for of, delivery in self._hand if of is source])
        self._hand.clear()

    def _return(self, source: Source, deliveries: Sequence[Delivery]) -> None:
        try:
            source.consumer.give_back(deliveries)
        except _UNUSABLE as error:
            log.warning("%d messages were not given back and come again by themselves: %s", len(deliveries), error)


def _trouble(backend: str, clock: Clock) -> Trouble:
    name = f"taking messages of {backend}"
    return Trouble(log, clock, f"{name} failed and is tried again", f"{name} goes on")
