"""Measure both sides in turn, round by round, and compare their medians."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from rich.progress import Progress

#: What one measurement gives: a figure per row of its case.
Figures = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What taskbridge is to reach: a ratio of at least so much, or a figure of its own below so much."""

    ratio: float | None = None
    below: float | None = None

    def __str__(self) -> str:
        return f"ratio ≥ {self.ratio:.2g}" if self.ratio is not None else f"< {self.below:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. Where ``less_is_better`` the ratio is turned round: above 1 is always better."""

    name: str
    unit: str
    less_is_better: bool = False
    target: Target | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Something both sides do; each measurement of it gives a figure for each of its rows.

    Args:
        rows: what is measured.
        shown: the native configuration as the table shows it.
        native: measures the native engine once.
        taskbridge: measures taskbridge once.
    """

    rows: tuple[Row, ...]
    shown: str
    native: Callable[[], Figures]
    taskbridge: Callable[[], Figures]


@dataclass(frozen=True, slots=True)
class Result:
    """What the rounds gave for one row; round by round, the two stand beside each other."""

    row: Row
    shown: str
    native_rounds: list[float]
    taskbridge_rounds: list[float]

    @property
    def native(self) -> float:
        """The native median."""
        return median(self.native_rounds)

    @property
    def taskbridge(self) -> float:
        """Our median."""
        return median(self.taskbridge_rounds)

    @property
    def ratio(self) -> float:
        """How much better taskbridge is by the medians; below 1 it is worse."""
        return self._ratio(self.native, self.taskbridge)

    @property
    def ratios(self) -> list[float]:
        """The same for each round by itself: far apart, something disturbed them."""
        return [self._ratio(*pair) for pair in zip(self.native_rounds, self.taskbridge_rounds, strict=True)]

    @property
    def passed(self) -> bool | None:
        """Whether the target is reached; None without one."""
        target = self.row.target
        if target is None:
            return None
        return self.ratio >= target.ratio if target.ratio is not None else self.taskbridge < (target.below or 0)

    def _ratio(self, native: float, taskbridge: float) -> float:
        return native / taskbridge if self.row.less_is_better else taskbridge / native


@dataclass(frozen=True, slots=True)
class Run:
    """All results, and how busy the machine was before each round (load average of one minute)."""

    results: list[Result]
    loads: list[float]


def run(cases: Sequence[Case], rounds: int, progress: Progress) -> Run:
    """Measure every case ``rounds`` times: round by round, native and taskbridge in turn."""
    native: list[list[Figures]] = [[] for _ in cases]
    ours: list[list[Figures]] = [[] for _ in cases]
    loads = []
    bar = progress.add_task("", total=rounds * len(cases) * 2)
    for number in range(1, rounds + 1):
        loads.append(os.getloadavg()[0])
        for at, case in enumerate(cases):
            for who, measure, into in (("native", case.native, native), ("taskbridge", case.taskbridge, ours)):
                progress.update(bar, description=f"round {number}: {case.rows[0].name}, {who}")
                into[at].append(measure())
                progress.advance(bar)
    results = [
        Result(row, case.shown, [figures[column] for figures in native[at]], [figures[column] for figures in ours[at]])
        for at, case in enumerate(cases)
        for column, row in enumerate(case.rows)
    ]
    return Run(results, loads)
