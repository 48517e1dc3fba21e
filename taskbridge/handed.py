"""What lies in the queues of a broker that shows no message without handing it out, for a drain.

What is looked at is in its hand: what stays goes back at the end of the look, and what a killed drain had in hand is
shown again by the broker. So a look, too, hides messages from workers for as long as it takes.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Sequence

from .backend import Consumer, Delivery
from .leftovers import Hands, Leftover, reason

#: How many messages are handed out at a time, and how long to wait for a broker that answers later, seconds.
PAGE, EAR_S = 100, 2.0


class HandedLeftovers:
    """One drain's hand on some queues.

    Args:
        consumer: hands out what lies there.
        depth: says how many lie there.
        describe: says of a decoded message what it is.
    """

    def __init__(
        self, consumer: Consumer, depth: Callable[[], int], describe: Callable[[Leftover, Delivery], None]
    ) -> None:
        self._consumer = consumer
        self._depth = depth
        self._describe = describe
        self._hand: dict[str, Delivery] = {}
        self._gave = 0

    def look(self) -> Iterator[list[Leftover]]:
        left = max(self._depth(), self._gave)  # the broker may say a moment later that it has back what it was given
        try:
            while left > 0:
                handed = self._consumer.fetch(min(PAGE, left)) or self._heard(min(PAGE, left))
                if not handed:
                    return
                left -= len(handed)
                self._hand |= {one.tag: one for one in handed}
                yield [self._leftover(one) for one in handed]
        finally:
            self.close()

    def take(self, few: Sequence[Leftover]) -> list[Leftover]:
        taken = [one for one in few if not self._hand[one.place].withdrawn]
        for one in taken:
            one.tag = one.place
            self._hand[one.tag].taken = True
        return taken

    def stranded(self) -> Iterator[list[Leftover]]:
        """None: the broker itself shows again what a killed drain had in hand."""
        return iter(())

    def hands(self) -> Hands:
        """Not known: the broker does not say what its consumers hold."""
        return Hands(hidden="the broker does not tell")

    def seize(self) -> Iterator[list[Leftover]]:
        """Nothing."""
        return iter(())

    def forget(self, few: Sequence[Leftover]) -> None:
        for one in few:
            self._consumer.acknowledge(self._hand.pop(one.tag))

    def give_back(self, few: Sequence[Leftover]) -> None:
        self._consumer.give_back([self._hand.pop(one.place) for one in few])

    def close(self) -> None:
        hand, self._hand = [one for one in self._hand.values() if not one.withdrawn], {}
        self._gave = len(hand)
        self._consumer.give_back(hand)

    def _heard(self, limit: int) -> list[Delivery]:
        """Wait a moment for what the consumer's ears tell of: it was asked for, and comes later."""
        if self._consumer.ears and select.select(self._consumer.ears, [], [], EAR_S)[0]:
            return self._consumer.fetch(limit)
        return []

    def _leftover(self, delivery: Delivery) -> Leftover:
        one = Leftover(queue=delivery.queue, place=delivery.tag, key=b"", raw=delivery.raw)
        one.problem, one.native = reason(delivery.problem), delivery.message is None
        self._describe(one, delivery)
        return one
