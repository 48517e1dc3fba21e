"""How fast it goes: what tasks do on each backend, watched by the evidence mechanism while somebody looks.

It costs nothing while nobody does. Slices are of ten seconds, and each process tells every five: a slice is complete
so long after its end. Before the first that was watched as a whole, the figures are an estimate. Instants are unix
milliseconds of the store's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from ..announcement import Announcement
from ..evidence.buckets import quantile_ms
from ..evidence.gatherer import EVERY_S
from ..evidence.sample import Sample
from ..store import Store
from ..store.evidence import SLICE_MS, Slice
from .overview import Rate, Throughput

#: For how long tasks are watched after a look.
ATTEND_MS = 30_000

#: How many tasks are watched, at most.
MOST_TASKS = 300

#: How long it takes until every process counts a task that is watched, and until it has told what it did.
TOLD_MS = round(EVERY_S * 1000) + 1_000

#: For so long nothing is known.
GATHERING_MS = 10_000


def throughput(store: Store, workers: Sequence[Announcement], backends: Sequence[str], now_ms: int) -> Throughput:
    """Have all tasks that workers announce watched a while longer, and return what is known of them.

    Raises:
        StoreUnavailable: no answer.
        StoreFull: the store has no memory left to remember it.
    """
    queues = _queues(workers)
    tasks = list(queues)[:MOST_TASKS]
    since_ms = store.evidence.attend(tasks, ATTEND_MS)
    names = list(dict.fromkeys([*backends, *(name for worker in workers for name in worker.backends)]))
    until_ms = (now_ms - TOLD_MS) // SLICE_MS * SLICE_MS
    whole = [task for task in tasks if since_ms[task] + TOLD_MS <= until_ms - SLICE_MS]
    if whole:
        slices = store.evidence.read_all(whole, names, until_ms - SLICE_MS, until_ms)
        return _of("measured", slices, queues, until_ms - SLICE_MS, until_ms, SLICE_MS / 1000)
    begun_ms = min(since_ms.values(), default=now_ms)
    if now_ms - begun_ms < GATHERING_MS:
        return Throughput(since_ms=begun_ms, until_ms=now_ms, tasks=len(tasks))
    # On average a process began to count half of its five seconds late, and has told all but the last half of them.
    counted_s = (now_ms - begun_ms) / 1000 - EVERY_S
    slices = store.evidence.read_all(tasks, names, begun_ms - SLICE_MS, now_ms + 1)
    return _of("estimated", slices, queues, begun_ms, now_ms, counted_s)


def _queues(workers: Sequence[Announcement]) -> dict[str, str]:
    """The queue of each task that is announced; empty where a worker of a release before routes does not say."""
    found: dict[str, str] = {}
    for worker in workers:
        for task in worker.tasks:
            known = worker.known.get(task)
            found[task] = known.queue if known else found.get(task, "")
    return dict(sorted(found.items()))


def _of(
    state: Literal["measured", "estimated"],
    slices: Sequence[Slice],
    queues: Mapping[str, str],
    since_ms: int,
    until_ms: int,
    in_s: float,
) -> Throughput:
    by_side: dict[tuple[str, str], list[Slice]] = {}
    for one in slices:
        by_side.setdefault((one.task, one.backend), []).append(one)
    rates = [_rate(task, backend, queues[task], each, in_s) for (task, backend), each in by_side.items()]
    rates.sort(key=lambda rate: (-rate.per_s, rate.task, rate.backend))
    return Throughput(
        state=state, since_ms=since_ms, until_ms=until_ms, tasks=min(len(queues), MOST_TASKS), rates=rates
    )


def _rate(task: str, backend: str, queue: str, slices: Sequence[Slice], in_s: float) -> Rate:
    counts = Sample.of(slices).all
    return Rate(
        task=task,
        backend=backend,
        queue=queue,
        per_s=counts.ended / in_s,
        failed_per_s=counts.failed / in_s,
        ran_ms=quantile_ms(counts.ran, 0.5),
        ran_p95_ms=quantile_ms(counts.ran, 0.95),
        waited_p95_ms=quantile_ms(counts.waited, 0.95),
    )
