"""What the store knows of single messages, and how many there are; the dead ones among them."""

from __future__ import annotations

from typing import Protocol

import msgspec

from .claims import Held
from .trail import Note, Past


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of one message."""

    id: str
    state: str
    seq: int = 1
    attempt: int = 1
    starts: int = 0
    crashes: int = 0
    claim: str = ""
    queue: str = ""
    why: str = ""
    traceback: str = ""
    group: str = ""
    body: bytes = b""
    at_ms: int = 0
    """When it is due, when its lease ends, when it died, until when it is parked, or when a held chunk may go on."""
    begun_ms: int = 0
    """When it was last begun; 0 when it never was."""
    waits_at: str = ""
    """The keys of the locks or the limit that it waits at; or what is paused, such as ``task NAME``."""
    batches: tuple[str, ...] = ()
    """The batches that it is a member of; none once it has ended, but for the dead."""
    sent_to: str = ""
    """The backend that the store last published it to, as far as ``mark`` was told; only where one is looked at."""
    sent_ms: int = 0
    """When it was."""
    trail: tuple[Note, ...] = ()
    """What has happened to it beyond its first start and its success; only where one is looked at."""
    past: Past | None = None
    """Of one that has ended, what its marker tells; only where one is looked at."""


class Messages(Protocol):
    """Looking, without touching."""

    def look(self, id: str) -> Record | None:
        """What the store knows of this message."""

    def counts(self) -> dict[tuple[str, str], int]:
        """(queue, state) and how many messages: READY, DELAYED, PARKED, LOCKED, THROTTLED, HELD, PAUSED and DEAD."""

    def running(self) -> list[Record]:
        """The claims that stand, the first to lapse first."""


class Dead(Protocol):
    """The dead letters: seen, replayed, purged."""

    def bury(self, id: str, queue: str, body: bytes, why: str, held: Held | None = None) -> None:
        """Keep bytes that are no message."""

    def list(self, limit: int, offset: int = 0) -> list[Record]:
        """The newest first."""

    def replay(self, id: str) -> bool:
        """Make a dead message ready again, with its attempts back at one; False when it is not dead, or no message."""

    def purge(self, id: str) -> bool:
        """End a dead message for good; False when it is not dead."""
