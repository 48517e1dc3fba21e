"""Every exception taskbridge raises, and the words a task may raise to speak.

::

    TaskbridgeError
    ├── ConfigError              a setting, an option or a declaration is wrong; nothing has happened
    │   ├── BackendNotInstalled  the extra that carries the engine is missing
    │   └── NotSupported         this backend declares that it cannot keep what the task asks
    ├── ArgumentError            the call does not fit the task's signature, or JSON cannot carry it
    ├── PayloadTooLarge          the message is over the limit; save the data and pass its id
    ├── DecodeError              bytes in a queue that are no message
    ├── BrokerUnavailable        the broker did not answer; the message may or may not be there
    ├── StoreUnavailable         the store did not answer; nothing that needs it was begun
    │   ├── StoreFull            the store is out of memory; work that ends goes on
    │   └── StoreUnconfirmed     no replica or disk has confirmed in time what the store was told (store_wait)
    ├── StoreUnfit               the store would lose or refuse data; says which setting to change
    ├── UnknownMessage           no message of that id where it was looked for
    ├── CursorStuck              a cursor that does not advance: the next chunk would be the same one, for ever
    ├── ShadowEffect             a copy that is only compared has asked for what would have an effect
    ├── LockHeld                 another holds the lock: a task with on_conflict="fail", or code that waited too long
    └── ClaimLost                this attempt lost its message to another worker; its effect is refused
    Signal                       raised by a task to say what becomes of it
    ├── Retry                    again, and it counts as a failed attempt
    ├── Reschedule               again, and it does not
    ├── Throttled                the far side said "too many": its limit's key stops for everyone for a while
    └── Drop                     no more of this message
    SoftTimeout                  raised inside a task whose time is over
    HardTimeout                  what a retry policy is shown when a task was killed at its hard timeout

A message says what was expected, what came, and what to do. No vendor's exception passes an adapter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any

#: The packages around a task: of what runs it, a traceback says nothing.
OUTSIDE = frozenset({"asyncio", "celery", "dramatiq", "taskbridge", "taskbridge_celery", "taskbridge_dramatiq"})


class TaskbridgeError(Exception):
    """The root: catch this to catch everything that taskbridge raises by itself."""


class ConfigError(TaskbridgeError):
    """A setting, an option or a declaration is wrong."""


class BackendNotInstalled(ConfigError):
    """The engine's package is not installed."""


class NotSupported(ConfigError):
    """The backend declares that it cannot keep what was asked."""


class ArgumentError(TaskbridgeError, TypeError):
    """The call does not fit the task's signature, or JSON cannot carry an argument."""


class PayloadTooLarge(TaskbridgeError):
    """The encoded message is over ``max_payload``."""


class DecodeError(TaskbridgeError):
    """Bytes that are no message of the engine they came from."""


class BrokerUnavailable(TaskbridgeError):
    """The broker did not answer; whether it took the message is not known."""


class StoreUnavailable(TaskbridgeError):
    """The store did not answer."""


class StoreFull(StoreUnavailable):
    """The store has no memory left: new work is refused, work that ends goes on."""


class StoreUnconfirmed(StoreUnavailable):
    """The store has done what it was told, and what it waits for (``store_wait``) has not confirmed that in time."""


class StoreUnfit(TaskbridgeError):
    """The store is set up so that it would lose or refuse data."""


class UnknownMessage(TaskbridgeError):
    """There is no message of that id where it was looked for."""


class CursorStuck(TaskbridgeError):
    """What follows a chunk begins where the chunk does; trying it again changes nothing."""


class LockHeld(TaskbridgeError):
    """Another holds the lock, or nobody was let start at the limit in time."""


class ShadowEffect(TaskbridgeError):
    """A shadow's copy is run to be compared, and must have no effect: it takes no lock and commits nothing."""


class ClaimLost(TaskbridgeError):
    """The message has another owner by now; what this attempt did is refused."""


class Signal(Exception):
    """What a task raises to say what becomes of it; never an error by itself."""


class Retry(Signal):
    """Run again later; spends an attempt.

    Args:
        why: shown by ``status`` and in the dead letters if it was the last attempt.
        after: wait, seconds or timedelta. Defaults to what the task's ``retry`` says.
    """

    def __init__(self, why: str = "asked for by the task", *, after: float | timedelta | None = None) -> None:
        super().__init__(why)
        self.after = after


class Reschedule(Signal):
    """Run again later, under the same id; spends no attempt.

    Args:
        after: wait, seconds or timedelta. Defaults to at once.
        kwargs: keyword arguments that replace those of the same name in the next run.
        give_up_after: how long it may go on, seconds or timedelta, from when the message was first due. When the next
            run would lie beyond, the message is dead, with the new arguments; ``retry`` is not asked. Defaults to
            never.
    """

    def __init__(
        self,
        after: float | timedelta = 0,
        *,
        kwargs: Mapping[str, Any] | None = None,
        give_up_after: float | timedelta | None = None,
    ) -> None:
        super().__init__(f"again in {after}")
        self.after = after
        self.kwargs = dict(kwargs or {})
        self.give_up_after = give_up_after


class Throttled(Signal):
    """The far side said that it has had too many (HTTP 429): nobody starts at the limit's key for so long.

    Spends no attempt; this message goes first when the time is over. In a task without that limit it is a wait.

    Args:
        after: how long, seconds or timedelta; what the far side said, such as ``Retry-After``.
        limit: the name of the limit that is meant, where the task has several. Defaults to its first.
    """

    def __init__(self, after: float | timedelta, *, limit: str = "") -> None:
        super().__init__(f"throttled for {after}")
        self.after = after
        self.limit = limit


class Drop(Signal):
    """End this message here: neither done nor a failure, never run again."""

    def __init__(self, why: str = "dropped by the task") -> None:
        super().__init__(why)


class SoftTimeout(Exception):
    """The task's time is over. Raised inside it, wherever it is, and again each second until it has left."""


class HardTimeout(Exception):
    """The task's process was ended at its hard timeout. Never raised in a task: a retry policy is shown it."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint such as ``; did you mean 'retry'?`` or, when nothing is near, the known words."""
    from difflib import get_close_matches

    words = sorted(known)
    close = get_close_matches(word, words, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(words)}"


def from_the_task_on(error: BaseException) -> TracebackType | None:
    """Return an error's traceback without what leads to every task; where no code of a task is in it, all of it."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in OUTSIDE:
        trace = trace.tb_next
    return trace or error.__traceback__
