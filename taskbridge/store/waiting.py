"""Messages and code that wait for a lock or for their turn at a limit."""

from __future__ import annotations

from typing import Protocol

import msgspec

from .trail import Turn


class LimitState(msgspec.Struct, frozen=True, kw_only=True):
    """A limit as it stands: what was set for it at run time, and who waits at it.

    ``interval_us`` is 0 where its task's own word holds. ``waiting`` is by key.
    """

    name: str
    interval_us: int = 0
    burst: int = 0
    paused: bool = False
    waiting: dict[str, int] = {}


class LockState(msgspec.Struct, frozen=True, kw_only=True):
    """A lock that is held or reserved: by which messages, or which code, and how many wait."""

    key: str
    holders: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()
    waiting: int = 0


class Waiting(Protocol):
    """Messages and code that wait for a lock or for their turn at a limit."""

    def let_out(self, limit: int) -> int:
        """Let go on what limits have tokens for, at most so many keys at a time, and what is reserved and not used.

        Returns how many may go on.
        """

    def await_turn(self, id: str, timeout_s: float) -> bool:
        """Wait until code that holds under this id may ask again, at most so long; says that it still waits."""

    def set_limit(self, name: str, *, interval_us: int = 0, burst: int = 0, paused: bool = False) -> None:
        """Change a limit for everyone from now on; all zeros give its task's own word back."""

    def limits(self, keys: int = -1) -> list[LimitState]:
        """Every limit that was changed or is waited at, by name; of at most so many keys that are waited at."""

    def locks(self) -> list[LockState]:
        """Every lock that is held or reserved, by key."""

    def turns(self, id: str) -> list[Turn]:
        """What a message waits for, a lock or a limit each, and how far its turn is; nothing unless it waits."""

    def break_lock(self, key: str) -> int:
        """Take a lock from whoever holds or has reserved it, and let its waiters go on; returns from how many.

        Who ran goes on running: only its fencing token tells it from the next holder.
        """
