"""Look at everything again and again, and keep the last numbers of what does not answer.

The store and each broker are looked at in threads of their own, so that one which hangs does not hold up the rest.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace

from ..announcement import Announcement
from ..bridge import Bridge
from ..errors import DecodeError, TaskbridgeError
from ..message import decode
from ..migration.book import Migration
from ..migration.changes import book_now
from ..store import LockState, Record
from ..store.control import KINDS, Pause
from .brokers import Brokers
from .depths import backend_of, owner_of
from .gauges import AtBroker, InStore, Stored, in_store
from .overview import MOST, Lock, Migrating, Overview, Place, Queue, Rate, Running, Throughput, Worker
from .pace import throughput
from .reader import Reader

#: How long the store may take to name queues; then brokers are asked for those that it named last, seconds.
NAMES_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the store told, and what of it could not be read."""

    at_s: float
    store: InStore
    throughput: Throughput = Throughput()  # noqa: RUF009 frozen
    migrations: Sequence[Migrating] = ()
    pauses: Sequence[Pause] = ()
    problems: Sequence[str] = ()


class Lookout:
    """Keeps what it saw last. One at a time looks.

    Args:
        bridge: where to look.
        queues: looked at besides those that live workers serve and that the store counts.
        patience_s: how long a look may take, all together.
    """

    def __init__(self, bridge: Bridge, queues: Sequence[str] = (), *, patience_s: float = 3.5) -> None:
        self._bridge = bridge
        self._queues = queues
        self._patience_s = patience_s
        self._store = Reader[_Seen]("the store")
        self._brokers = Brokers(bridge, queues)
        self._seen: _Seen | None = None
        self._at: dict[str, tuple[float, AtBroker]] = {}

    def look(self) -> Overview:
        """Look, for as long as patience lasts; what does not answer is shown as it was last seen."""
        until_s = self._now_s() + self._patience_s
        asked = self._store.ask(self._look)
        # At first nobody knows any queue: then the store has most of the time
        wait([asked], min(NAMES_S, self._patience_s / 2) if self._seen else self._patience_s * 0.7)
        named = self._store.answer(asked, 0) if asked.done() else None
        brokers = self._brokers.ask(named[1].store if named and named[1] else None)
        _, seen = named or self._store.answer(asked, until_s - self._now_s())
        problems = [f"the store: {self._store.why}"] if seen is None else list(seen.problems)
        failed = [] if seen else ["store"]
        self._seen = seen or self._seen
        for name, (reader, future) in brokers.items():
            found = reader.answer(future, until_s - self._now_s())[1]
            if found is None:
                problems.append(f"backend {name}: {reader.why}")
                failed.append(name)
            else:
                self._at[name] = self._now_s(), found
        for name in self._at.keys() - brokers.keys():  # nobody serves it any more
            del self._at[name]
        return self._overview(failed, problems)

    def close(self) -> None:
        """End the threads that look."""
        self._store.close()
        self._brokers.close()

    def _look(self) -> _Seen:
        """Look at the store; what it cannot tell beside its levels is a problem, and no reason to show nothing."""
        store = in_store(self._bridge, self._queues, most=MOST)
        seen = _Seen(at_s=self._now_s(), store=store)
        try:
            pace = throughput(self._bridge.store, store.announced, store.backends, store.now_ms)
            seen = replace(seen, throughput=pace)
            pauses = sorted(self._bridge.store.control.pauses(), key=lambda one: KINDS.index(one.kind))
            seen = replace(seen, pauses=pauses[:MOST])
            going_on = book_now(self._bridge.store)[1].open
            seen = replace(seen, migrations=[_migrating(one) for one in going_on[:MOST]])
        except TaskbridgeError as error:
            seen = replace(seen, problems=[f"the store: {error}"])
        return seen

    def _overview(self, failed: Sequence[str], problems: Sequence[str]) -> Overview:
        seen, now_s = self._seen, self._now_s()
        seen_s = {name: at_s for name, (at_s, _) in self._at.items()} | ({"store": seen.at_s} if seen else {})
        old = {name: now_s - seen_s.get(name, -math.inf) for name in failed}
        brokers, asked = {name: found for name, (_, found) in self._at.items()}, self._brokers.known[0]
        if seen is None:
            return Overview(
                now_ms=self._bridge.clock.now_ms(), queues=_queues(None, brokers, asked, ()), old=old, problems=problems
            )
        store = seen.store
        return Overview(
            now_ms=store.now_ms,
            queues=_queues(store, brokers, asked, seen.throughput.rates),
            workers=_workers(store),
            running=[_running(record, store) for record in store.longest],
            running_in_all=sum(store.running.values()),
            locks=[_lock(one) for one in store.locks],
            limits=store.limits[:MOST],
            runs=store.runs[:MOST],
            migrations=seen.migrations,
            pauses=seen.pauses,
            throughput=seen.throughput,
            leader=store.leader,
            lag_s=store.lag_s,
            old=old,
            problems=problems,
        )

    def _now_s(self) -> float:
        return self._bridge.clock.monotonic_s()


def _queues(
    store: InStore | None, brokers: Mapping[str, AtBroker], asked: Collection[str], rates: Sequence[Rate]
) -> list[Queue]:
    """Each queue with all of its places: where something waits, runs or is served, and where its broker tells of it."""
    stored = {one.queue: one for one in store.stored} if store else {}
    waiting = {(name, one.queue): one for name, found in brokers.items() for one in found.waiting}
    running = store.running if store else {}
    serving = {(one.backend, one.queue): one for one in store.serving} if store else {}
    per_s: dict[tuple[str, str], float] = {}
    for rate in rates:
        per_s[rate.backend, rate.queue] = per_s.get((rate.backend, rate.queue), 0.0) + rate.per_s
    places: dict[str, list[Place]] = {queue: [] for queue in stored}
    for backend, queue in sorted(
        {*waiting, *running, *serving}, key=lambda at: (not at[0], *at)
    ):  # one of its own last
        at, here, served = (backend, queue), waiting.get((backend, queue)), serving.get((backend, queue))
        place = Place(
            backend=backend,
            waiting=here.length if here else 0 if backend in brokers and queue in asked else None,
            oldest_s=here.oldest_s if here else None,
            running=running.get(at, 0),
            workers=served.workers if served else 0,
            processes=served.processes if served else 0,
            per_s=per_s.get(at),
        )
        places.setdefault(queue, []).append(place)
    return [
        Queue(name=name, places=each, stored=stored.get(name) or Stored(queue=name)) for name, each in places.items()
    ]


def _workers(store: InStore) -> list[Worker]:
    found = []
    for one in sorted(store.announced, key=lambda worker: worker.name)[:MOST]:
        running = sum(number for owner, number in store.by_owner.items() if _is_of(owner, one.name))
        found.append(
            Worker(name=one.name, backends=one.backends, queues=one.queues, processes=one.processes, running=running)
        )
    return found


def _is_of(owner: str, worker: str) -> bool:
    """Whether a process is a worker's own: its name goes on where the worker's ends."""
    return owner == worker or owner.startswith(f"{worker}.")


def worker_of(claim: str, workers: Sequence[Announcement]) -> str:
    """Return the worker whose process has a claim; that process itself where no worker announces it."""
    owner = owner_of(claim)
    return next((one.name for one in workers if _is_of(owner, one.name)), owner)


def _running(record: Record, store: InStore) -> Running:
    try:
        task = decode(record.body).task
    except DecodeError:
        task = ""
    return Running(
        id=record.id,
        task=task,
        queue=record.queue,
        backend=backend_of(record.claim),
        worker=worker_of(record.claim, store.announced),
        attempt=record.attempt,
        since_ms=record.begun_ms,
        for_s=max(0, store.now_ms - record.begun_ms) / 1000,
    )


def _lock(state: LockState) -> Lock:
    holders, reserved = state.holders[:MOST], state.reserved[:MOST]
    return Lock(key=state.key, waiting=state.waiting, holders=holders, reserved=reserved)


def _migrating(one: Migration) -> Migrating:
    step = one.steps[-1] if one.steps else None
    return Migrating(
        id=one.id,
        what=one.what,
        origin=one.origin,
        target=one.target,
        share=one.share,
        state=one.state,
        step=step.what if step else "",
        since_ms=step.at_ms if step else 0,
        why=step.why if step else "",
    )
