"""The store's part in schedules: what was declared and what was set, and ticks that become messages.

Plans and changes are bytes here; ``taskbridge.schedules`` writes and reads them. Instants and spans are milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ..message import Message
from ..needs import Same


class ScheduleState(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it stands. ``declared`` is the word of code, ``changes`` the operator's; the store reads neither.

    ``version`` grows with every change and every tick: whoever acts on what he saw names it, and is refused when it is
    no longer so. Instants are unix milliseconds, 0 for none.
    """

    name: str
    version: int = 0
    declared: bytes = b""
    stamp: int = 0
    """Of the declaration: a newer one goes before it, an older one only when it lapsed."""
    lapses_ms: int = 0
    changes: bytes = b""
    paused: bool = False
    tick_ms: int = 0
    """The next tick, or the first that is due."""
    last_ms: int = 0
    """The last tick that was fired, skipped or missed; none is fired that is not after it."""
    last_id: str = ""
    """The message of the last tick that was fired."""
    fired: int = 0
    skipped: int = 0
    missed: int = 0
    now_ms: int = 0
    """The store's clock when it was looked at."""


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """What code says of a schedule. ``tick_ms`` is its next tick: 0 that it has none, None that it stays as it is."""

    name: str
    version: int
    document: bytes
    tick_ms: int | None = None


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """A tick to be fired: ``message`` is kept until it is due, after ``wait_ms``; the schedule goes on to ``next_ms``.

    Without a message it was missed; ``missed`` counts ticks that were passed over. ``overlap`` is ``allow`` or
    ``skip``: then it is skipped while the message of the tick before has not come to its end. It is skipped, too, where
    another message stands under one of the ``same`` keys. ``foreign``: no worker of ours runs it, so once it is
    published its record is forgotten like a done one.
    """

    name: str
    version: int
    tick_ms: int
    next_ms: int = 0
    message: Message | None = None
    missed: int = 0
    wait_ms: int = 0
    overlap: str = "allow"
    same: tuple[Same, ...] = ()
    foreign: bool = False


class Schedules(Protocol):
    """When messages are made by themselves: what was declared, what was set at run time, and the ticks."""

    def all(self) -> list[ScheduleState]:
        """Every schedule, by name."""

    def due(self, limit: int) -> list[ScheduleState]:
        """Those whose next tick is due, the longest due first."""

    def declare(self, declarations: Sequence[Declaration], stamp: int, lease_ms: int) -> list[bool]:
        """Write what code says, for one lease; False for what has changed since, or was said by somebody newer."""

    def change(self, name: str, version: int, *, changes: bytes, paused: bool, tick_ms: int) -> bool:
        """Write what the operator says, and wake the relay; False when it has changed since. ``tick_ms`` 0 is none."""

    def fire(self, tick: Tick) -> str:
        """Make a tick's message and go on to the next, together or not at all.

        Returns ``fired``, ``skipped``, ``missed`` (there was no message, or no such tick any more), or ``stale`` when
        the schedule has changed since, as it does when another relay fires this tick: nothing was done.

        Raises:
            StoreFull: the store has no memory left; nothing was done.
        """

    def put_off(self, name: str, wait_ms: int) -> None:
        """Look at a tick again after so long: it could not be fired."""

    def forget(self, age_ms: int) -> list[str]:
        """End the schedules that nobody has declared for so long; returns their names.

        One that an operator has changed or paused is kept, without a tick: his word outlives its declaration.
        """
