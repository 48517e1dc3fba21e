"""What is measured of each run, and what several runs of a side come to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Literal

from .records import DEAD, RETRIED
from .tally import Tally

#: How many points a distribution is kept by.
POINTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One line of the table. ``better`` says which way; of faults all rounds are added up, for one is too many."""

    key: str
    name: str
    unit: str = ""
    better: Literal["more", "less", ""] = "less"
    fault: bool = False


MEASURES = (
    Measure(key="throughput", name="throughput", unit="tasks/s", better="more"),
    Measure(key="queue_p50_ms", name="in queue, p50", unit="ms"),
    Measure(key="queue_p95_ms", name="in queue, p95", unit="ms"),
    Measure(key="run_p50_ms", name="run time, p50", unit="ms"),
    Measure(key="run_p95_ms", name="run time, p95", unit="ms"),
    Measure(key="end_p50_ms", name="end to end, p50", unit="ms"),
    Measure(key="end_p95_ms", name="end to end, p95", unit="ms"),
    Measure(key="cpu_s", name="CPU", unit="s/1,000 tasks"),
    Measure(key="peak_mb", name="memory, peak", unit="MiB"),
    Measure(key="grown_mb", name="memory, growth", unit="MiB/1,000 tasks"),
    Measure(key="tasks", name="tasks", better=""),
    Measure(key="retries", name="retries", better=""),
    Measure(key="dead", name="dead", better=""),
    Measure(key="lost", name="lost", fault=True),
    Measure(key="twice", name="done twice", fault=True),
)

#: By measure; None where the machine does not tell.
Values = Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a side. ``curves`` are distributions (ms) and, as ``ends``, when which share had ended (s).

    ``load`` is the machine's load average before it, ``calls`` what the workload says that it has enqueued.
    """

    side: str
    round: int
    load: float
    calls: int
    values: Values
    curves: Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one measure comes to over the rounds of a side; ``ratio`` is to the first side.

    ``apart`` says that no round of the one lies among those of the other: the difference is more than their spread.
    """

    middle: float | None
    low: float | None
    high: float | None
    ratio: float | None = None
    apart: bool = False


def values_of(tally: Tally, *, lost: int, cpu_s: float | None, peak_mb: float, grown_mb: float | None) -> Values:
    """Return what a run comes to.

    Args:
        tally: what its processes have seen.
        lost: how many messages have come to no end.
        cpu_s: what its worker has used.
        peak_mb: what it held at most.
        grown_mb: how much more it held at the end.
    """
    ended, ends_s = tally.ended, tally.ends_s
    thousands = ended / 1000 or 1
    spans = {"queue": tally.queue_ms, "run": tally.run_ms, "end": tally.end_to_end_ms}
    told = grown_mb is not None
    values: dict[str, float | None] = {
        "throughput": ended / ends_s[-1] if ends_s and ends_s[-1] > 0 else 0.0,
        **{f"{name}_p{part}_ms": percentile(sorted(spans[name]), part) for name in spans for part in (50, 95)},
        "cpu_s": cpu_s / thousands if cpu_s is not None else None,
        "peak_mb": peak_mb if told else None,
        "grown_mb": grown_mb / thousands if grown_mb is not None else None,
    }
    counts = {"tasks": ended, "retries": tally.kinds[RETRIED], "dead": tally.kinds[DEAD]}
    counts |= {"lost": lost, "twice": tally.again}
    return {key: value and float(f"{value:.5g}") for key, value in values.items()} | counts


def curves_of(tally: Tally) -> Mapping[str, Sequence[float]]:
    """Return how waits and runs are distributed, and when which share had ended."""
    spans = {"queue": tally.queue_ms, "run": tally.run_ms, "end": tally.end_to_end_ms, "ends": tally.ends_s}
    return {name: thinned(sorted(values)) for name, values in spans.items()}


def percentile(ordered: Sequence[float], part: float) -> float:
    """Return the value that so many percent do not exceed: one that was seen; 0 of nothing."""
    return ordered[max(0, ceil(len(ordered) * part / 100) - 1)] if ordered else 0.0


def thinned(ordered: Sequence[float]) -> list[float]:
    """Return at most ``POINTS`` values that stand for all, each for as many."""
    if len(ordered) <= POINTS:
        return list(ordered)
    return [percentile(ordered, 100 * number / POINTS) for number in range(1, POINTS + 1)]


def figures_of(runs: Sequence[Run], sides: Sequence[str]) -> dict[str, dict[str, Figure]]:
    """Return what each measure comes to, by side and measure; the first side is what others are compared with."""
    of = {side: [run for run in runs if run.side == side] for side in sides}
    return {
        side: {one.key: _figure(one, _rounds(one.key, of[side]), _rounds(one.key, of[sides[0]])) for one in MEASURES}
        for side in sides
    }


def _rounds(key: str, runs: Sequence[Run]) -> list[float]:
    return [value for run in runs if (value := run.values[key]) is not None]


def _figure(measure: Measure, rounds: list[float], first: list[float]) -> Figure:
    if not rounds:
        return Figure(middle=None, low=None, high=None)
    middle = sum(rounds) if measure.fault else median(rounds)
    base = median(first)
    return Figure(
        middle=middle,
        low=min(rounds),
        high=max(rounds),
        ratio=middle / base if measure.better and not measure.fault and base > 0 and middle > 0 else None,
        apart=len(rounds) > 1 and (min(rounds) > max(first) or max(rounds) < min(first)),
    )
