"""What a worker tells of itself: its tasks with their arguments, queues and limits. It lapses unless told again."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from .definition import Definition, Definitions
from .message import Message
from .options import Timeouts
from .policies.rate import RateLimit, pace
from .policies.timeout import timeouts_for
from .store import Store

log = logging.getLogger("taskbridge")

KIND = "workers"

#: How long an announcement stands, milliseconds, and how often it is made, seconds.
LEASE_MS = 15_000
EVERY_S = 5.0


class Known(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worker knows of a task beside its keyword arguments: what routes are decided by, and checked with.

    ``positional`` are the parameters that may be passed by position, in their order. The timeouts are those that an
    attempt has there, the settings' where it has none of its own; 0 is no limit. ``shadow_safe`` is as declared.
    """

    queue: str
    tags: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()
    timeout_ms: int = 0
    hard_timeout_ms: int = 0
    shadow_safe: bool = False

    @property
    def timeouts(self) -> Timeouts:
        """The two of them."""
        return Timeouts(soft_ms=self.timeout_ms, hard_ms=self.hard_timeout_ms)


class Team(msgspec.Struct, frozen=True):
    """A group of processes that serve the same queues: how many there are to be."""

    processes: int
    queues: list[str]


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """One supervisor. ``tasks`` has the keyword arguments of each, and ``**`` where it takes any.

    ``serving`` says how many of the processes serve each queue; a worker of a release before groups leaves it out, and
    all of its processes serve all of its queues. ``limits`` has what its tasks say of each rate limit, by name: how
    long one token takes to come (us), and the burst. One of a release before routes leaves ``known`` out.
    ``groups`` are its groups, and ``since_ms`` is since when it serves; one that leaves
    them out is of a release that obeys no operator.
    """

    name: str
    backends: list[str]
    queues: list[str]
    processes: int
    tasks: dict[str, list[str]]
    serving: dict[str, int] = {}
    limits: dict[str, tuple[int, int]] = {}
    known: dict[str, Known] = {}
    groups: dict[str, Team] = {}
    since_ms: int = 0

    def processes_of(self, queue: str) -> int:
        """How many processes serve this one of its queues."""
        return self.serving.get(queue, 0) if self.serving else self.processes


_decoder = msgspec.json.Decoder(Announcement)


def tasks_of(definitions: Definitions) -> dict[str, list[str]]:
    """Return the tasks a worker has, as it announces them."""
    return {
        name: sorted(one.arguments.keywords) + (["**"] if one.arguments.takes_any_keyword else [])
        for name, one in definitions.items()
    }


def limits_of(definitions: Definitions) -> dict[str, tuple[int, int]]:
    """Return the rate limits of tasks, as a worker announces them."""
    limits = (limit for one in definitions.values() for limit in one.options.rate_limits)
    return {limit.name: _pace(limit) for limit in limits if isinstance(limit, RateLimit)}


def _pace(limit: RateLimit) -> tuple[int, int]:
    interval_us, burst = pace(limit.rate)
    return interval_us, limit.burst or burst


def known_of(definitions: Definitions, default: Timeouts) -> dict[str, Known]:
    """Return what a worker knows of its tasks, as it announces it; ``default`` are the settings' timeouts."""
    return {name: _known(one, default) for name, one in definitions.items()}


def announce(store: Store, announcement: Announcement) -> list[str]:
    """Tell, for one lease; returns the names of workers that have gone without a word, each told once."""
    return store.documents.put(KIND, announcement.name, msgspec.json.encode(announcement), LEASE_MS)


def withdraw(store: Store, name: str) -> list[str]:
    """Take it back, if there is anything; returns as ``announce``."""
    return store.documents.remove(KIND, name)


def announced(store: Store) -> list[Announcement]:
    """Return the workers that live; one of another release that tells it in other words is left out."""
    found = []
    for name, value in store.documents.all(KIND).items():
        try:
            found.append(_decoder.decode(value))
        except msgspec.MsgspecError as error:
            log.warning("what the worker %s announces cannot be read: %s", name, error)
    return found


def safe_of(workers: Sequence[Announcement]) -> dict[str, bool]:
    """Return of each task that workers announce whether all of them declare it safe to shadow."""
    found: dict[str, bool] = {}
    for worker in workers:
        for task in worker.tasks:
            known = worker.known.get(task)
            found[task] = found.get(task, True) and known is not None and known.shadow_safe
    return found


def _known(one: Definition, default: Timeouts) -> Known:
    timeouts = timeouts_for(Message(id="", task=one.name, queue=one.options.queue), one.options, default)
    return Known(
        queue=one.options.queue,
        tags=tuple(one.options.tags),
        positional=tuple(one.arguments.positional),
        timeout_ms=timeouts.soft_ms,
        hard_timeout_ms=timeouts.hard_ms,
        shadow_safe=one.options.shadow_safe,
    )
