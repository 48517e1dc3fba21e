"""The plots of the page, as SVG to be laid into it: texts are texts, colours are the page's, so they follow its theme.

Matplotlib knows no theme: it draws in marks, colours that stand for one, and these are replaced at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from itertools import pairwise
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, PercentFormatter

from .measures import Run
from .report import Report, shown

#: Inches, at 72 points each: as wide as a phone, so that letters keep their size there.
WIDTH, HEIGHT = 4.4, 2.8

#: How much higher a plot with bars is for each of its bars.
BAR_HEIGHT = 0.5

#: How many colours the page has for sides; more than that share them.
COLOURS = 6

_INK, _FAINT, _GRID = "#010101", "#010102", "#010103"
_SIDES = [f"#0102{number:02x}" for number in range(COLOURS)]
_VARIABLES = {_INK: "ink", _FAINT: "faint", _GRID: "grid"} | {mark: f"side-{n}" for n, mark in enumerate(_SIDES)}

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "taskbridge",
    "font.size": 9.5,
    "text.color": _INK,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _FAINT,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "lines.solid_capstyle": "round",
}


def plots_of(report: Report) -> dict[str, str]:
    """Return the plots by name."""
    drawn: dict[str, Callable[[Figure], None]] = {
        "throughput": lambda figure: _rounds(figure.subplots(), report),
        "ends": lambda figure: _ends(figure.subplots(), report),
        "queue": lambda figure: _distribution(figure.subplots(), report, "queue"),
        "run": lambda figure: _distribution(figure.subplots(), report, "run"),
        "end": lambda figure: _distribution(figure.subplots(), report, "end"),
    }
    if report.measured:
        drawn["cost"] = lambda figure: _cost(figure, report)
    return {name: _svg(name, draw) for name, draw in drawn.items()}


def _svg(name: str, draw: Callable[[Figure], None]) -> str:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        draw(figure)
        out = StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _laid_in(name, out.getvalue())


def _laid_in(name: str, svg: str) -> str:
    """Return an SVG as a part of a page: its ids its own, its colours the page's, and as wide as its place."""
    svg = re.sub(r"\A.*?(?=<svg)", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    for mark, variable in _VARIABLES.items():
        svg = svg.replace(mark, f"var(--{variable})")
    return re.sub(r"\n\s*", "\n", svg)


def _rounds(axes: Axes, report: Report) -> None:
    for colour, runs in _by_side(report):
        axes.plot([run.round for run in runs], [run.values["throughput"] or 0 for run in runs], "o-", color=colour)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0.6, report.rounds + 0.4)
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value)))
    axes.grid(axis="y")


def _ends(axes: Axes, report: Report) -> None:
    for colour, runs in _by_side(report):
        for run in runs:
            ends = run.curves["ends"]
            axes.plot([0, *ends], [share / len(ends) for share in range(len(ends) + 1)], color=colour, lw=1.4)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("seconds since the first message")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(axis="y")


def _distribution(axes: Axes, report: Report, name: str) -> None:
    every = [value for run in report.runs for value in run.curves[name] if value > 0]
    least, most = min(every, default=1.0), max(every, default=1.0)
    for colour, runs in _by_side(report):
        for run in runs:
            values = [max(value, least) for value in run.curves[name]]
            shares = [share / len(values) for share in range(1, len(values) + 1)]
            axes.step(values, shares, where="post", color=colour, lw=1.4)
    axes.set_xscale("log")
    axes.set_xlim(least / 1.2, most * 1.2)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if most / least > 1_000 else (1.0, 2.0, 5.0), numticks=9))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: span(value)))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 0.95])
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(axis="y")


def _cost(figure: Figure, report: Report) -> None:
    figure.set_size_inches(WIDTH, max(HEIGHT, 2 * len(report.sides) * BAR_HEIGHT + 0.8))
    cpu, memory = figure.subplots(2)
    _bars(cpu, report, "cpu_s", "processor seconds for 1,000 tasks")
    _bars(memory, report, "peak_mb", "MiB at most, all processes of the worker")


def _bars(axes: Axes, report: Report, key: str, label: str) -> None:
    for place, (colour, runs) in enumerate(_by_side(report)):
        name, figure = report.names[place], report.figures[report.names[place]][key]
        middle = figure.middle or 0
        axes.barh(-place, middle, height=0.3, color=colour, alpha=0.85)
        axes.plot([run.values[key] or 0 for run in runs], [-place] * len(runs), "o", color=_INK, ms=2.8, alpha=0.8)
        axes.text(0, 0.2 - place, name, va="bottom", ha="left", color=_INK)
        axes.text(1, 0.2 - place, shown(middle), va="bottom", ha="right", transform=axes.get_yaxis_transform())
    axes.set_ylim(-len(report.sides) + 0.75, 0.75)
    axes.set_xlim(left=0)
    axes.set_yticks([])
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="x")


def _by_side(report: Report) -> Iterable[tuple[str, list[Run]]]:
    return [(_SIDES[place % COLOURS], report.of(name)) for place, name in enumerate(report.names)]


def span(ms: float) -> str:
    """Return so many milliseconds in the unit that suits them."""
    units: Sequence[tuple[float, str]] = ((1e-3, "µs"), (1, "ms"), (1e3, "s"), (float("inf"), ""))
    for (unit, name), (above, _) in pairwise(units):
        if ms < above:
            return f"{ms / unit:g} {name}"
    return f"{ms:g} ms"
