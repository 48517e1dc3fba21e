"""The first page: the engines side by side over time, and everything that stands, in short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from ...operations.moments import GAP_MS, Moment, Side, moments
from ...operations.overview import Overview
from ..charts import Line, chart
from ..page import Look, Page
from ..words import rate, short, took
from .sides import kinds
from .standing import standing

#: What the charts show: from so long ago on, milliseconds.
SPANS = {"15min": 900_000, "1h": 3_600_000, "6h": 6 * 3_600_000}

#: How many queues and messages that run are shown; their own pages have the rest.
FEW = 12


def read(look: Look) -> dict[str, Any]:
    """Everything at once, as of now, and the numbers that dashboards took of late."""
    span = look.query.choice("span", tuple(SPANS), "1h")
    seen = standing(look)
    past = moments(look.bridge.store, seen.now_ms, SPANS[span])
    names = sides_of(seen, past)
    busiest = sorted(seen.queues, key=lambda one: (-(one.waiting + one.running + one.kept), one.name))
    return {
        "seen": seen,
        "charts": charts(past, names, seen.now_ms),
        "kinds": kinds(names),
        "now": {name: _now(seen, name) for name in names},
        "span": span,
        "spans": list(SPANS),
        "from_ms": past[0].at_ms if past else 0,
        "queues": busiest[:FEW],
        "more_queues": max(0, len(busiest) - FEW),
        "running": seen.running[:FEW],
    }


def sides_of(seen: Overview, past: Sequence[Moment]) -> list[str]:
    """The backends that there are, or were."""
    now = {place.backend for queue in seen.queues for place in queue.places}
    return sorted({name for name in now if name} | {name for one in past for name in one.numbers.sides})


def charts(past: Sequence[Moment], names: Sequence[str], now_ms: int) -> list[Markup]:
    """Four pictures of the same time, up to now, each side a line."""
    at_ms = [one.at_ms for one in past]

    def drawn(title: str, value: Callable[[Side], float | None], shown: Callable[[float], str]) -> Markup:
        lines = [
            Line(name, kind, [value(side) if (side := one.numbers.sides.get(name)) else None for one in past])
            for name, kind in kinds(names).items()
        ]
        return chart(title, at_ms, lines, shown=shown, gap_ms=GAP_MS, until_ms=now_ms)

    return [
        drawn("Attempts that end, a second", lambda side: side.per_s, short),
        drawn("Waiting in the engine's queues", lambda side: side.waiting, short),
        drawn("Time in queue, p95 of the slowest task", lambda side: side.waited_p95_ms, took),
        drawn("Failed attempts, a second", lambda side: side.failed_per_s, short),
    ]


def _now(seen: Overview, name: str) -> dict[str, str]:
    """One side as it is now, in words."""
    places = [place for queue in seen.queues for place in queue.places if place.backend == name]
    known = [place.waiting for place in places if place.waiting is not None]
    rates = [one for one in seen.throughput.rates if one.backend == name]
    gathering = seen.throughput.state == "gathering"
    return {
        "throughput": rate(None if gathering else sum(one.per_s for one in rates)),
        "failed": rate(None if gathering else sum(one.failed_per_s for one in rates)),
        "waiting": short(sum(known) if known else None),
        "running": short(sum(place.running for place in places)),
        "processes": short(sum(one.processes for one in seen.workers if name in one.backends)),
    }


PAGE = Page(name="overview", path="/", title="Overview", template="overview.html", read=read)
