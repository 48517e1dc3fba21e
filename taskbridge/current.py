"""What a running task may ask about its own message: ``current()``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec

from .clock import Clock
from .errors import ShadowEffect, TaskbridgeError
from .inbox import Inbox
from .message import NO_ARGS, NO_KWARGS


class TimeLeft:
    """Until when an attempt may take: its soft timeout, else its hard one.

    Args:
        clock: what time is read from.
        within_ms: how long it may take from now.
    """

    __slots__ = ("at_ms", "clock", "over_s")

    def __init__(self, clock: Clock, within_ms: int) -> None:
        self.clock = clock
        self.at_ms = clock.now_ms() + within_ms
        self.over_s = clock.monotonic_s() + within_ms / 1000


class Current(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The message whose task is running here. Instants are unix milliseconds.

    Args:
        id: the message id, the same over all its attempts.
        task: the task's name.
        queue: where it came from.
        attempt: which one this is, from 1.
        starts: how often it was begun, attempts and repeats together.
        fencing_token: grows with every accepted begin of any message; a resource refuses a lower one than it has seen.
        enqueued_at_ms: when it was enqueued.
        first_due_ms: when it was first due.
        left: until when this attempt may take; None without a timeout.
        call: its arguments as JSON, positional and by name.
        chain: the id of the chain that it is a link of; empty for a message of its own.
        link: its place in that chain, from 0.
        trace: headers that join it to who has sent it, as a JSON object.
        shadow: it is a copy that is run to be compared with its original, and must have no effect.
    """

    id: str
    task: str
    queue: str
    attempt: int
    starts: int
    fencing_token: int
    enqueued_at_ms: int
    first_due_ms: int
    left: TimeLeft | None = None
    call: tuple[msgspec.Raw, msgspec.Raw] = (NO_ARGS, NO_KWARGS)
    chain: str = ""
    link: int = 0
    trace: msgspec.Raw = NO_KWARGS
    shadow: bool = False
    _ended: set[str] = msgspec.field(default_factory=set)
    _batches: count[int] = msgspec.field(default_factory=count)

    def __repr__(self) -> str:
        shown = (name for name in self.__struct_fields__ if name not in ("left", "call", "trace", "_ended", "_batches"))
        return f"Current({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    @property
    def deadline(self) -> datetime | None:
        """When this attempt must be over, in UTC: by its soft timeout, else its hard one; None without either."""
        return datetime.fromtimestamp(self.left.at_ms / 1000, UTC) if self.left else None

    @property
    def remaining(self) -> float | None:
        """Seconds until ``deadline``, never below 0: what a task may give its own calls to others; None without one."""
        return max(0.0, self.left.over_s - self.left.clock.monotonic_s()) if self.left else None

    def nth_batch(self) -> int:
        """Count the batches that this run begins, from 0: a repeat of it begins the same ones again."""
        return next(self._batches)

    def inbox(self, connection: Any) -> AbstractContextManager[bool]:
        """Commit this message's effect at most once, in the task's own database transaction.

        ``with current().inbox(connection) as fresh:`` begins a transaction and writes message id and fencing token in
        it; leaving the block commits. ``fresh`` is False when the effect is committed already: skip the body then;
        what it does on this connection all the same is rolled back. What follows the block runs either way. One block
        per run: a second one would find its id known and lose its effect, so it is refused.

        Args:
            connection: of ``sqlite3``, of ``psycopg`` (3), or Django's ``django.db.connection`` to SQLite or
                PostgreSQL; it must not be inside a transaction.

        Raises:
            ClaimLost: the message was begun again since, and that one has committed.
            ConfigError: another kind of connection, one inside a transaction, or a second block in this run.
            ShadowEffect: this run is a shadow's.
        """
        refuse_in_shadow("current().inbox()")
        return Inbox(self.id, self.fencing_token, connection, self._ended)


_current: ContextVar[Current | None] = ContextVar("taskbridge_current", default=None)


def running_here() -> Current | None:
    """Return the message whose task is running here; None outside of tasks."""
    return _current.get()


def refuse_in_shadow(what: str) -> None:
    """Refuse what would have an effect, in a run that is only compared.

    Raises:
        ShadowEffect: the run is a shadow's.
    """
    here = running_here()
    if here is not None and here.shadow:
        raise ShadowEffect(
            f"{what} in a shadow of {here.task}: a shadow has no effects; ask current().shadow first, or take "
            "shadow_safe=True from the task"
        )


def current() -> Current:
    """Return the message whose task is running here.

    Raises:
        TaskbridgeError: no task is running here.
    """
    found = running_here()
    if found is None:
        raise TaskbridgeError("current() is for code inside a running task; none is running here")
    return found


class running(AbstractContextManager[None]):  # noqa: N801 - a generator would take four times as long
    """Make ``current()`` answer this message inside the block."""

    __slots__ = ("_message", "_token")

    def __init__(self, message: Current) -> None:
        self._message = message

    def __enter__(self) -> None:
        self._token = _current.set(self._message)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
