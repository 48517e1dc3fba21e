"""One look at everything: queues, workers, what runs, how fast, what waits for what, runs and migrations.

What is told is bounded, whatever there is. Who looks again and again keeps a ``Lookout`` (lookout.py), which also has
the last numbers of what does not answer; ``overview`` looks once. Instants are unix milliseconds of the store's clock,
spans are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..bridge import Bridge
from ..store.control import Pause
from .gauges import ON_ITS_WAY, Limit, Run, Stored

#: How many of what runs, of locks, of limits, of runs and of rates are told, at most.
MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A queue on one backend. An empty ``backend`` is that of an engine's own command.

    ``waiting`` is None where the broker has never answered. ``oldest_s`` is for how long its oldest message waits, None
    where that is not known. ``processes`` of ``workers`` serve it. ``per_s`` is how many attempts end a second of the
    tasks that are declared for this queue; None while that is not known.
    """

    backend: str
    waiting: int | None = None
    oldest_s: float | None = None
    running: int = 0
    workers: int = 0
    processes: int = 0
    per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue: where it has places, and what the store keeps of it."""

    name: str
    places: Sequence[Place]
    stored: Stored

    @property
    def waiting(self) -> int:
        """How many wait at brokers that are known to have some."""
        return sum(place.waiting or 0 for place in self.places)

    @property
    def running(self) -> int:
        """How many run."""
        return sum(place.running for place in self.places)

    @property
    def kept(self) -> int:
        """How many the store has that are on their way: all but the dead."""
        return sum(getattr(self.stored, state) for state in ON_ITS_WAY)

    @property
    def per_s(self) -> float | None:
        """How many attempts end a second, on all backends; None while that is not known."""
        known = [place.per_s for place in self.places if place.per_s is not None]
        return sum(known) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker that announces itself, and how many messages its processes run."""

    name: str
    backends: Sequence[str]
    queues: Sequence[str]
    processes: int
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A message that runs. ``worker`` is the announced one, or the process that its claim names.

    ``task`` is empty where the message is of another release.
    """

    id: str
    task: str
    queue: str
    backend: str
    worker: str
    attempt: int
    since_ms: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock at which messages or code wait: who holds it, by ids, and for whom it is kept."""

    key: str
    waiting: int
    holders: Sequence[str]
    reserved: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What one backend does with one task. ``per_s`` attempts end a second, ``failed_per_s`` of them failed.

    ``ran_ms`` and ``ran_p95_ms`` are how long they run, ``waited_p95_ms`` is their time in queue; 0 of none.
    """

    task: str
    backend: str
    queue: str
    per_s: float
    failed_per_s: float
    ran_ms: float
    ran_p95_ms: float
    waited_p95_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """How fast it goes, the fastest first; tasks are watched for it while somebody looks.

    ``gathering``: for the first ten seconds nothing is known. ``estimated``: from what was told so far, with an error
    of a third until all has been told of ten seconds; then it is ``measured``, exactly, of the time from ``since_ms``
    to ``until_ms``. ``tasks`` is how many are watched, at most ``pace.MOST_TASKS``.
    """

    state: Literal["gathering", "estimated", "measured"] = "gathering"
    since_ms: int = 0
    until_ms: int = 0
    tasks: int = 0
    rates: Sequence[Rate] = ()

    @property
    def by_backend(self) -> dict[str, float]:
        """How many attempts end a second on each backend, by name."""
        found: dict[str, float] = {}
        for rate in self.rates:
            found[rate.backend] = found.get(rate.backend, 0.0) + rate.per_s
        return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrating:
    """A migration that goes on: its share, in percent, and its last step with its reason."""

    id: str
    what: str
    origin: str
    target: str
    share: float
    state: str
    step: str
    since_ms: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All of it, as it stood at ``now_ms``.

    ``running`` is what runs the longest, ``running_in_all`` how many run. ``leader`` is the relay that leads, empty
    where none does; ``lag_s`` is how late the most overdue message is that it should publish. ``old`` has of what did
    not answer (``store`` and the names of backends) how old the numbers are that are shown, seconds; infinite where
    there are none. ``problems`` says why.
    """

    now_ms: int
    queues: Sequence[Queue] = ()
    workers: Sequence[Worker] = ()
    running: Sequence[Running] = ()
    running_in_all: int = 0
    locks: Sequence[Lock] = ()
    limits: Sequence[Limit] = ()
    runs: Sequence[Run] = ()
    migrations: Sequence[Migrating] = ()
    pauses: Sequence[Pause] = ()
    throughput: Throughput = Throughput()
    leader: str = ""
    lag_s: float = 0.0
    old: Mapping[str, float] = field(default_factory=dict)
    problems: Sequence[str] = ()

    @property
    def dead(self) -> int:
        """How many dead letters there are."""
        return sum(queue.stored.dead for queue in self.queues)


def overview(bridge: Bridge, queues: Sequence[str] = (), *, patience_s: float = 3.5) -> Overview:
    """Look once; what does not answer in time is left out, and told among the problems.

    Args:
        bridge: where to look.
        queues: looked at besides those that live workers serve and that the store counts.
        patience_s: how long it may take, all together.
    """
    from .lookout import Lookout

    lookout = Lookout(bridge, queues, patience_s=patience_s)
    try:
        return lookout.look()
    finally:
        lookout.close()
