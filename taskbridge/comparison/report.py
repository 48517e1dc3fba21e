"""A comparison when it is over: what was compared, where, how, and what it came to; as rows for a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from .family import MISSING
from .measures import MEASURES, Figure, Measure, Run, figures_of
from .sides import Side


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that a reader is told. ``command`` repeats it; it holds no password. ``began`` is local time."""

    workload: str
    sides: Sequence[Side]
    runs: Sequence[Run]
    processes: int
    machine: Mapping[str, str]
    began: str
    command: str

    @cached_property
    def figures(self) -> Mapping[str, Mapping[str, Figure]]:
        """By side and measure."""
        return figures_of(self.runs, self.names)

    @property
    def names(self) -> list[str]:
        """Of the sides, in the order they were asked for."""
        return [side.name for side in self.sides]

    @property
    def rounds(self) -> int:
        return max(run.round for run in self.runs)

    @property
    def measured(self) -> bool:
        """Whether the machine tells what processes use."""
        return all(run.values["cpu_s"] is not None for run in self.runs)

    @property
    def faults(self) -> list[str]:
        """What must not be, by side."""
        found = []
        for name in self.names:
            for one in MEASURES:
                figure = self.figures[name][one.key]
                if one.fault and figure.middle:
                    found.append(f"{name}: {figure.middle:,.0f} {one.name}")
        return found

    @property
    def remarks(self) -> list[str]:
        """What a reader must know of the figures."""
        alone = ["one round says nothing of how far figures stray: take three or more"] if self.rounds == 1 else []
        return [*alone, *([MISSING] if MISSING else [])]

    def of(self, name: str) -> list[Run]:
        """Return the runs of a side."""
        return [run for run in self.runs if run.side == name]

    def as_json(self) -> dict[str, Any]:
        """Return all of it for other programs."""
        return {
            "workload": self.workload,
            "began": self.began,
            "command": self.command,
            "processes": self.processes,
            "rounds": self.rounds,
            "machine": dict(self.machine),
            "sides": [
                {
                    "name": side.name,
                    "engine": side.engine,
                    "broker": side.broker,
                    "figures": {key: asdict(figure) for key, figure in self.figures[side.name].items()},
                    "runs": [
                        {"round": run.round, "load": run.load, "calls": run.calls, **run.values}
                        for run in self.of(side.name)
                    ],
                }
                for side in self.sides
            ],
        }


def cells(measure: Measure, figure: Figure) -> tuple[str, str, str]:
    """Return a figure for people: its middle, its spread, and its ratio to the first side.

    A ratio within the spread of the rounds is marked by ``~``: it may as well be 1.
    """
    if figure.middle is None or figure.low is None or figure.high is None:
        return ("-", "", "")
    spread = "" if measure.fault or figure.low == figure.high else f"{shown(figure.low)} to {shown(figure.high)}"
    mark = "" if figure.apart else "~"
    return (shown(figure.middle), spread, f"{mark}{figure.ratio:.2f}" if figure.ratio is not None else "")


def shown(value: float) -> str:
    """Return a number in three digits, in all of them above a hundred."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
