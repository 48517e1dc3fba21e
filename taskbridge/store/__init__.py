"""The store: what all workers of all engines share. Small protocols, the same in Redis and in memory.

Every verb is atomic, may be repeated with the same claim, and reads the store's own clock. Instants and spans are
milliseconds. ``StoreSuite`` in ``taskbridge.testing`` fixes the meaning; ``docs/protocol.md`` tells why.

The states of a message's record, and who owns the message then::

    RUN                a claim runs it; the store has the body
    READY, DELAYED     the store; the relay publishes it when it is due
    PARKED             the store; waits for a worker that knows its task
    LOCKED, THROTTLED  the store; waits for a lock, or for its turn at a limit
    HELD               the store; a chunk whose run is paused, or has too much open
    PAUSED             the store; waits for its task, its queue or a key to be resumed
    OUT                the engine: published, not yet begun
    DONE               nobody: done, expired, dropped or purged; kept for a while to recognise repeats
    DEAD               the dead letters
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from .audit import Audit
from .browsing import Browsing
from .claims import Begin as Begin
from .claims import Begun as Begun
from .claims import Claims as Claims
from .claims import Finish as Finish
from .claims import Held as Held
from .control import Control
from .evidence import Evidence
from .flow import Batches, Chains, Runs
from .history import History
from .levels import Gauging
from .messages import Dead as Dead
from .messages import Messages as Messages
from .messages import Record as Record
from .outbox import NOWHERE as NOWHERE
from .outbox import Adopted as Adopted
from .outbox import Copy as Copy
from .outbox import Due as Due
from .outbox import Outbox as Outbox
from .outbox import Standing as Standing
from .schedules import Schedules
from .shadows import Shadows
from .trail import Note as Note
from .trail import Past as Past
from .trail import Turn as Turn
from .versions import Versions
from .waiting import LimitState as LimitState
from .waiting import LockState as LockState
from .waiting import Waiting as Waiting

#: How long a claim lives without renewal: 15 s. A dead process's message runs again within this plus a second.
LEASE_MS = 15_000

#: How long a done marker recognises repeats of a message that was published once, and more than once.
WINDOW_MS = 2 * 3_600_000
LONG_WINDOW_MS = 7 * 24 * 3_600_000

#: How long the relay may take to publish what it took, before another takes it.
RELAY_LEASE_MS = 10_000

#: How long a lock is reserved for a message that was let on, and how long what a limit let out counts as coming.
RESERVED_MS = LEASE_MS
COMING_MS = 45_000

#: Code that waits for a lock or a limit says so more often than this, or its place is forgotten.
PATIENCE_MS = 30_000

#: Where the burst lasts less than SHORT_BURST_US, a limit lets out so much early; the worker waits for the rest.
EARLY_US, SHORT_BURST_US = 10_000, 25_000

#: A message that never ends frees the keys under which it is the only one after 14 days.
LAST_RESORT_MS = 14 * 24 * 3_600_000

#: A sweep that comes so long after the last one finds a store, or all of its workers, that was away.
GAP_MS = 5_000


class Parked(Protocol):
    """Messages that wait for a worker which knows their task or arguments."""

    def groups(self) -> dict[str, int]:
        """What is waited for, and by how many."""

    def release(self, group: str, limit: int) -> int:
        """Make messages of a group ready; returns how many."""

    def overdue(self, limit: int) -> list[str]:
        """Move what waited too long to the dead letters; returns the ids."""


class Leader(Protocol):
    """One leader per duty, by lease."""

    def hold(self, duty: str, owner: str, lease_ms: int) -> bool:
        """Take or keep the lead; False when another has it."""

    def resign(self, duty: str, owner: str) -> None:
        """Give it up, if it is ours."""


class Documents(Protocol):
    """Small announcements that lapse: workers, their tasks."""

    def put(self, kind: str, key: str, value: bytes, lease_ms: int) -> list[str]:
        """Announce, for so long; returns who has said nothing since theirs lapsed, each told once."""

    def all(self, kind: str) -> dict[str, bytes]:
        """What stands announced."""

    def remove(self, kind: str, key: str) -> list[str]:
        """Take it back; returns as ``put``."""


class Fitness(msgspec.Struct, frozen=True, kw_only=True):
    """What was found wrong with the store; ``fatal`` ones stop a worker. Each names the setting to change.

    ``missing`` is what it waits for (``store_wait``) and is not there now: a worker begins nothing before it is.
    """

    server: str
    fatal: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Store(Protocol):
    """All of it, on one server."""

    @property
    def claims(self) -> Claims: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def parked(self) -> Parked: ...
    @property
    def waiting(self) -> Waiting: ...
    @property
    def dead(self) -> Dead: ...
    @property
    def chains(self) -> Chains: ...
    @property
    def batches(self) -> Batches: ...
    @property
    def runs(self) -> Runs: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def control(self) -> Control: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def leader(self) -> Leader: ...
    @property
    def documents(self) -> Documents: ...
    @property
    def schedules(self) -> Schedules: ...
    @property
    def gauging(self) -> Gauging: ...
    @property
    def browsing(self) -> Browsing: ...
    @property
    def history(self) -> History: ...
    @property
    def routes(self) -> Versions: ...
    @property
    def migrations(self) -> Versions: ...
    @property
    def orders(self) -> Versions: ...
    @property
    def evidence(self) -> Evidence: ...
    @property
    def shadows(self) -> Shadows: ...

    def now_ms(self) -> int:
        """The store's clock."""

    def fitness(self) -> Fitness:
        """Look at the server's settings: would it lose or refuse data?"""

    def close(self) -> None:
        """Give the connections back."""
