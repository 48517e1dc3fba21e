"""Ramps of two simulated sides, judged every ten seconds: ``python -m tests.unit.evidence.ramps 1000`` plays so many.

A hundred tasks a second, steps of 1, 5, 25, 50 and 100 %, each held for a minute at least, and until the verdict is
that the new side is better or equal. The old side's sample is of the same time; at 100 %, where it does nothing any
more, it is all of its ramp. Everything follows from the seed.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import log, log1p
from random import Random

from taskbridge.evidence import Bounds, Sample, Slice, Verdict, judge
from taskbridge.evidence.buckets import bucket_of
from taskbridge.store.evidence import SLICE_MS

STEPS = (1, 5, 25, 50, 100)
PER_SLICE = 1_000
HOLD_MS = 60_000

#: A ramp that has not ended after so long does not.
MOST_MS = 3_600_000

#: How many spans a distribution is made of.
DRAWN = 20_000


@dataclass(frozen=True, kw_only=True)
class Side:
    """What its tasks do: run times and waits are log-normal, by median (ms) and the sigma of their logarithm."""

    fails: float = 0.01
    runs_ms: float = 20.0
    spread: float = 0.5
    waits_ms: float = 3.0
    wait_spread: float = 1.0


EQUAL = Side()
SLOW = replace(EQUAL, runs_ms=3 * EQUAL.runs_ms)
FAILING = replace(EQUAL, fails=0.06)


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """How it ended: ``worse`` if the new side was told so, at this step (%); ``verdict`` is the last one."""

    worse: bool
    step: int
    took_ms: int
    verdict: Verdict


def ramp(seed: int, old: Side, new: Side, bounds: Bounds | None = None) -> Ramp:
    """Play one."""
    random, at_ms, all_old = Random(seed), 0, list[Slice]()
    for step in STEPS:
        begun_ms, olds, news = at_ms, list[Slice](), list[Slice]()
        moved = PER_SLICE * step // 100
        while True:
            news.append(a_slice(random, new, at_ms, moved))
            if step < 100:
                olds.append(a_slice(random, old, at_ms, PER_SLICE - moved))
            at_ms += SLICE_MS
            verdict = judge(Sample.of(olds or all_old), Sample.of(news), bounds or Bounds())
            if verdict.word == "worse" or at_ms > MOST_MS:
                return Ramp(worse=verdict.word == "worse", step=step, took_ms=at_ms, verdict=verdict)
            if at_ms - begun_ms >= HOLD_MS and verdict.word == "better_or_equal":
                break
        all_old += olds
    return Ramp(worse=False, step=100, took_ms=at_ms, verdict=verdict)


def a_slice(random: Random, side: Side, at_ms: int, tasks: int) -> Slice:
    """What a side did with so many tasks in ten seconds."""
    failed = binomial(random, tasks, side.fails)
    return Slice(
        task="book",
        backend="any",
        at_ms=at_ms,
        succeeded=tasks - failed,
        failed=failed,
        ran=spans(random, tasks, side.runs_ms, side.spread),
        waited=spans(random, tasks, side.waits_ms, side.wait_spread),
    )


def spans(random: Random, tasks: int, median_ms: float, spread: float) -> dict[int, int]:
    """How many of the tasks fall into which bucket."""
    left, chance, found = tasks, 1.0, {}
    for bucket, share in shares(median_ms, spread):
        here = left if share >= chance else binomial(random, left, share / chance)
        if here:
            found[bucket] = here
        left, chance = left - here, chance - share
        if not left:
            break
    return found


@lru_cache
def shares(median_ms: float, spread: float) -> tuple[tuple[int, float], ...]:
    """Each bucket of a distribution, and how much of it is there."""
    random = Random(0)
    drawn = Counter(bucket_of(median_ms * random.lognormvariate(0, spread)) for _ in range(DRAWN))
    return tuple((bucket, count / DRAWN) for bucket, count in sorted(drawn.items()))


def binomial(random: Random, trials: int, chance: float) -> int:
    """How many of the trials succeed: by a normal distribution where that is close, else one by one."""
    mean = trials * chance
    if mean > 25 and trials - mean > 25:
        return min(trials, max(0, round(random.gauss(mean, (mean * (1 - chance)) ** 0.5))))
    if chance > 0.5:
        return trials - binomial(random, trials, 1 - chance)
    return sum(1 for _ in successes(random, trials, chance))


def successes(random: Random, trials: int, chance: float) -> Iterator[int]:
    """Which of the trials succeed."""
    n = -1
    while chance > 0:
        n += 1 + int(log(1 - random.random()) / log1p(-chance))
        if n >= trials:
            return
        yield n


def main(count: int) -> None:
    """Play so many of each, and print how they ended."""
    for name, old, new in (
        ("equal", EQUAL, EQUAL),
        ("equal, sigma 2", replace(EQUAL, spread=2.0), replace(EQUAL, spread=2.0)),
        ("equal, 0.1 % fail", replace(EQUAL, fails=0.001), replace(EQUAL, fails=0.001)),
        ("3 times slower", EQUAL, SLOW),
        ("6 % fail, not 1 %", EQUAL, FAILING),
    ):
        played = [ramp(seed, old, new) for seed in range(count)]
        worse = sum(one.worse for one in played)
        took_s = sorted(one.took_ms // 1000 for one in played)
        late = sum(took > 2 * HOLD_MS // 1000 for took in took_s)
        print(
            f"{name:18} worse {worse / count:6.1%}  after s: median {took_s[count // 2]}, p95 "
            f"{took_s[count * 95 // 100]}, longest {took_s[-1]}; later than two holds {late / count:.1%}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
