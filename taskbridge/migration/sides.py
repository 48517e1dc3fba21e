"""Look at both sides of a migration: what they did with its tasks in the same time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ..evidence.judge import Bounds, judge
from ..evidence.sample import Sample
from ..routes.checks import Landscape
from ..store import Store
from ..store.evidence import SLICE_MS, Slice
from .book import Evidence, Migration

#: How far back a migration is looked at whose share stands, milliseconds: 5 min.
WINDOW_MS = 300_000

#: How far back a step is looked at that has held for long: what was long ago says little of now. 10 min.
LONGEST_MS = 600_000


def since(migration: Migration, now_ms: int) -> int:
    """Return from when on both sides are looked at: since the ramp's step began, or the last minutes."""
    if migration.state == "ramping" and migration.ramp is not None and migration.ramp.at >= 0:
        begins_ms = -(-migration.ramp.since_ms // SLICE_MS) * SLICE_MS  # the slice it fell into is of both shares
        return max(begins_ms, now_ms - LONGEST_MS)
    return now_ms - WINDOW_MS


def evidence_of(
    store: Store, migration: Migration, tasks: Collection[str], landscape: Landscape, now_ms: int
) -> Evidence:
    """Return what both sides did with these tasks, judged by the ramp's bounds.

    Of a step, what the old side did in the minutes before it is taken along: it carried more then, and the new side may
    wait as long as that did.
    """
    since_ms = since(migration, now_ms)
    old_names, new_names = map(landscape.names_of, (migration.origin, migration.target))
    both = _read(store, tasks, [*old_names, *new_names], since_ms, now_ms)
    before: list[Slice] = []
    if migration.state == "ramping":
        before = _read(store, tasks, old_names, since_ms - LONGEST_MS, since_ms)
    verdict = judge(
        Sample.of(one for one in both if one.backend not in new_names),
        Sample.of(one for one in both if one.backend in new_names),
        migration.ramp.bounds if migration.ramp else Bounds(),
        before=Sample.of(before),
    )
    return Evidence(since_ms=since_ms, until_ms=now_ms, verdict=verdict)


def _read(store: Store, tasks: Iterable[str], backends: Sequence[str], since_ms: int, until_ms: int) -> list[Slice]:
    return [one for task in tasks for one in store.evidence.read(task, backends, since_ms, until_ms)]
