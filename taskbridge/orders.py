"""What operators ask of workers, as a document in the store: how many processes of a group, and that one ends. Pure.

A supervisor reads it once a second. Read whole or not at all: who does not know a word of it would obey half of it.
Instants are milliseconds of the store's clock.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from .document import read
from .versioning import Kind

#: The form of the document; one of another is refused.
FORM = 1

#: How long it is remembered that a worker was told to end: long after it has seen it.
REMEMBERED_MS = 3_600_000

#: How many sizes of single workers are kept, the newest: they outlive them.
MOST_SIZES = 500

#: What a group without a name is called by operators.
UNNAMED = "default"


class Size(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many processes of a group: in every worker that has one of this name, or in one."""

    group: str
    processes: int
    worker: str = ""


class Stop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One worker is to drain and end."""

    worker: str
    at_ms: int


class Orders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that stands. What is said of one worker goes before what is said of all."""

    sizes: tuple[Size, ...] = ()
    stops: tuple[Stop, ...] = ()
    form: int = FORM

    def size(self, group: str, workers: Collection[str]) -> int | None:
        """Return how many processes of a group a worker of these names is to have; None where nothing is said.

        What was said last of one of its names goes first.
        """
        said = {one.worker: one.processes for one in self.sizes if one.group == called(group)}
        own = (said[name] for name in reversed(said) if name and name in workers)
        return next(own, said.get(""))

    def stops_one_of(self, workers: Collection[str]) -> bool:
        """Whether a worker of one of these names is to end."""
        return any(one.worker in workers for one in self.stops)

    def sized(self, size: Size) -> Orders:
        """Return them with another size; one for every worker takes the place of what was said of single ones."""
        sizes = (*self.unsized(size.group, size.worker).sizes, size)
        oldest = [one for one in sizes if one.worker][:-MOST_SIZES]
        return msgspec.structs.replace(self, sizes=tuple(one for one in sizes if one not in oldest))

    def unsized(self, group: str, worker: str = "") -> Orders:
        """Return them without what is said of a group: of every worker, or of one."""
        left = tuple(one for one in self.sizes if one.group != group or (worker and one.worker != worker))
        return msgspec.structs.replace(self, sizes=left)

    def stopped(self, workers: Collection[str], now_ms: int) -> Orders:
        """Return them with the end of these workers; who was told long ago has ended."""
        stops = [one for one in self.stops if one.at_ms > now_ms - REMEMBERED_MS and one.worker not in workers]
        return msgspec.structs.replace(self, stops=(*stops, *(Stop(worker=name, at_ms=now_ms) for name in workers)))


EMPTY = Orders()

_decoder = msgspec.json.Decoder(Orders)


def called(group: str) -> str:
    """Return what operators call a group."""
    return group or UNNAMED


def encode(orders: Orders) -> bytes:
    """Return them as the store keeps them."""
    return msgspec.json.encode(orders)


def decode(document: bytes) -> Orders:
    """Read what ``encode`` wrote; nothing is no orders.

    Raises:
        DecodeError: a newer release wrote it in other words, or it is no such document.
    """
    return read(document, _decoder, FORM, "what is asked of workers") if document else EMPTY


ORDERS: Kind[Orders] = Kind(
    what="orders to workers",
    shown_by="taskbridge workers list",
    place=lambda store: store.orders,
    encode=encode,
    decode=decode,
)
