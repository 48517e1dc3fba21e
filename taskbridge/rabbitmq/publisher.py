"""Publish durably: nothing counts as sent before the broker has confirmed it.

A batch waits once for all its confirms. Each message asks to be returned where there is no queue for it (the broker
confirms, and drops, what nobody would get): then the queue is made, and what was for it is published again. Whoever
meets an error may publish again, too: a copy is recognised where it is begun.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

import amqp

from ..errors import BrokerUnavailable
from .address import Address
from .connection import Connection
from .queues import Parcel, Queue

T = TypeVar("T")

#: How many messages wait for their confirms together. Measured: 1,000 are within a third of the best.
BATCH = 1_000

#: Connections that are kept for the next who asks; open at once are as many as ask at once.
KEPT = 8

#: How often a batch is published anew because a queue was deleted under it.
TRIES = 3


class Answer(NamedTuple):
    """What the broker says of a batch: the names that have no queue, and how many messages it refuses."""

    returned: set[str]
    refused: int


class Publisher:
    """Publishes to one broker, from any thread and on both sides of a fork.

    Args:
        address: where it is.
        shape: returns the queue of a name, with those that belong to it, as they are made where they are missing.
    """

    def __init__(self, address: Address, shape: Callable[[str], Sequence[Queue]]) -> None:
        self._address = address
        self._shape = shape
        self._idle: deque[Line] = deque()
        self._made: set[str] = set()
        self._pid = os.getpid()

    def publish(self, parcels: Sequence[Parcel]) -> None:
        """Publish; returns when the broker has all.

        Raises:
            BrokerUnavailable: it did not confirm them; they may or may not be there.
            PayloadTooLarge: it never takes one of them; the others may or may not be there.
            ConfigError: it refuses us, or a queue is missing and may not be made.
        """
        rest = iter(parcels)
        while batch := list(islice(rest, BATCH)):
            self._publish(batch)

    def ask(self, question: Callable[[Line], T]) -> T:
        """Ask something of a line that nobody else uses meanwhile; one that broke while it was idle is replaced."""
        line = self._kept()
        if line is not None:
            try:
                return self._asked(line, question)
            except BrokerUnavailable:
                self.close()
        return self._asked(Line(self._address), question)

    def close(self) -> None:
        """Drop what is idle."""
        while (line := self._kept()) is not None:
            line.connection.drop()

    def _publish(self, batch: Sequence[Parcel]) -> None:
        for _ in range(TRIES):
            returned, refused = self.ask(lambda line, batch=batch: self._sent(line, batch))  # type: ignore[misc]
            if refused:
                raise BrokerUnavailable(
                    f"{self._address.shown} has refused {refused} of {len(batch)} messages:"
                    " a queue of limited length is full (x-overflow), or see the broker's log"
                )
            if not returned:
                return
            self._made -= returned
            batch = [parcel for parcel in batch if parcel.name in returned]
        raise BrokerUnavailable(
            f"{self._address.shown} returns what is sent to {batch[0].name!r}: it is deleted as fast as it is made"
        )

    def _sent(self, line: Line, batch: Sequence[Parcel]) -> Answer:
        for name in dict.fromkeys(parcel.name for parcel in batch):
            if name not in self._made:
                line.connection.make(self._shape(name))
                self._made.add(name)
        return line.send(batch)

    def _asked(self, line: Line, question: Callable[[Line], T]) -> T:
        with line.connection.speaking():
            answer = question(line)
        if len(self._idle) < KEPT:
            self._idle.append(line)
        else:
            line.connection.drop()
        return answer

    def _kept(self) -> Line | None:
        if self._pid != os.getpid():  # a fork: its sockets are the parent's, and stay open there
            self._idle, self._pid = deque(), os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return None


class Line:
    """A connection in confirm mode.

    Args:
        address: where to.
    """

    def __init__(self, address: Address) -> None:
        self.connection = Connection(address)
        self._last = 0
        self._lowest = 1
        self._pending: set[int] = set()
        self._refused = 0
        self._returned: set[str] = set()
        channel = self.connection.channel
        with self.connection.speaking():
            channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)

    def send(self, batch: Sequence[Parcel]) -> Answer:
        """Publish, and wait until all is answered."""
        self._refused = 0
        self._returned.clear()
        publish = self.connection.channel.basic_publish
        for name, body, properties in batch:
            self._last += 1
            self._pending.add(self._last)
            publish(amqp.Message(body, **properties), routing_key=name, mandatory=True)
        self.connection.wait(lambda: len(self._pending))
        return Answer(set(self._returned), self._refused)

    def _on_ack(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._pending.difference_update(range(self._lowest, tag + 1))
            self._lowest = tag + 1
        else:
            self._pending.discard(tag)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        before = len(self._pending)
        self._on_ack(tag, multiple)
        self._refused += before - len(self._pending)

    def _on_return(self, _error: Exception, _exchange: str, name: str, _message: object) -> None:
        self._returned.add(name)
