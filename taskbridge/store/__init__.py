"""The store: what all workers of all engines share. Small protocols, the same in Redis and in memory.

Every verb is atomic, may be repeated with the same claim, and reads the store's own clock. Instants and spans are
milliseconds. ``StoreSuite`` in ``taskbridge.testing`` fixes the meaning; ``docs/protocol.md`` tells why.

The states of a message's record, and who owns the message then::

    RUN                a claim runs it; the store has the body
    READY, DELAYED     the store; the relay publishes it when it is due
    PARKED             the store; waits for a worker that knows its task
    LOCKED, THROTTLED  the store; waits for a lock, or for its turn at a limit
    HELD               the store; a chunk whose run is paused, or has too much open
    OUT                the engine: published, not yet begun
    DONE               nobody: done, expired, dropped or purged; kept for a while to recognise repeats
    DEAD               the dead letters
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from ..message import Message
from ..needs import ALONE, NeedsLock, NeedsTokens, Same, Within
from .flow import Batches, Chains, Next, Runs
from .levels import Gauging
from .routes import Routes
from .schedules import Schedules

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


class Held(msgspec.Struct, frozen=True):
    """Where the broker's copy lies, if broker and store are one server: acknowledged in the same script."""

    key: str
    tag: str


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """A worker asks to run one delivery; with ``hold``, code that is no message asks for locks and tokens."""

    message: Message
    body: bytes
    claim: str
    max_crashes: int
    held: Held | None = None
    locks: tuple[NeedsLock, ...] = ()
    rates: tuple[NeedsTokens, ...] = ()
    hold: bool = False


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: run it if ``verdict`` is ``run``, after ``wait_ms``; whatever else it is, acknowledge.

    ``held``: the claim stands, to fail, for a lock was refused. ``settled``: done or dead already. ``stale``: a newer
    copy exists. ``busy``: another claim runs it. ``expired``, ``crashed``, ``skipped``: it has just come to its end.
    ``locked``, ``throttled``: it waits in the store. ``key`` is of the lock or limit that refused.

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
    gives to the next one, as JSON; ``next`` what a chunk came to. Both are of DONE.
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
    """The keys of the locks or the limit that it waits at."""
    batches: tuple[str, ...] = ()
    """The batches that it is a member of; none once it has ended, but for the dead."""


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


class Claims(Protocol):
    """The right to run one message, leased."""

    def begin(self, request: Begin) -> Begun:
        """Recognise repeats, drop the expired, or write the claim with the message in it."""

    def finish(self, request: Finish) -> str:
        """End a claim: ``ok``, ``mine`` (a repeat), ``refused`` (the claim was lost) or ``unknown`` (no record)."""

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

    def mark(self, published: Sequence[tuple[str, int]]) -> None:
        """Say that (id, seq) was published; the engine owns it unless it has gone on meanwhile."""

    def wait(self, timeout_s: float) -> None:
        """Wait until something may be due: a ready message, the next instant, or so many seconds."""


class Parked(Protocol):
    """Messages that wait for a worker which knows their task or arguments."""

    def groups(self) -> dict[str, int]:
        """What is waited for, and by how many."""

    def release(self, group: str, limit: int) -> int:
        """Make messages of a group ready; returns how many."""

    def overdue(self, limit: int) -> list[str]:
        """Move what waited too long to the dead letters; returns the ids."""


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

    def limits(self) -> list[LimitState]:
        """Every limit that was changed or is waited at, by name."""

    def locks(self) -> list[LockState]:
        """Every lock that is held or reserved, by key."""

    def break_lock(self, key: str) -> int:
        """Take a lock from whoever holds or has reserved it, and let its waiters go on; returns from how many.

        Who ran goes on running: only its fencing token tells it from the next holder.
        """


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


class Messages(Protocol):
    """Looking, without touching."""

    def look(self, id: str) -> Record | None:
        """What the store knows of this message."""

    def counts(self) -> dict[tuple[str, str], int]:
        """(queue, state) and how many messages, for READY, DELAYED, PARKED, LOCKED, THROTTLED, HELD and DEAD."""

    def running(self) -> list[Record]:
        """The claims that stand, the first to lapse first."""


class Leader(Protocol):
    """One leader per duty, by lease."""

    def hold(self, duty: str, owner: str, lease_ms: int) -> bool:
        """Take or keep the lead; False when another has it."""

    def resign(self, duty: str, owner: str) -> None:
        """Give it up, if it is ours."""


class Documents(Protocol):
    """Small announcements that lapse: workers, their tasks."""

    def put(self, kind: str, key: str, value: bytes, lease_ms: int) -> None:
        """Announce, for so long."""

    def all(self, kind: str) -> dict[str, bytes]:
        """What stands announced."""

    def remove(self, kind: str, key: str) -> None:
        """Take it back."""


class Fitness(msgspec.Struct, frozen=True, kw_only=True):
    """What was found wrong with the store; ``fatal`` ones stop a worker. Each names the setting to change."""

    server: str
    fatal: tuple[str, ...] = ()
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
    def leader(self) -> Leader: ...
    @property
    def documents(self) -> Documents: ...
    @property
    def schedules(self) -> Schedules: ...
    @property
    def gauging(self) -> Gauging: ...
    @property
    def routes(self) -> Routes: ...

    def now_ms(self) -> int:
        """The store's clock."""

    def fitness(self) -> Fitness:
        """Look at the server's settings: would it lose or refuse data?"""

    def close(self) -> None:
        """Give the connections back."""
