"""One task: how it is declared, and what each engine did with it over an hour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from ...evidence.buckets import count, quantile_ms
from ...evidence.sample import Counts, Sample
from ...operations.pace import ATTEND_MS, TOLD_MS
from ...operations.tasks import Tasks, task
from ...store.evidence import SLICE_MS, Slice
from ..charts import Line, chart
from ..page import Look, Page
from ..words import short, took
from .sides import kinds

#: How many slices are one point: half a minute.
TOGETHER = 3


def read(look: Look) -> dict[str, Any]:
    """The task, watched a while longer, and four pictures of its last hour."""
    found = task(look.bridge, look.query.text("name"))
    (one,) = found.tasks
    look.bridge.store.evidence.attend([one.name], ATTEND_MS)
    names = sorted({*one.backends, *(side.backend for side in one.did)})
    colours = kinds([*look.bridge.settings.backend_names, *names])
    return {"task": one, "kinds": colours, "charts": charts(found, {name: colours[name] for name in names})}


def charts(found: Tasks, colours: dict[str, str]) -> list[Markup]:
    """What each side did, half a minute a point; where a side did nothing its line is not there.

    A half of half a minute would look like half as much: the first point is the first that was watched as a whole, and
    the last is the last that all processes have told of.
    """
    (one,) = found.tasks
    if not one.slices:
        return []
    step_ms = TOGETHER * SLICE_MS
    first_ms = min(part.at_ms for part in one.slices) // step_ms * step_ms + step_ms
    at_ms = list(range(first_ms, (found.now_ms - TOLD_MS) // step_ms * step_ms, step_ms))

    def drawn(title: str, value: Callable[[Counts], float | None], shown: Callable[[float], str]) -> Markup:
        lines = [
            Line(name, kind, [value(counts) if counts else None for counts in _over(one.slices, name, at_ms, step_ms)])
            for name, kind in colours.items()
        ]
        return chart(title, at_ms, lines, shown=shown, gap_ms=2 * step_ms)

    return [
        drawn("Attempts that end, a second", lambda counts: counts.ended / (step_ms / 1000), short),
        drawn("Failed attempts, a second", lambda counts: counts.failed / (step_ms / 1000), short),
        drawn("Run time, p95", lambda counts: quantile_ms(counts.ran, 0.95) if count(counts.ran) else None, took),
        drawn("Time in queue, p95", lambda c: quantile_ms(c.waited, 0.95) if count(c.waited) else None, took),
    ]


def _over(slices: Sequence[Slice], backend: str, at_ms: Sequence[int], step_ms: int) -> list[Counts | None]:
    by_step: dict[int, list[Slice]] = {}
    for one in slices:
        if one.backend == backend:
            by_step.setdefault(one.at_ms // step_ms * step_ms, []).append(one)
    return [Sample.of(by_step[at]).all if at in by_step else None for at in at_ms]


PAGE = Page(
    name="task", path="/task", title="Task", template="task.html", read=read, menu=False, within="tasks", of="name"
)
