"""The right to run one message, leased: what a worker asks and is told, and what it tells at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from ..message import Message
from ..needs import NeedsLock, NeedsTokens
from .flow import Next


class Held(msgspec.Struct, frozen=True):
    """Where the broker's copy lies, if broker and store are one server: acknowledged in the same script."""

    key: str
    tag: str


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """A worker asks to run one delivery; with ``hold``, code that is no message asks for locks and tokens.

    With ``ending`` an operator ends it, unrun: no pause keeps it.
    """

    message: Message
    body: bytes
    claim: str
    max_crashes: int
    held: Held | None = None
    locks: tuple[NeedsLock, ...] = ()
    rates: tuple[NeedsTokens, ...] = ()
    hold: bool = False
    ending: bool = False


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: run it if ``verdict`` is ``run``, after ``wait_ms``; whatever else it is, acknowledge.

    ``held``: the claim stands, to fail, for a lock was refused. ``settled``: done or dead already. ``stale``: a newer
    copy exists. ``busy``: another claim runs it. ``expired``, ``crashed``, ``skipped``: it has just come to its end.
    ``locked``, ``throttled``, ``paused``: it waits in the store. ``key`` is of the lock or limit that
    refused, or what is paused.

    ``locked_ms`` and ``throttled_ms`` are how long what runs has waited in the store since its last start, for locks
    and for limits; what it lay delayed, ready or in an engine is no part of them.
    """

    verdict: str
    fence: int = 0
    starts: int = 0
    attempt: int = 1
    crashes: int = 0
    key: str = ""
    wait_ms: float = 0.0
    locked_ms: int = 0
    throttled_ms: int = 0

    @property
    def parked_ms(self) -> int:
        """How long it has waited in the store, for whatever."""
        return self.locked_ms + self.throttled_ms

    @property
    def parked_for(self) -> str:
        """What it waited for, or for the most part: ``lock`` or ``limit``; empty if it did not."""
        if not self.parked_ms:
            return ""
        return "lock" if self.locked_ms >= self.throttled_ms else "limit"


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """A worker tells what became of its claim.

    ``state`` is where the message goes: DONE, DEAD, DELAYED, READY, PARKED, or THROTTLED where the far side shut a
    limit. ``due_ms`` is a wait (DELAYED), how long it stays parked (PARKED) or how long nobody starts at the limit
    (THROTTLED); ``group`` names what it is parked for, or the limit's key.
    ``ran`` is False when the task was never entered: then it does not count as started. ``result`` is what a link
    gives to the next one, as JSON; ``next`` what a chunk came to. Both are of DONE, and so is ``of``, the message
    itself: what its marker tells of it. ``hold`` is of code that is no message: nobody acknowledges anything then.
    """

    id: str
    claim: str
    state: str
    counted: bool = False
    ran: bool = True
    due_ms: int = 0
    body: bytes = b""
    why: str = ""
    traceback: str = ""
    group: str = ""
    held: Held | None = None
    result: bytes = b""
    next: Next | None = None
    of: Message | None = None
    hold: bool = False


class Claims(Protocol):
    """The right to run one message, leased."""

    def begin(self, request: Begin) -> Begun:
        """Recognise repeats, drop the expired, or write the claim with the message in it."""

    def finish(self, request: Finish) -> str:
        """End a claim: ``ok``, or as follows.

        ``mine``: a repeat. ``cancelled``: it was, while it ran, and has ended. ``refused``: the claim was lost.
        ``unknown``: there is no record.
        """

    def finish_and_begin(self, finish: Finish, begin: Begin) -> tuple[str, Begun]:
        """``finish`` of one message, then ``begin`` of the next, in one trip."""

    def renew(self, claims: Iterable[tuple[str, str]]) -> None:
        """Prolong claims (id, claim) that still stand by one lease."""

    def lose(self, id: str, claim: str) -> bool:
        """Take a dead worker's message back at once; False when that claim does not stand."""

    def sweep(self, limit: int) -> list[str]:
        """Take back what lapsed claims held; returns the ids. Nothing for one lease after the store was away."""

    def release(self, id: str, claim: str) -> bool:
        """Give a claim back unfinished, as a drain does: READY at once, no crash counted."""
