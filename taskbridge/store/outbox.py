"""Delayed and ready messages on their way to an engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from ..message import Message
from ..needs import ALONE, Same, Within

#: What is published to nobody knows which backends.
NOWHERE: Mapping[str, str] = {}


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A message the relay has leased: publish ``body`` with this ``id``, ``seq`` and ``attempt``, then mark it.

    ``front`` says that it has waited already, for a lock or a limit: it goes before what came later. ``fresh_ms`` is
    when it was first due, from which its times count, if the store itself made it and nobody has published it; else 0.
    """

    id: str
    seq: int
    attempt: int
    body: bytes
    front: bool = False
    fresh_ms: int = 0


class Standing(msgspec.Struct, frozen=True):
    """What stands for a call: its own message, or the one that was there; ``created`` says that it is new."""

    id: str
    created: bool = False


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that lies in an engine's queue, for the store to take over.

    ``due_ms`` is when it may be begun, unix milliseconds; 0 at once. ``tag`` tells it on its shelf, where broker and
    store are one server: it is forgotten there in the same step.
    """

    message: Message
    due_ms: int = 0
    tag: str = ""


class Adopted(msgspec.Struct, frozen=True):
    """What became of such a copy, and its sequence number now.

    READY is leased to the caller, who publishes and marks it; DELAYED and HELD wait in the store. KNOWN: the store has
    the message, or it runs, or has ended, or this copy is an old one. GONE: it is not on its shelf any more.
    """

    state: str
    seq: int = 0


class Outbox(Protocol):
    """Delayed and ready messages on their way to an engine."""

    def put(self, messages: Sequence[Message], wait_ms: int, within: Within = ALONE) -> list[bool]:
        """Keep messages until they are due; False for one whose id the store, or the chunk that puts it, knows already.

        Raises:
            StoreFull: the store has no memory left.
            ClaimLost: the chunk that enqueues them has another owner.
            ConfigError: the batch is closed, or the chain that it begins is not kept, or no more.
        """

    def put_all(self, trips: Iterable[Sequence[Message]], wait_ms: int, within: Within = ALONE) -> Iterator[list[bool]]:
        """Keep messages trip by trip, as ``put`` does; a trip may be asked for before the answer to the last has come.

        Raises:
            As ``put``; the trips before the error are kept, and one more may be.
        """

    def put_once(
        self, messages: Sequence[Message], same: Sequence[tuple[Same, ...]], wait_ms: int, within: Within = ALONE
    ) -> list[Standing]:
        """Keep each message unless one stands under one of its keys; returns those that stand.

        Raises:
            As ``put``.
        """

    def take(self, limit: int) -> list[Due]:
        """Lease what is due to one relay, oldest first; never removes."""

    def mark(self, published: Sequence[tuple[str, int]], to: Mapping[str, str] = NOWHERE) -> None:
        """Say that (id, seq) was published; the engine owns it unless it has gone on meanwhile.

        Args:
            published: ids and numbers.
            to: by id, the backend that has it now, where that is known.
        """

    def adopt(self, copies: Sequence[Copy], shelf: str = "", backend: str = "") -> list[Adopted]:
        """Take over copies that lie in an engine's queue, by id and seq; each is taken once, however often it is asked.

        Args:
            copies: the messages as they lie there.
            shelf: where those with a tag lie.
            backend: whose queue it is, for their trails.

        Raises:
            StoreFull: the store has no memory left, and the copies lie on another server.
        """

    def wait(self, timeout_s: float) -> None:
        """Wait until something may be due: a ready message, the next instant, or so many seconds."""
