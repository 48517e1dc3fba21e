"""Queues of RabbitMQ: how they are called and shaped, and how one is made where it is missing.

A queue that is there is taken as it is, whoever made it: declaring it with other arguments would close the channel, so
it is looked for first. Bands and what has waited lie in queues of their own, and no two engines share one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ..errors import NotSupported
from ..options import BAND_SUFFIXES

#: What has waited already lies in a queue of its own and is read first.
FRONT = "-front"

#: What is read for a queue, in this order: its parts, each with a rank of its own.
PARTS = (FRONT, *BAND_SUFFIXES)
MAIN = PARTS.index("")


class Queue(NamedTuple):
    """A durable queue as it is made."""

    name: str
    arguments: Mapping[str, Any]


class Parcel(NamedTuple):
    """A message as it goes to a queue; ``properties`` as py-amqp calls them."""

    name: str
    body: bytes
    properties: dict[str, Any]


class Reading(NamedTuple):
    """A queue that is read for one of ours, lower ranks first; ``main`` is the one that must be there."""

    rank: int
    queue: str
    name: str

    @property
    def main(self) -> bool:
        return self.rank == MAIN


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine's queues are called.

    Args:
        prefix: that of the settings.
        suffix: what tells the engine's own from another's.
        last: endings of queues of the engine's that are read after all others.
        others: the suffixes of other engines.
    """

    prefix: str
    suffix: str
    last: Sequence[str] = ()
    others: Sequence[str] = ()

    def of(self, queue: str, part: str = "") -> str:
        """Return the name of a queue's part: a band, or ``FRONT``.

        Raises:
            NotSupported: it would be the name of another queue's part, or of another engine's queue.
        """
        for ending, whose in {
            FRONT: "a part of another queue",
            **dict.fromkeys(self.others, "another engine's"),
        }.items():
            if queue.endswith(ending):
                raise NotSupported(f"a queue whose name ends in {ending!r} is {whose} on RabbitMQ, got {queue!r}")
        return f"{self.prefix}{queue}{self.suffix}{part}"

    def read(self, queue: str) -> list[Reading]:
        """Return what is read for a queue, in that order."""
        read = [Reading(rank, queue, self.of(queue, part)) for rank, part in enumerate(PARTS)]
        return [*read, *(Reading(len(PARTS) - 1, queue, self.of(queue, part)) for part in self.last)]

    def queue_of(self, name: str) -> str:
        """Return which of our queues a name, of any part, belongs to."""
        for part in (*self.last, *PARTS):
            name = name.removesuffix(part)
        return name.removeprefix(self.prefix).removesuffix(self.suffix)
