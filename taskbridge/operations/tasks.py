"""The tasks that live workers announce and those declared here, and what each side did with them of late.

Figures are those of the evidence: counted while somebody watches (a migration, a dashboard, ``top``), for at most an
hour. Spans are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..announcement import Announcement, announced
from ..bridge import Bridge
from ..errors import ConfigError, nearest
from ..evidence.buckets import count, quantile_ms
from ..evidence.sample import Sample
from ..store.evidence import SLICE_MS, Slice
from .catalogue import Entry, catalogue
from .depths import backends_known

#: How far back tasks are looked at: 10 min. One task is looked at for an hour.
WINDOW_MS, HOUR_MS = 600_000, 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Did:
    """What one backend did with a task: how many attempts ended and failed; p50 and p95 of what they ran and waited."""

    backend: str
    ended: int
    failed: int
    ran_ms: tuple[float, float] | None
    waited_ms: tuple[float, float] | None

    @property
    def failed_share(self) -> float:
        """From 0 to 1."""
        return self.failed / self.ended if self.ended else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """A task. ``workers`` announce it; ``entry`` is its declaration where it is known here.

    ``did`` is by backend, ``slices`` are what that is made of.
    """

    name: str
    queue: str = ""
    workers: int = 0
    backends: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    entry: Entry | None = None
    did: Sequence[Did] = ()
    slices: Sequence[Slice] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """Some of ``total`` tasks, by name, and since when they are looked at."""

    tasks: list[TaskView]
    total: int
    since_ms: int
    now_ms: int


def tasks(bridge: Bridge, *, limit: int = 50, offset: int = 0, part: str = "") -> Tasks:
    """Return tasks by name, those whose name has this part, with what was done with them in the last ten minutes."""
    workers, now_ms = announced(bridge.store), bridge.store.now_ms()
    known = {name: one for name, one in _known(bridge, workers).items() if part.casefold() in name.casefold()}
    names = sorted(known)[offset : offset + limit]
    slices = bridge.store.evidence.read_all(names, backends_known(bridge, workers), now_ms - WINDOW_MS, now_ms + 1)
    by_task: dict[str, list[Slice]] = {name: [] for name in names}
    for one in slices:
        by_task[one.task].append(one)
    found = [_with(known[name], by_task[name]) for name in names]
    return Tasks(tasks=found, total=len(known), since_ms=now_ms - WINDOW_MS, now_ms=now_ms)


def task(bridge: Bridge, name: str) -> Tasks:
    """Return one task, with what was done with it in the last hour.

    Raises:
        ConfigError: no live worker announces it, and it is not declared here.
    """
    workers, now_ms = announced(bridge.store), bridge.store.now_ms()
    known = _known(bridge, workers)
    if name not in known:
        raise ConfigError(f"no live worker has a task called {name!r}{nearest(name, known)}")
    begin_ms = (now_ms - HOUR_MS) // SLICE_MS * SLICE_MS
    slices = bridge.store.evidence.read(name, backends_known(bridge, workers), begin_ms, now_ms + 1)
    return Tasks(tasks=[_with(known[name], slices)], total=1, since_ms=begin_ms, now_ms=now_ms)


def did(slices: Sequence[Slice]) -> list[Did]:
    """Return what each backend did, by name."""
    found = []
    for backend in sorted({one.backend for one in slices}):
        counts = Sample.of(one for one in slices if one.backend == backend).all
        found.append(
            Did(
                backend=backend,
                ended=counts.ended,
                failed=counts.failed,
                ran_ms=_spans(counts.ran),
                waited_ms=_spans(counts.waited),
            )
        )
    return found


def _spans(spans: Mapping[int, int]) -> tuple[float, float] | None:
    return (quantile_ms(spans, 0.5), quantile_ms(spans, 0.95)) if count(spans) else None


def _with(view: TaskView, slices: Sequence[Slice]) -> TaskView:
    return replace(view, did=did(slices), slices=slices)


def _known(bridge: Bridge, workers: Sequence[Announcement]) -> dict[str, TaskView]:
    entries = {entry.name: entry for entry in catalogue(bridge.definitions)}
    found: dict[str, dict[str, Any]] = {
        name: {"queue": one.queue, "backends": set(), "workers": 0, "arguments": (), "entry": one}
        for name, one in entries.items()
    }
    for worker in workers:
        for name, arguments in worker.tasks.items():
            task = found.setdefault(name, {"queue": "", "backends": set(), "workers": 0, "arguments": ()})
            task["workers"] += 1
            task["backends"] |= set(worker.backends)
            task["arguments"] = tuple(arguments)
            task["queue"] = task["queue"] or (worker.known[name].queue if name in worker.known else "")
    return {
        name: TaskView(name=name, **{**one, "backends": tuple(sorted(one["backends"]))}) for name, one in found.items()
    }
