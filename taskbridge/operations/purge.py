"""End what waits in a queue, message by message, as every message ends: begin, then finish.

So listeners are told, and a copy that comes later is recognised. No key is ever deleted. Only what waits in the
engine's queue is ended: what the store keeps of the queue (delayed, parked, dead) stays.
"""

from __future__ import annotations

import logging
import select
from collections import deque
from collections.abc import Generator

import msgspec

from ..backend import Backend, Delivery
from ..bridge import Bridge
from ..claimed import Claimed
from ..errors import BrokerUnavailable, StoreUnavailable
from ..events import Buried
from ..execution import accepted, ask, told
from ..message import Message, raw_id
from ..options import check_queue_name
from ..outcome import Ended
from ..settling import telling
from .audit import action

log = logging.getLogger("taskbridge")

#: How many messages are held at a time.
BATCH = 100

#: How long to wait for a broker that answers later, seconds.
EAR_S = 2.0

PURGED = Ended(how="purged", why="purged")


class Purge:
    """One purge of one queue on one backend.

    ``waiting`` is how many there were, ``ended`` how many never run now, ``buried`` how many were no messages and are
    among the dead letters, ``recognised`` how many were copies of what had ended or runs. ``runs`` are those whose
    chunk was among the ended: they end with it.

    Args:
        bridge: where the store and the listeners are.
        backend: whose queue.
        queue: its name.
        owner: a name that nobody else has; what is fetched lies on a shelf of this name.
        who: does it. Defaults to who runs this process.

    Raises:
        ConfigError: no queue is called so.
        BrokerUnavailable, StoreUnavailable: no answer; nothing was touched.
    """

    def __init__(self, bridge: Bridge, backend: Backend, queue: str, owner: str, *, who: str = "") -> None:
        check_queue_name(queue)
        bridge.store.now_ms()
        self.ended = self.buried = self.recognised = 0
        self.runs: list[str] = []
        self.waiting = backend.depth(queue)
        self.backend = backend.name
        self._runtime = bridge.runtime
        self._queue, self._owner, self._who = queue, owner, who
        self._consumer = backend.consumer([queue], owner, bridge.store)
        self._keeper = backend.keeper([queue])

    def run(self) -> Generator[None]:
        """End as many as waited, one per step. Left early, or by an error, it gives the rest back to the queue."""
        if self.waiting:
            about = f"{self.waiting} messages on {self.backend}"
            with action(self._runtime.store, self._who, "purge", f"queue {self._queue}", about):
                yield from self._run()

    def _run(self) -> Generator[None]:
        left = self.waiting
        hand: deque[Delivery] = deque()
        try:
            while left > 0:
                hand.extend(self._consumer.fetch(min(BATCH, left)) or self._heard(left))
                if not hand:
                    return
                left -= len(hand)
                while hand:
                    self._end(hand[0])
                    hand.popleft()
                    yield
        finally:
            self._give_back(hand)

    def _heard(self, left: int) -> list[Delivery]:
        """Wait a moment for what the consumer's ears tell of: it was asked for, and comes later."""
        if self._consumer.ears and select.select(self._consumer.ears, [], [], EAR_S)[0]:
            return self._consumer.fetch(min(BATCH, left))
        return []

    def _end(self, delivery: Delivery) -> None:
        if delivery.message is None:
            self._bury(delivery)
        elif delivery.message.is_copy:  # of a shadow: the ledger must not come to know of it
            self._consumer.acknowledge(delivery)
            self.ended += 1
            return
        elif not self._settled(delivery, delivery.message):
            return  # it stays on the shelf and goes back at the end
        if delivery.held is None:
            self._consumer.acknowledge(delivery)

    def _settled(self, delivery: Delivery, message: Message) -> bool:
        claims = self._runtime.store.claims
        claim = f"{self._owner}:{self.backend}:{delivery.tag}"
        asked = ask(delivery, message, claim, self._runtime)
        # It is not to run, so it waits for nothing, and takes nothing from those that do
        begun = claims.begin(msgspec.structs.replace(asked, ending=True, locks=(), rates=()))
        claimed = Claimed(delivery=delivery, message=message, claim=claim, backend=self.backend, begun=begun)
        if begun.verdict != "run":
            accepted(claimed, self._runtime)
            self.recognised += 1
            return True
        answer = claims.finish(telling(claimed, PURGED, self._runtime))
        told(claimed, answer, PURGED, self._runtime)
        self.ended += answer in ("ok", "mine")
        if message.flow and message.flow.run:
            self.runs.append(message.flow.run)
        return answer != "unknown"

    def _bury(self, delivery: Delivery) -> None:
        """Bytes that are no message: kept as they are, as a worker does."""
        id = raw_id(delivery.raw)
        self._runtime.store.dead.bury(id, self._queue, delivery.raw, delivery.problem, delivery.held)
        self._runtime.events.emit(Buried(id=id, task="", queue=self._queue, backend=self.backend, why=delivery.problem))
        self.buried += 1

    def _give_back(self, hand: deque[Delivery]) -> None:
        try:
            self._consumer.give_back(list(hand))
            self._keeper.reclaim(self._owner)
        except (BrokerUnavailable, StoreUnavailable) as error:
            log.warning("%d messages were not given back and come again by themselves: %s", len(hand), error)
