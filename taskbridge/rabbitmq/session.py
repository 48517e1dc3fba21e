"""What one connection brings to a worker, and what is known of it until the connection is lost.

Tags count from one on every connection, so ours begin with the connection's number: a claim is never used twice.
Not for two threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest

from amqp import spec

from ..backend import Delivery
from ..errors import DecodeError
from .connection import Connection
from .content import Content
from .queues import Reading

Decode = Callable[[Delivery, Content], None]


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
        self.subscribed = False
        self._readings = {one.name: one for one in readings}
        self._number = number
        self._decode = decode
        self._held: dict[int, Delivery] = {}
        self._settled: set[int] = set()
        self._pushed: list[tuple[int, Delivery]] = []
        connection.on(spec.Basic.Deliver, self._on_deliver)
        connection.channel.basic_qos(0, 1, a_global=False)

    @property
    def settled(self) -> int:
        """How many are settled, and the broker does not know it yet."""
        return len(self._settled)

    @property
    def pushed(self) -> bool:
        """Whether something was pushed, and not taken yet."""
        return bool(self._pushed)

    def subscribe(self) -> None:
        """Have one message of each queue pushed."""
        if not self.subscribed:
            self.subscribed = True
            for name in self._readings:
                self.connection.channel.basic_consume(name, consumer_tag=name, nowait=True, callback=_unheard)

    def unsubscribe(self) -> None:
        """Have nothing pushed any more; what is on its way still comes."""
        if self.subscribed:
            self.subscribed = False
            for name in self._readings:
                self.connection.channel.basic_cancel(name, nowait=True)

    def take(self, limit: int, turn: int, *, ask: bool) -> list[Delivery]:
        """Return what was pushed, and what is there if ``ask``, in the order of bands; what is too much goes back.

        Args:
            limit: how many at most.
            turn: grows with each call, so that each queue has its turn.
            ask: whether to look into the queues.
        """
        self.connection.hear()
        came, self._pushed = self._pushed, []
        if ask and len(came) < limit:
            came += self._asked(limit - len(came), turn)
            came += self._pushed  # what was on its way when nothing more was wanted
            self._pushed = []
        in_order = [delivery for _, delivery in sorted(came, key=lambda one: (one[0], _tag(one[1])))]
        self.give_back(in_order[limit:])
        return in_order[:limit]

    def settle(self, delivery: Delivery) -> None:
        """Note that the broker may forget it."""
        if not delivery.withdrawn:
            self._settled.add(_tag(delivery))

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
        """Put back all that nobody has begun; nothing more is pushed."""
        self.unsubscribe()
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

    def _asked(self, limit: int, turn: int) -> list[tuple[int, Delivery]]:
        depths = dict(zip(self._readings, self.connection.depths(list(self._readings)), strict=True))
        wanted: list[str] = []
        for rank in sorted({one.rank for one in self._readings.values()}):
            names = [one.name for one in self._readings.values() if one.rank == rank and depths[one.name]]
            first = turn % len(names) if names else 0
            wanted += _in_turn([[name] * min(depths[name], limit) for name in names[first:] + names[:first]])
        if not wanted:
            return []
        return [self._came(name, tag, content) for name, tag, content in self.connection.get(wanted[:limit])]

    def _on_deliver(self, consumer: str, tag: int, _again: bool, _exchange: str, _key: str, content: Content) -> None:
        self._pushed.append(self._came(consumer, tag, content))

    def _came(self, name: str, tag: int, content: Content) -> tuple[int, Delivery]:
        reading = self._readings[name]
        delivery = self._held[tag] = Delivery(tag=f"{self._number}.{tag}", queue=reading.queue, raw=content.body)
        try:
            self._decode(delivery, content)
        except DecodeError as error:
            delivery.problem, delivery.raw = str(error), content.whole()
        return reading.rank, delivery


def _tag(delivery: Delivery) -> int:
    return int(delivery.tag.partition(".")[2])


def _in_turn(lists: Sequence[Sequence[str]]) -> list[str]:
    """One of each in turn, until all are empty."""
    return [name for round in zip_longest(*lists) for name in round if name]


def _unheard(_message: object) -> None:
    """py-amqp wants a callback for each consumer; ``Session`` hears deliveries before it looks for one."""
