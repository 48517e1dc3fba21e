"""What one connection brings to a worker, and what is known of it until the connection is lost.

Messages are asked for, or pushed. Who asks learns how much waits where, then takes what it wants: two trips. So bands
keep their order to the message, and nothing lies in a socket that another worker could run. Where tasks are so short
that the trips would count, and much waits, messages stream: the band that is read and those before it are pushed, as
many as would be taken ahead, until something would have to lie here. Who is idle has one message of each queue pushed.

Tags count from one on every connection, so ours begin with the connection's number: a claim is never used twice.
Not for two threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter

from ..backend import Delivery
from ..errors import DecodeError
from .connection import Connection
from .content import Content
from .queues import Reading
from .reading import Stream, stream, wanted

Decode = Callable[[Delivery, Content], None]

#: The rank of a message's queue, its tag, and the message.
Came = tuple[int, int, Delivery]

#: Acknowledgements of what was asked for travel together, at most so many.
TOGETHER = 32

#: How long a stream may be dry before it is asked whether it has ended, seconds: the broker is busy with others, too.
DRY_S = 0.01

#: How long what the broker says is there may be on its way, seconds.
SLOW_S = 0.1

_ORDER = itemgetter(0, 1)


class Session:
    """A connection that reads queues.

    Args:
        connection: open.
        readings: the queues, in the order they are read.
        number: of this connection among its worker's.
        decode: fills in a delivery's message and envelope from what came; raises DecodeError.
    """

    def __init__(self, connection: Connection, readings: Sequence[Reading], number: int, decode: Decode) -> None:
        self.connection = connection
        self.streaming: Stream | None = None
        self._readings = {one.name: one for one in readings}
        self._number = number
        self._decode = decode
        self._held: dict[int, Delivery] = {}
        self._settled: set[int] = set()
        self._pushed: list[Came] = []
        self._consuming: Mapping[str, str] = {}
        self._subscriptions = 0
        self._together = TOGETHER
        self._again = False
        connection.delivered = self._on_deliver

    @property
    def listening(self) -> bool:
        """Whether one message of each queue is pushed."""
        return bool(self._consuming) and self.streaming is None

    def serve(self, readings: Sequence[Reading]) -> None:
        """Read these queues alone; nothing is pushed, and nothing in hand."""
        self._readings = {one.name: one for one in readings}

    def listen(self) -> None:
        """Have one message of each queue pushed."""
        if not self.listening:
            self.unsubscribe()
            self.give_back(delivery for _, _, delivery in self._heard())  # it would lie here, and wake nobody
            self._subscribe(list(self._readings), 1)

    def unsubscribe(self) -> None:
        """Have nothing pushed any more; all that was is here then, or back in its queue.

        So nothing older comes after what is asked for, where the queue puts in front what comes back. Best done before
        more is acknowledged: then little is on its way.
        """
        if self._consuming:
            self.connection.cancel(list(self._consuming))
        self._consuming, self.streaming, self._together, self._again = {}, None, TOGETHER, False

    def take(self, limit: int, turn: int) -> list[Delivery]:
        """Return what was pushed, or what is there, in the order of bands; what is too much goes back.

        Args:
            limit: how many at most.
            turn: grows with each call, so that each queue has its turn.
        """
        ended = bool(self._settled)
        self.connection.hear()
        if self._is_over(limit):
            self.unsubscribe()
        if not self.streaming:
            self.acknowledge()
        elif not self._pushed:
            self.acknowledge()
            self.connection.rest(DRY_S)
        came = self._heard()
        if len(came) < limit and not self.listening and not (self.streaming and came):
            came += self._asked(limit - len(came), turn)
            came += self._heard()  # what was pushed meanwhile
        came.sort(key=_ORDER)  # what was pushed is older than what was asked for after it
        self._again = self.listening and (bool(came) or (self._again and ended))  # the next is not pushed before
        self._leave(came, limit)
        return [delivery for _, _, delivery in came[:limit]]

    def settle(self, delivery: Delivery) -> bool:
        """Note that the broker may forget it; returns whether it is time to say so.

        A copy of what is unrecorded would run again: it waits for others only while tasks are short.
        """
        if not delivery.withdrawn:
            self._settled.add(_tag(delivery))
        return len(self._settled) >= self._together or (delivery.unrecorded and self.streaming is None)

    def acknowledge(self) -> None:
        """Tell the broker what is settled."""
        if not self._settled:
            return
        upto = 0
        for tag in self._held:  # in the order they came
            if tag not in self._settled:
                break
            upto = tag
        if upto:
            self.connection.channel.basic_ack(upto, multiple=True)
        for tag in self._settled:
            self._held.pop(tag, None)
            if tag > upto:
                self.connection.channel.basic_ack(tag)
        self._settled.clear()

    def give_back(self, deliveries: Iterable[Delivery]) -> None:
        """Put these back to where they were in their queues."""
        for delivery in deliveries:
            tag = _tag(delivery)
            if not delivery.withdrawn and tag in self._held:
                delivery.withdrawn = True
                del self._held[tag]
                self.connection.channel.basic_reject(tag, requeue=True)

    def give_back_unbegun(self) -> None:
        """Put back all that nobody has begun; nothing more is pushed. Hears the broker's signs of life meanwhile."""
        self.unsubscribe()
        self.acknowledge()
        self.connection.hear()
        self._pushed.clear()
        self.give_back([one for one in self._held.values() if not one.taken and _tag(one) not in self._settled])

    def lose(self) -> None:
        """The connection is gone: what came by it comes again by itself."""
        self.connection.drop()
        for delivery in self._held.values():
            delivery.withdrawn = True
        self._held.clear()
        self._settled.clear()
        self._pushed.clear()

    def _is_over(self, limit: int) -> bool:
        """Whether pushing is to end: much comes to one who listens, or tasks are longer than when the stream began."""
        if self.streaming:
            return limit < self.streaming.limit // 2
        return bool(self._pushed) and (limit == 1 or self._again)

    def _heard(self) -> list[Came]:
        heard, self._pushed = self._pushed, []
        return heard

    def _leave(self, came: Sequence[Came], limit: int) -> None:
        """Keep for the next time what is too much now; not if it would wait for another band, or for long."""
        left = came[limit:]
        if self.streaming and len(left) <= limit and (not left or left[-1][0] == came[0][0]):
            self._pushed = [*left]
        elif left:
            self.unsubscribe()
            self.give_back(delivery for _, _, delivery in [*left, *self._heard()])

    def _asked(self, limit: int, turn: int) -> list[Came]:
        readings = list(self._readings.values())
        depths = dict(zip(self._readings, self.connection.depths(list(self._readings)), strict=True))
        worth = stream(readings, depths, limit)
        if self.streaming and self._goes_on(self.streaming, worth, depths):
            return []
        self.unsubscribe()
        most = max(0, limit - len(self._pushed))
        names = wanted(readings, depths, min(most, limit // 4) if worth else most, turn)
        came = [self._came(*one) for one in self.connection.get(names)] if names else []
        if worth:
            self._subscribe(worth.names, worth.ahead)
            self.streaming, self._together = worth, worth.together
        return came

    def _goes_on(self, streaming: Stream, worth: Stream | None, depths: Mapping[str, int]) -> bool:
        """Whether more of a stream has come, or does now: whatever it has not pushed yet is its to push."""
        if not self._pushed and any(depths[name] for name in streaming.names):
            self.connection.rest(SLOW_S)
        return bool(self._pushed) and (worth is None or streaming.serves(worth))

    def _subscribe(self, names: Sequence[str], ahead: int) -> None:
        """Have at most so many of each pushed."""
        self._subscriptions += 1
        self._consuming = {f"{self._subscriptions}.{at}": name for at, name in enumerate(names)}
        self.connection.consume(self._consuming, ahead)

    def _on_deliver(self, consumer: str, tag: int, content: Content) -> None:
        if consumer in self._consuming:
            self._pushed.append(self._came(self._consuming[consumer], tag, content))
        else:
            self.connection.channel.basic_reject(tag, requeue=True)  # what comes that late is for others

    def _came(self, name: str, tag: int, content: Content) -> Came:
        reading = self._readings[name]
        delivery = self._held[tag] = Delivery(tag=f"{self._number}.{tag}", queue=reading.queue, raw=content.body)
        try:
            self._decode(delivery, content)
        except DecodeError as error:
            delivery.problem, delivery.raw = str(error), content.whole()
        return reading.rank, tag, delivery


def _tag(delivery: Delivery) -> int:
    return int(delivery.tag.partition(".")[2])
