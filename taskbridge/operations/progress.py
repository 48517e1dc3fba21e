"""How a migration stands: its share, what the last minutes tell of both sides, and what lies in their queues."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..bridge import Bridge
from ..errors import TaskbridgeError
from ..migration.book import Evidence, Migration
from ..migration.changes import book_now
from ..migration.checks import tasks_of
from ..migration.ramp import Seen, holds
from ..migration.sides import evidence_of
from ..routes.checks import Landscape
from .landscape import landscape_of

log = logging.getLogger("taskbridge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How many messages lie in one queue, on the old side and on the new; None where a broker does not answer."""

    queue: str
    old: int | None
    new: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a migration stands now. ``holds`` tells why a ramp stays where it is; ``tasks`` are known and move."""

    migration: Migration
    now_ms: int
    evidence: Evidence
    holds: str
    tasks: list[str]
    waits: list[Waits]


def status(bridge: Bridge, *, id: str = "") -> Status:
    """Return how a migration stands.

    Raises:
        ConfigError: there is none of this name; without one, there is none, or there are several.
    """
    migration = book_now(bridge.store)[1].one(id)
    landscape = landscape_of(bridge, modules=False)
    now_ms, tasks = bridge.store.now_ms(), tasks_of(migration, landscape)
    evidence = evidence_of(bridge.store, migration, tasks, landscape, now_ms)
    return Status(
        migration=migration,
        now_ms=now_ms,
        evidence=evidence,
        holds=_holds(migration, evidence, landscape, now_ms),
        tasks=tasks,
        waits=waits(bridge, migration, landscape),
    )


def migrations(bridge: Bridge) -> list[Migration]:
    """Return those that go on and the last that have ended, the newest first."""
    return list(book_now(bridge.store)[1].migrations)[::-1]


def waits(bridge: Bridge, migration: Migration, landscape: Landscape) -> list[Waits]:
    """Return how many messages lie in each of a migration's queues, on both sides."""
    queues = dict.fromkeys(migration.queues)
    for rule in migration.taking:
        queues |= {known.queue: None for known in landscape.matched(rule).values() if known}
    return [
        Waits(queue=queue, old=_depth(bridge, migration.origin, queue), new=_depth(bridge, migration.target, queue))
        for queue in sorted(queues)
    ]


def _holds(migration: Migration, evidence: Evidence, landscape: Landscape, now_ms: int) -> str:
    if migration.state != "ramping" or migration.ramp is None:
        return ""
    if migration.ramp.at < 0:
        return "the relay takes the first step"
    served = migration.unserved or landscape.serving(migration.target)
    seen = Seen(now_ms=now_ms, evidence=evidence, unserved_since_ms=0 if served else now_ms)
    return holds(migration, migration.ramp, seen) or "it goes on at the next look"


def _depth(bridge: Bridge, backend: str, queue: str) -> int | None:
    try:
        return bridge.backend(backend).depth(queue)
    except TaskbridgeError as error:
        log.debug("how many lie in %s of %s is not known: %s", queue, backend, error)
        return None
