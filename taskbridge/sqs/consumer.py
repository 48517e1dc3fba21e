"""Take messages off SQS to one worker process: bands in order, queues in turn, by ten at most.

What the loop asks for is received at once; a queue that was found empty is polled by a thread, which wakes the loop.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..backend import Delivery
from ..errors import DecodeError
from . import body
from .client import Client
from .names import PARTS
from .queues import Queues
from .receipts import MOST, Receipt, Receipts
from .receiver import Receiver


class SqsConsumer:
    """Serves some queues to one worker process.

    Args:
        client: where they are.
        queues: how they are found.
        wanted: which.
        decode: fills in a delivery's message and envelope, or raises ``DecodeError``.
    """

    def __init__(
        self, client: Client, queues: Queues, wanted: Sequence[str], decode: Callable[[Delivery], None]
    ) -> None:
        self.more = False  # other children poll for themselves
        self.ears: Sequence[int] = ()
        self._decode = decode
        self._tag = 0
        self._ear = Ear() if wanted else None
        if self._ear:
            self.ears = (self._ear.hear,)
        self._receipts = Receipts(client, self._ear.strike if self._ear else lambda: None)
        self._all = [[Receiver(queue, part, queues, client, self._receipts) for queue in wanted] for part in PARTS]
        self._parts = [deque(part) for part in self._all]

    def serve(self, queues: Sequence[str]) -> None:
        """What an open poll of another queue brings yet is shown to others again, before its time is over."""
        self._parts = [deque(receiver for receiver in part if receiver.queue in queues) for part in self._all]

    def fetch(self, limit: int) -> list[Delivery]:
        if self._ear:
            self._ear.listen()
        with self._receipts.asking():
            taken = self._taken(limit)
            deliveries = [self._delivery(one) for one in taken]
            self._receipts.hold(taken)
        return deliveries

    def acknowledge(self, delivery: Delivery) -> None:
        self._receipts.settle(delivery.tag)

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        self._receipts.give_back(delivery.tag for delivery in deliveries)

    def close(self) -> None:
        """Delete what is settled and give back the rest; polls that are open end by themselves."""
        self._receipts.close()
        if self._ear:
            self._ear.close()
            self.ears = ()

    def _taken(self, limit: int) -> list[Receipt]:
        taken: list[Receipt] = []
        for receiver in [receiver for part in self._parts for receiver in part]:
            receiver.most = min(limit, MOST)
            taken += self._receipts.take(receiver.name, limit - len(taken))
            if not taken and not receiver.polling:
                taken += receiver.ask()
            if len(taken) >= limit:
                break
        for part in self._parts:
            part.rotate(-1)
        return taken

    def _delivery(self, one: Receipt) -> Delivery:
        self._tag += 1
        one.delivery = delivery = Delivery(tag=str(self._tag), queue=one.queue, raw=body.to_bytes(one.text))
        try:
            self._decode(delivery)
        except DecodeError as error:
            delivery.problem = str(error)
        return delivery


class Ear:
    """A pipe by which threads wake a loop that waits for file descriptors."""

    def __init__(self) -> None:
        self.hear, self._mouth = os.pipe()
        os.set_blocking(self.hear, False)
        os.set_blocking(self._mouth, False)
        self._open = threading.Lock()
        self._closed = False

    def strike(self) -> None:
        """Wake the loop; a pipe that is full has."""
        with self._open:
            if not self._closed:
                with suppress(BlockingIOError):
                    os.write(self._mouth, b".")

    def listen(self) -> None:
        """Hear all that was struck."""
        with suppress(BlockingIOError):
            os.read(self.hear, 4096)

    def close(self) -> None:
        """Give the pipe back; its numbers are another's then."""
        with self._open:
            if not self._closed:
                self._closed = True
                os.close(self.hear)
                os.close(self._mouth)
