"""Follow a run until nothing is left of it: what its processes record, held against what store and broker say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from ..bridge import Bridge
from ..clock import Clock
from ..errors import TaskbridgeError
from ..operations.depths import Depth, depths
from .processes import ComparisonFailed
from .records import Reader
from .tally import Tally

#: Nothing was recorded for so long: then store and broker are asked whether something is left, seconds.
STILL_S = 0.3

#: A message without an end is lost when nothing is left, and nothing was recorded for so long, seconds: what a worker
#: that was killed had fetched runs again within a minute.
LOST_S = 75.0

#: Where the store keeps messages that are to go on.
KEPT = ("ready", "delayed", "parked", "locked", "throttled", "held", "paused")

#: How many kinds of messages an error names.
NAMED = 5

#: Told how many messages have ended, and how many there are so far.
Show = Callable[[int, int], None]


class Follower:
    """Knows how far a run is.

    Args:
        bridge: of the run's namespace.
        queues: those that its tasks have.
        folder: where its processes write.
        clock: the machine's.
        show: who else wants to know.
    """

    def __init__(self, bridge: Bridge, queues: set[str], folder: Path, clock: Clock, show: Show) -> None:
        self.tally = Tally()
        self._bridge = bridge
        self._queues = queues
        self._reader = Reader(folder)
        self._clock = clock
        self._show = show
        self._still_since_s = self._look_after_s = 0.0

    def look(self) -> None:
        """Take in what was recorded."""
        if news := self._reader.news():
            self.tally.add(news)
            self._queues.update({record.queue for record in news})
            self._still_since_s = self._look_after_s = self._clock.monotonic_s()
        self._show(self.tally.ended, len(self.tally.lives))

    def nothing_is_left(self) -> bool:
        """Whether all is over, now that nobody enqueues any more.

        Raises:
            BrokerUnavailable, StoreUnavailable: no answer.
        """
        now_s = self._clock.monotonic_s()
        if now_s < self._look_after_s + STILL_S or (self.tally.open and now_s < self._still_since_s + LOST_S):
            return False
        self._look_after_s = now_s
        return not any(self._left())

    def lost(self) -> int:
        """How many have come to no end: neither did a process write it down, nor does the store know of it."""
        look = self._bridge.store.messages.look
        records = [look(id) for id in self.tally.open]
        return sum(record is None or record.state not in ("DONE", "DEAD") for record in records)

    def missing(self) -> str:
        """Say what has not ended, and where it is."""
        opened = self.tally.open
        kinds = Counter((life.task, life.queue) for life in opened.values()).most_common(NAMED)
        named = [f"{count:,} of {task} in {queue}" for (task, queue), count in kinds]
        try:
            named += self._left()
        except TaskbridgeError as error:
            named.append(str(error))
        of = f"{len(opened):,} of {len(self.tally.lives):,} messages have not ended"
        return "\n  ".join([of, *named])

    def _left(self) -> Iterator[str]:
        """What store and broker still have, a line for each queue."""
        found = depths(self._bridge, self._queues)
        for problem in found.problems:
            raise ComparisonFailed(problem)
        return filter(None, map(_told, found.queues))


def _told(depth: Depth) -> str:
    sides = depth.backends.values()
    numbers = {state: getattr(depth, state) for state in KEPT}
    numbers |= {"waiting": sum(side.waiting or 0 for side in sides), "running": sum(side.running for side in sides)}
    told = ", ".join(f"{number:,} {state}" for state, number in numbers.items() if number)
    served = "" if any(side.processes for side in sides) else "; no process serves it"
    return f"queue {depth.queue}: {told}{served}" if told else ""
