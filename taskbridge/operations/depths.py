"""How much waits where: each queue on each backend, and what the store keeps of it.

What waits in an engine and what runs belongs to a backend. What is ready, delayed, parked, locked, throttled, held,
paused or dead belongs to the queue alone: where it goes is decided when it leaves the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..announcement import Announcement, announced
from ..bridge import Bridge
from ..errors import ConfigError, TaskbridgeError
from ..options import QUEUE_NAME
from .routes import backends_in_use
from .unserved import unserved


@dataclass(slots=True, kw_only=True)
class Side:
    """A queue on one backend. ``waiting`` is None when its broker does not answer; ``processes`` serve it."""

    waiting: int | None = None
    running: int = 0
    processes: int = 0


@dataclass(slots=True, kw_only=True)
class Depth:
    """One queue."""

    queue: str
    backends: dict[str, Side] = field(default_factory=dict)
    ready: int = 0
    delayed: int = 0
    parked: int = 0
    locked: int = 0
    throttled: int = 0
    held: int = 0
    paused: int = 0
    dead: int = 0


@dataclass(slots=True, kw_only=True)
class Depths:
    """All queues that are known, by name, and what could not be seen."""

    queues: list[Depth] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def backend_of(claim: str) -> str:
    """Return the backend that a claim of our worker names; empty for one of an engine's own command."""
    parts = claim.split(":")
    return parts[-2] if len(parts) >= 3 else ""


def owner_of(claim: str) -> str:
    """Return the process that a claim names."""
    return claim.rsplit(":", 2)[0] if backend_of(claim) else claim


def depths(bridge: Bridge, more: Iterable[str] = ()) -> Depths:
    """Return how much waits in every queue that live workers serve, that the store counts, and that is named here.

    Args:
        bridge: where to look.
        more: further queues.
    """
    found = Depths()
    counts: dict[tuple[str, str], int] = {}
    running: Counter[tuple[str, str]] = Counter()
    workers: list[Announcement] = []
    try:
        counts = bridge.store.messages.counts()
        running = Counter((one.queue, backend_of(one.claim)) for one in bridge.store.messages.running())
        workers = announced(bridge.store)
    except TaskbridgeError as error:
        found.problems.append(f"the store: {error}")
    names = {*more, *(queue for queue, _ in [*counts, *running]), *(q for one in workers for q in one.queues)}
    by_name = {name: Depth(queue=name) for name in sorted(names)}
    for (queue, state), number in counts.items():
        setattr(by_name[queue], state.lower(), number)
    for name in backends_known(bridge, workers):
        _count_waiting(bridge, name, list(by_name.values()), found.problems)
    for one in unserved(bridge, backends_known(bridge, workers), list(by_name)):
        by_name[one.queue].backends[one.backend] = Side(waiting=one.waiting)
    for (queue, backend), number in running.items():
        by_name[queue].backends.setdefault(backend, Side()).running = number
    for worker in workers:
        for queue in worker.queues:
            for backend in worker.backends:
                by_name[queue].backends.setdefault(backend, Side()).processes += worker.processes_of(queue)
    found.queues = list(by_name.values())
    return found


def backends_known(bridge: Bridge, workers: Sequence[Announcement]) -> list[str]:
    """Return the backends of settings and routes, and those that live workers serve and the settings can name."""
    names = dict.fromkeys(backends_in_use(bridge))
    for name in [name for worker in workers for name in worker.backends]:
        try:
            bridge.settings.backend_settings(name)
        except ConfigError:
            continue
        names[name] = None
    return list(names)


def _count_waiting(bridge: Bridge, name: str, queues: Sequence[Depth], problems: list[str]) -> None:
    """Ask one backend for its depths, until it fails once."""
    try:
        backend = bridge.backend(name)
        if not backend.capabilities.processes:
            raise ConfigError("its queues live in one process and cannot be seen from here")
        for depth in queues:
            if QUEUE_NAME.fullmatch(depth.queue):
                depth.backends[name] = Side(waiting=backend.depth(depth.queue))
    except TaskbridgeError as error:
        problems.append(f"backend {name}: {error}")
        for depth in queues:
            depth.backends.setdefault(name, Side())
