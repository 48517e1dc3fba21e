"""What stands in store and brokers, as gauges for Prometheus: read anew at each scrape, from wherever that is asked.

Nothing here raises, nor waits for long: what does not answer is told by ``taskbridge_store_up`` and
``taskbridge_broker_up``, and the rest is shown.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..bridge import Bridge
from ..errors import ConfigError, TaskbridgeError
from ..operations.brokers import Brokers
from ..operations.gauges import AtBroker, InStore, in_store
from ..operations.reader import Reader
from .text import safe

log = logging.getLogger("taskbridge.metrics")

#: How long store and brokers may take, all together, seconds: Prometheus waits 10 s unless it is told otherwise, and
#: people tell it 5 s. Brokers wait so long for the store to name the queues, and are then asked for those known.
PATIENCE_S = 3.5
NAMES_S = 1.5

#: Which process shows the gauges of a store that many could show, and for how long after it was last scraped.
DUTY = "gauges"
LEAD_MS = 90_000

#: The store's answer where another process shows all there is.
ALL_ELSEWHERE = (True, None)

#: Longest label value.
MOST_LETTERS = 200

#: Of what a backend has, by queue.
AT = ("backend", "broker", "queue")
OF_RUN = ("queue", "task", "run")
CELERY = ("queue_name", "backend", "broker")

#: Each gauge: what it tells, and its labels.
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "taskbridge_store_up": ("1 if the store answered, else 0.", ()),
    "taskbridge_broker_up": ("1 if the backend's broker answered, else 0.", ("backend", "broker")),
    "taskbridge_queue_length": ("Messages that wait at the broker, all priorities; not those that were fetched.", AT),
    "taskbridge_queue_oldest_age_seconds": (
        "How long the oldest message at the broker waits for a worker; none where it has no time stamp.",
        AT,
    ),
    "taskbridge_queue_workers": ("Live workers that serve the queue, as they announce it.", AT),
    "taskbridge_queue_processes": ("Processes of live workers that serve the queue.", AT),
    "taskbridge_running": ("Messages that are being run, by their claims in the store.", AT),
    "taskbridge_delayed": ("Messages in the store that are due later: delays, and retries that back off.", ("queue",)),
    "taskbridge_ready": ("Messages in the store that are due and not yet published to an engine.", ("queue",)),
    "taskbridge_lock_waiting": ("Messages in the store that wait for a lock.", ("queue",)),
    "taskbridge_throttled": ("Messages in the store that wait for their turn at a rate limit.", ("queue",)),
    "taskbridge_release_waiting": ("Messages in the store that wait for a worker which knows their task.", ("queue",)),
    "taskbridge_held": ("Chunks whose run is paused or has too much open.", ("queue",)),
    "taskbridge_paused": ("Messages in the store that wait for their task, queue or key to be resumed.", ("queue",)),
    "taskbridge_dead": ("Dead letters.", ("queue",)),
    "taskbridge_claims": ("Claims that stand: of messages that run, and of code that holds a lock or a limit.", ()),
    "taskbridge_live_workers": ("Workers that announce themselves.", ()),
    "taskbridge_live_processes": ("Their processes.", ()),
    "taskbridge_relay_lag_seconds": ("How long the message that is most overdue for publishing was due.", ()),
    "taskbridge_relay_leader": ("1 for the relay that leads; 0 without an owner while none does.", ("owner",)),
    "taskbridge_limit_per_second": (
        "Starts a second that a rate limit allows each of its keys; 0: paused.",
        ("limit",),
    ),
    "taskbridge_limit_waiting": ("Messages and code that wait at a rate limit, all keys.", ("limit",)),
    "taskbridge_limit_keys": ("Keys of rate limits that are waited at; up to 2000 count for limit_waiting.", ()),
    "taskbridge_run_done": ("How much a run of a chunked task has done.", OF_RUN),
    "taskbridge_run_total": ("How much it is in all; none where that is not known.", OF_RUN),
    "taskbridge_run_open": ("What it has enqueued and has not ended.", OF_RUN),
    "taskbridge_run_state": ("1 for what it is: running, paused or stopping.", (*OF_RUN, "state")),
    "taskbridge_batches_open": ("Batches with members that have not ended.", ()),
}

#: The same under the names that dashboards for Celery know.
CELERY_GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "celery_queue_length": ("Messages that wait at the broker.", CELERY),
    "celery_active_consumer_count": ("Processes that take messages of the queue: each is a consumer.", CELERY),
    "celery_active_worker_count": ("Live workers that serve the queue.", CELERY),
    "celery_active_process_count": ("Processes of live workers that serve the queue.", CELERY),
}

#: A gauge's name, the values of its labels, and its value.
Sample = tuple[str, tuple[str, ...], float]


class StoreGauges(Collector):
    """A collector for a registry.

    Args:
        bridge: where to look.
        queues: shown besides those that live workers serve and that the store counts.
        celery: also under the names that dashboards for Celery use.
        owner: a name of this process's own, where many processes show the gauges of one store. One of them does then,
            by lease, so that sums are right and the store is asked once; the others only tell whether it is up.
            Defaults to showing them in any case.
    """

    def __init__(self, bridge: Bridge, queues: Sequence[str] = (), *, celery: bool = False, owner: str = "") -> None:
        self._bridge = bridge
        self._queues = queues
        self._celery = celery
        self._owner = owner
        self.all_up = True
        """Whether the store and all brokers answered when they were last looked at."""
        self._store = Reader[InStore | None]("the store", log)
        self._brokers = Brokers(bridge, queues, log)

    def describe(self) -> list[Metric]:
        """All that may be shown, for a registry to refuse what is called the same; nothing is looked at."""
        return list(self._families().values())

    def collect(self) -> list[Metric]:
        """Look, and return what there is to show."""
        families = self._families()
        values: defaultdict[tuple[str, tuple[str, ...]], float] = defaultdict(float)
        for name, labels, value in self._samples():
            values[name, tuple(safe(label[:MOST_LETTERS]) for label in labels)] += value
        self.all_up = all(value for (name, _), value in values.items() if name.endswith("_up"))
        for (name, labels), value in values.items():
            if name in families:
                families[name].add_metric(labels, value)
        return [family for family in families.values() if family.samples]

    def close(self) -> None:
        """End the threads that look, and let another process show the gauges."""
        self._store.close()
        self._brokers.close()
        try:
            if self._owner:
                self._bridge.store.leader.resign(DUTY, self._owner)
        except TaskbridgeError as error:
            log.info("another process shows the gauges when this one's lease is over: %s", error)

    def _families(self) -> dict[str, GaugeMetricFamily]:
        shown = GAUGES | (CELERY_GAUGES if self._celery else {})
        return {name: GaugeMetricFamily(name, help, labels=labels) for name, (help, labels) in shown.items()}

    def _samples(self) -> Iterator[Sample]:
        clock = self._bridge.clock
        until_s = clock.monotonic_s() + PATIENCE_S
        asked = self._store.ask(self._look)
        wait([asked], NAMES_S)
        named = self._store.answer(asked, 0) if asked.done() else None
        brokers = {} if named == ALL_ELSEWHERE else self._brokers.ask(named[1] if named else None)
        up, store = named or self._store.answer(asked, until_s - clock.monotonic_s())
        yield "taskbridge_store_up", (), up
        if (up, store) == ALL_ELSEWHERE:
            return
        for name, (reader, future) in brokers.items():
            at = name, self._broker(name)
            found = reader.answer(future, until_s - clock.monotonic_s())[1]
            if found is None or name in self._brokers.known[1]:
                yield "taskbridge_broker_up", at, found is not None
            yield from _waiting(found, at) if found else ()
        if store:
            yield from _stored(store, self._broker)
            yield from _serving(store, self._broker)
            yield from _alone(store)
            yield from _runs(store)

    def _look(self) -> InStore | None:
        """Look at the store; None when another process shows it."""
        if self._owner and not self._bridge.store.leader.hold(DUTY, self._owner, LEAD_MS):
            return None
        return in_store(self._bridge, self._queues)

    def _broker(self, backend: str) -> str:
        """The kind of a backend's broker; of one that only others know, nothing."""
        try:
            return self._bridge.settings.backend_settings(backend).broker
        except ConfigError:
            return ""


def _waiting(found: AtBroker, at: tuple[str, str]) -> Iterator[Sample]:
    for one in found.waiting:
        yield "taskbridge_queue_length", (*at, one.queue), one.length
        yield "celery_queue_length", (one.queue, *at), one.length
        if one.oldest_s is not None:
            yield "taskbridge_queue_oldest_age_seconds", (*at, one.queue), one.oldest_s


def _stored(store: InStore, broker: Callable[[str], str]) -> Iterator[Sample]:
    for one in store.stored:
        yield "taskbridge_delayed", (one.queue,), one.delayed
        yield "taskbridge_ready", (one.queue,), one.ready
        yield "taskbridge_lock_waiting", (one.queue,), one.locked
        yield "taskbridge_throttled", (one.queue,), one.throttled
        yield "taskbridge_release_waiting", (one.queue,), one.parked
        yield "taskbridge_held", (one.queue,), one.held
        yield "taskbridge_paused", (one.queue,), one.paused
        yield "taskbridge_dead", (one.queue,), one.dead
    for (backend, queue), number in store.running.items():
        yield "taskbridge_running", (backend, broker(backend), queue), number


def _serving(store: InStore, broker: Callable[[str], str]) -> Iterator[Sample]:
    for one in store.serving:
        at = one.backend, broker(one.backend)
        yield "taskbridge_queue_workers", (*at, one.queue), one.workers
        yield "taskbridge_queue_processes", (*at, one.queue), one.processes
        yield "celery_active_worker_count", (one.queue, *at), one.workers
        yield "celery_active_process_count", (one.queue, *at), one.processes
        yield "celery_active_consumer_count", (one.queue, *at), one.processes


def _alone(store: InStore) -> Iterator[Sample]:
    """What belongs to no queue."""
    yield "taskbridge_claims", (), store.claims
    yield "taskbridge_live_workers", (), store.workers
    yield "taskbridge_live_processes", (), store.processes
    yield "taskbridge_relay_lag_seconds", (), store.lag_s
    yield "taskbridge_relay_leader", (store.leader,), bool(store.leader)
    yield "taskbridge_batches_open", (), store.batches
    yield "taskbridge_limit_keys", (), store.limit_keys
    for limit in store.limits:
        yield "taskbridge_limit_waiting", (limit.name,), limit.waiting
        if limit.per_s is not None:
            yield "taskbridge_limit_per_second", (limit.name,), limit.per_s


def _runs(store: InStore) -> Iterator[Sample]:
    for run in store.runs:
        labels = run.queue, run.task, run.id
        yield "taskbridge_run_done", labels, run.done
        yield "taskbridge_run_open", labels, run.open
        yield "taskbridge_run_state", (*labels, run.state), 1
        if run.total is not None:
            yield "taskbridge_run_total", labels, run.total
