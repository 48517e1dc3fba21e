"""The store's part in what an operator does to tasks, queues, keys and messages. Instants are unix milliseconds."""

from __future__ import annotations

from typing import Protocol

import msgspec

#: What can be paused: a task, a queue, or the key of a lock or a limit.
KINDS = ("task", "queue", "key")

#: How many may be paused at a time: whoever works looks at all of them every second.
MOST_PAUSES = 1_000

#: How long a process that is to be ended is named, milliseconds; its worker looks once a second.
ENDED_MS = 60_000


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is paused, or ``resumed`` while some of what waited for it is yet to go on."""

    kind: str
    name: str
    at_ms: int = 0
    who: str = ""
    why: str = ""
    waiting: int = 0
    resumed: bool = False


class Halts(msgspec.Struct, frozen=True, kw_only=True):
    """What workers are to halt: they leave these queues alone, and end the processes of these claims, (id, claim).

    ``since_ms`` is when the last of these queues was paused, 0 for none: it tells a pause from the next of the same.
    ``tasks`` are paused, too, which ``begin`` sees to. With ``records`` every message has a record, of tasks with
    ``ledger=False`` as well.
    """

    queues: tuple[str, ...] = ()
    ends: tuple[tuple[str, str], ...] = ()
    tasks: tuple[str, ...] = ()
    since_ms: int = 0
    records: bool = False


class Control(Protocol):
    """Pauses: ``begin`` lets nothing of what is paused start, and keeps it in the store, in turn. And cancelling."""

    def pause(self, kind: str, name: str, *, who: str, why: str) -> str:
        """Begin nothing of it from now on; what runs goes on. Returns ``ok``, ``paused`` (it was) or ``full``."""

    def resume(self, kind: str, name: str) -> int:
        """Let it begin again, behind what waits for it; returns how many do, -1 when it was not paused."""

    def let_on(self, limit: int) -> tuple[int, int]:
        """Let so many of those go on that wait for what was resumed, the longest waiting first.

        Returns how many may go on, and how many are left.
        """

    def pauses(self) -> list[Pause]:
        """What is paused, or is resumed and still waited for, by kind and name."""

    def cancel(self, id: str, why: str, *, kill: bool = False) -> str:
        """End a message wherever it waits; one that runs ends with this attempt, unless that succeeds.

        With ``kill`` the process that runs it is to be ended. What no record is of is recognised if it comes, for seven
        days, and never runs.

        Returns the state that it was in, in which it stays if that is DONE or DEAD; or ``unknown``; or, and nothing is
        changed, ``code`` (a hold) or ``foreign`` (an engine's own workers have it, or a relay that hands it to them).
        """

    def record_all(self, for_ms: int) -> None:
        """Have workers record every message for so long from now on, or as long as was said before; 0 ends it."""

    def halts(self) -> Halts:
        """What workers are to do; whoever looks once a second misses nothing."""
