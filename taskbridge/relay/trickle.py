"""What a full broker refused trickles: a few at a time go to its workers, which free the memory that it fills.

Each queue has a lane of its own: one that nobody reads holds up no other. The first of a lane is tried as what comes to
any broker, which may have room again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from ..enqueue import Sender, publish
from ..errors import BrokerUnavailable, PayloadTooLarge, StoreFull
from ..message import Message

#: A full broker is handed so many that the store keeps already, and no more while so many wait: each is there twice.
FEW = 100

#: How long to leave a full broker alone while so many wait, seconds.
PAUSE_S = 0.02

#: What is refused while so many of its place are held stays leased, and comes again.
MOST_HELD = 5_000


class Place(NamedTuple):
    """A queue of a backend; in ``front`` goes what has waited already."""

    backend: str
    queue: str
    front: bool


@dataclass(slots=True)
class Trickle:
    """Leased messages of full brokers, by place, in the order in which they are due.

    ``lanes`` has each with the moment until which its lease is ours; ``problems`` is what was wrong with brokers.
    """

    sender: Sender
    lanes: dict[Place, deque[tuple[Message, float]]] = field(default_factory=dict)
    problems: list[Exception] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.lanes.values()))

    def hold(self, backend: str, messages: Sequence[Message], leased_until_s: float, *, front: bool) -> None:
        """Keep what this backend has refused, as far as there is room."""
        for message in messages:
            lane = self.lanes.setdefault(Place(backend, message.queue, front), deque())
            if len(lane) < MOST_HELD:
                lane.append((message, leased_until_s))

    def holds(self, backend: str, queue: str) -> bool:
        """Whether something of this queue is in hand, which is older than what comes now."""
        return Place(backend, queue, front=True) in self.lanes or Place(backend, queue, front=False) in self.lanes

    def waits_for(self, backend: str) -> bool:
        """Whether something is in hand that this backend has refused."""
        return any(place.backend == backend for place in self.lanes)

    def ids(self) -> set[str]:
        """Return the ids of all that is held."""
        return {message.id for lane in self.lanes.values() for message, _ in lane}

    def forget_lapsed(self) -> None:
        """Let go of what is leased no more: it is taken again."""
        for place in list(self.lanes):
            self._forget_lapsed(place)

    def pour(self, seconds: float) -> Iterator[Sequence[Message]]:
        """Hand over what there is room for, for so long; each few are to be marked before the next."""
        clock = self.sender.clock
        ends_s = clock.monotonic_s() + seconds
        while self.lanes:
            poured = False
            for place in sorted(self.lanes, key=lambda place: not place.front):
                if few := self._pass_on(place):
                    poured = True
                    yield few
            if clock.monotonic_s() >= ends_s:
                break
            if not poured:
                clock.sleep(PAUSE_S)

    def _pass_on(self, place: Place) -> Sequence[Message]:
        """Hand over the first few of a lane; returns them, or nothing while there is no room."""
        self._forget_lapsed(place)
        few = [message for message, _ in islice(self.lanes.get(place, ()), FEW)]
        try:
            if not (few and self._handed(few, front=place.front)):
                return ()
        except PayloadTooLarge:  # a route has changed: which one it is is found when they are taken again
            self._forget(place)
            return ()
        except Exception as error:  # whatever it is, other brokers have room
            self.problems.append(error)
            away = isinstance(error, BrokerUnavailable)
            for one in [one for one in self.lanes if one == place or (away and one.backend == place.backend)]:
                self._forget(one)
            return ()
        lane = self.lanes[place]
        for _ in few:
            lane.popleft()
        if not lane:
            self._forget(place)
        return few

    def _handed(self, few: list[Message], *, front: bool) -> bool:
        try:
            publish(few, self.sender, front=front)
        except StoreFull:
            if not self._has_room(few):
                return False
            publish(few, self.sender, kept=True, front=front)
        return True

    def _has_room(self, messages: Sequence[Message]) -> bool:
        places = {(self.sender.route(message), message.queue) for message in messages}
        return all(self.sender.backend(backend).depth(queue) < FEW for backend, queue in places)

    def _forget_lapsed(self, place: Place) -> None:
        now_s, lane = self.sender.clock.monotonic_s(), self.lanes.get(place, deque())
        while lane and lane[0][1] <= now_s:
            lane.popleft()
        if not lane:
            self._forget(place)

    def _forget(self, place: Place) -> None:
        self.lanes.pop(place, None)
