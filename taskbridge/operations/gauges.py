"""How full everything is, for gauges that are read every few seconds: bounded, in a few trips, whatever there is.

Two looks: at the store (``in_store``), and at each broker for the queues that are known by then (``at_broker``). Who
takes each in a thread of its own can give up one that hangs and have the others. Spans are seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..announcement import Announcement, announced
from ..bridge import Bridge
from ..errors import NotSupported, TaskbridgeError
from ..options import QUEUE_NAME, TaskOptions
from ..policies.rate import RateLimit, pace
from ..store import LimitState, LockState, Record
from ..store.flow import RunState
from .depths import backend_of, backends_known, owner_of
from .unserved import others

#: How many claims, keys of limits and runs are looked at, and how many runs, queues and limits are shown, at most.
LOOKED_AT = 2_000
MOST_RUNS = 100
MOST_QUEUES = 200
MOST_LIMITS = 200

#: Stands for the queues beyond that.
OTHER = "other"

#: The duty whose leader moves messages from the store to the engines.
RELAY = "relay"


#: What the store keeps of a queue that is on its way, by state, as it is told everywhere; the dead stand behind it.
ON_ITS_WAY = ("ready", "delayed", "parked", "locked", "throttled", "held", "paused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the store keeps of one queue: how many messages in each state."""

    queue: str
    delayed: int = 0
    ready: int = 0
    locked: int = 0
    throttled: int = 0
    parked: int = 0
    held: int = 0
    paused: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How many workers and processes take messages of a queue from a backend, as they announce it."""

    backend: str
    queue: str
    workers: int
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A rate limit. ``per_s`` is how many may start a second, for each of its keys, 0 while it is paused.

    None where neither a worker that lives nor an operator has said so. ``waiting`` of messages and code wait at it,
    at so many ``keys``.
    """

    name: str
    per_s: float | None
    waiting: int
    keys: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that goes on. ``state`` is running, paused or stopping; ``total`` is None where it is not known.

    ``open`` is how much of what it has enqueued has not ended.
    """

    id: str
    task: str
    queue: str
    state: str
    done: int
    total: int | None
    open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InStore:
    """What stood in the store. ``running`` is by backend and queue; a backend is empty for an engine's own command.

    ``claims`` stand, of code that holds too; ``limit_keys`` are waited at; ``batches`` have open members. ``lag_s`` is
    how late the relay is: how long ago the first of what is ready or delayed was due. ``leader`` is the one that leads.
    ``by_owner``
    is how many each process runs. ``longest`` is what runs the longest, ``locks`` are those at which most wait; both
    only where they were asked for.
    """

    now_ms: int
    queues: list[str]
    backends: list[str]
    stored: list[Stored]
    running: Mapping[tuple[str, str], int]
    claims: int
    serving: list[Serving]
    workers: int
    processes: int
    lag_s: float
    leader: str
    limits: list[Limit]
    limit_keys: int
    runs: list[Run]
    batches: int
    announced: Sequence[Announcement] = ()
    by_owner: Mapping[str, int] = field(default_factory=dict)
    longest: Sequence[Record] = ()
    locks: Sequence[LockState] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A queue at its broker. ``oldest_s`` is for how long its oldest message waits; None where that is not known."""

    queue: str
    length: int
    oldest_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AtBroker:
    """What waited at one backend's broker."""

    backend: str
    waiting: list[Waiting]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """All of it. ``store`` is None where it does not answer, ``brokers`` has those that do; ``problems`` tells why."""

    store: InStore | None = None
    brokers: list[AtBroker] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def gauges(bridge: Bridge, queues: Sequence[str] = ()) -> Gauges:
    """Read all of it, one after another.

    Args:
        bridge: where to look.
        queues: looked at besides those that live workers serve and that the store counts.
    """
    store, brokers, problems = None, [], []
    try:
        store = in_store(bridge, queues)
    except TaskbridgeError as error:
        problems.append(f"the store: {error}")
    now_ms, names = (store.now_ms, store.queues) if store else (None, queues)
    backends = store.backends if store else bridge.settings.backend_names
    for backend in backends:
        try:
            brokers.append(at_broker(bridge, backend, names, now_ms))
        except TaskbridgeError as error:
            problems.append(f"backend {backend}: {error}")
    for backend in others(bridge, backends):
        found = left_at_broker(bridge, backend, names, now_ms)
        brokers += [found] if found.waiting else []
    return Gauges(store=store, brokers=brokers, problems=problems)


def in_store(bridge: Bridge, queues: Sequence[str] = (), *, most: int = 0) -> InStore:
    """Read what stands in the store, in five trips; in three more what runs the longest and which locks are waited at.

    Args:
        bridge: where to look.
        queues: looked at besides those that live workers serve and that the store counts.
        most: how many of what runs, and of the locks that are waited at, are told in full. Defaults to none.

    Raises:
        StoreUnavailable: no answer.
    """
    levels = bridge.store.gauging.read(RELAY, limit=LOOKED_AT, runs=MOST_RUNS, most=most)
    workers = announced(bridge.store)
    served = dict.fromkeys(queue for worker in workers for queue in worker.queues)
    counted = sorted({queue for queue, _ in [*levels.counts, *levels.running]})
    names = dict.fromkeys(list(dict.fromkeys([*queues, *served, *counted]))[:MOST_QUEUES])
    return InStore(
        now_ms=levels.now_ms,
        queues=list(names),
        backends=backends_known(bridge, workers),
        stored=_stored(levels.counts, names),
        running=Counter((backend_of(claim), _shown(queue, names)) for queue, claim in levels.running),
        claims=levels.claims,
        serving=_serving(workers, names),
        workers=len(workers),
        processes=sum(worker.processes for worker in workers),
        lag_s=levels.overdue_ms / 1000,
        leader=levels.leader,
        limits=_limits(bridge, levels.limits, workers),
        limit_keys=levels.limit_keys,
        runs=[_run(state) for state in levels.runs],
        batches=levels.batches,
        announced=workers,
        by_owner=Counter(owner_of(claim) for _, claim in levels.running),
        longest=levels.longest,
        locks=levels.locks,
    )


def at_broker(bridge: Bridge, backend: str, queues: Sequence[str], now_ms: int | None = None) -> AtBroker:
    """Read what waits in these queues, in a few trips.

    Args:
        bridge: where to look.
        backend: its name.
        queues: those that no engine can have are left out.
        now_ms: the store's clock, by which messages are stamped. Defaults to this machine's.

    Raises:
        BrokerUnavailable: no answer.
        NotSupported: its queues live in one process.
        ConfigError: no such backend.
    """
    found = bridge.backend(backend)
    if not found.capabilities.processes:
        raise NotSupported("its queues live in one process and cannot be seen from here")
    names = [queue for queue in queues if QUEUE_NAME.fullmatch(queue)]
    now_ms = now_ms or bridge.clock.now_ms()
    levels = found.levels(names or [TaskOptions().queue])[: len(names)]  # who is asked for nothing has not answered
    return AtBroker(
        backend=backend,
        waiting=[
            Waiting(queue=queue, length=level.waiting, oldest_s=_age_s(level.since_ms, level.waiting, now_ms))
            for queue, level in zip(names, levels, strict=True)
        ],
    )


def left_at_broker(bridge: Bridge, backend: str, queues: Sequence[str], now_ms: int | None = None) -> AtBroker:
    """Read which of these queues hold messages on a backend that nobody serves: nothing where it is not even there."""
    try:
        found = at_broker(bridge, backend, queues, now_ms)
    except TaskbridgeError:
        return AtBroker(backend=backend, waiting=[])
    return AtBroker(backend=backend, waiting=[one for one in found.waiting if one.length])


def _age_s(since_ms: int, waiting: int, now_ms: int) -> float | None:
    if not waiting:
        return 0.0
    return max(0, now_ms - since_ms) / 1000 if since_ms else None


def _shown(queue: str, names: Collection[str]) -> str:
    return queue if queue in names else OTHER


def _stored(counts: Mapping[tuple[str, str], int], names: Collection[str]) -> list[Stored]:
    by_queue: dict[str, Counter[str]] = {name: Counter() for name in names}
    for (queue, state), number in counts.items():
        by_queue.setdefault(_shown(queue, names), Counter())[state.lower()] += number
    return [Stored(queue=queue, **found) for queue, found in by_queue.items()]


def _serving(workers: Iterable[Announcement], names: Collection[str]) -> list[Serving]:
    found: dict[tuple[str, str], list[int]] = {}
    for worker in workers:
        for backend in worker.backends:
            for queue in worker.queues:
                processes = worker.processes_of(queue)
                if queue in names and processes:
                    found.setdefault((backend, queue), []).append(processes)
    return [
        Serving(backend=backend, queue=queue, workers=len(each), processes=sum(each))
        for (backend, queue), each in sorted(found.items())
    ]


def _limits(bridge: Bridge, states: Iterable[LimitState], workers: Iterable[Announcement]) -> list[Limit]:
    """Those that are waited at first: of too many the others are left out."""
    declared = {name: interval_us for worker in workers for name, (interval_us, _) in worker.limits.items()}
    declared |= {
        limit.name: pace(limit.rate)[0]
        for definition in bridge.definitions.values()
        for limit in definition.options.rate_limits
        if isinstance(limit, RateLimit)
    }
    known = {name: LimitState(name=name) for name in declared} | {state.name: state for state in states}
    found = [_limit(state, declared.get(name, 0)) for name, state in sorted(known.items())]
    return sorted(found, key=lambda limit: -limit.waiting)[:MOST_LIMITS]


def _limit(state: LimitState, declared_us: int) -> Limit:
    interval_us = state.interval_us or declared_us
    per_s = 1_000_000 / interval_us if interval_us else None
    return Limit(
        name=state.name,
        per_s=0.0 if state.paused else per_s,
        waiting=sum(state.waiting.values()),
        keys=len(state.waiting),
    )


def _run(state: RunState) -> Run:
    return Run(
        id=state.id,
        task=state.task,
        queue=state.queue,
        state="stopping" if state.stopping else "paused" if state.paused else "running",
        done=state.done,
        total=None if state.total < 0 else state.total,
        open=state.open,
    )
