"""A report as one page that needs nothing else: no network, no script, no font. In light and dark, also on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .measures import MEASURES, Figure, Measure, Run
from .report import Report, cells, shown

try:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from .plots import COLOURS, plots_of
except ModuleNotFoundError as missing:
    raise ConfigError(f"a page needs the package {missing.name!r}: pip install 'taskbridge[compare]'") from missing

TEMPLATE = Path(__file__).with_name("page.html")

#: What each plot shows.
PLOTS = {
    "throughput": ("Throughput", "Tasks a second, round by round."),
    "ends": ("Progress", "How much had ended when; a line is a run. A level stretch is a stall."),
    "queue": ("In queue", "So many messages had begun after so long; a line is a run. Further left is better."),
    "run": ("Run time", "So many attempts were over after so long."),
    "end": ("End to end", "So many messages had ended so long after they were due."),
    "cost": ("Processor and memory", "Medians; a dot is a run. Shorter is better."),
}

#: What is told in large letters.
HEADLINES = ("throughput", "queue_p95_ms", "run_p95_ms", "cpu_s", "peak_mb")


def page_of(report: Report) -> str:
    """Return the page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(
        report=report,
        measures=MEASURES,
        legend=lambda: _legend(report),
        tasks=sum(int(run.values["tasks"] or 0) for run in report.runs),
        headlines=[_headline(report, name) for name in report.names[1:]],
        plots=[_plot(name, svg) for name, svg in plots_of(report).items()],
        rows=[_row(report, measure) for measure in MEASURES],
        runs=[_run(run) for run in report.runs],
    )


def _legend(report: Report) -> Markup:
    chip = Markup('<li class="chip" style="--colour: var(--side-{})">{}</li>')
    chips = (chip.format(place % COLOURS, name) for place, name in enumerate(report.names))
    return Markup('<ul class="chips">{}</ul>').format(Markup("").join(chips))


def _plot(name: str, svg: str) -> dict[str, Any]:
    title, told = PLOTS[name]
    labelled = svg.replace("<svg", Markup('<svg role="img" aria-label="{}: {}"').format(title, told), 1)
    return {"title": title, "told": told, "svg": Markup(labelled)}  # noqa: S704  # ours, but for names, which are text in it


def _headline(report: Report, name: str) -> dict[str, Any]:
    cards = []
    for measure in (one for one in MEASURES if one.key in HEADLINES):
        here, there = report.figures[name][measure.key], report.figures[report.names[0]][measure.key]
        if here.ratio is None or here.middle is None or there.middle is None:
            continue
        told = f"{shown(here.middle)} against {shown(there.middle)} {measure.unit}"
        alike = "" if here.apart else "; within the spread"
        cards.append(
            {"what": measure.name, "ratio": f"{'' if here.apart else '~'}{here.ratio:.2f}", "told": told + alike}
        )
    return {"name": name, "cards": cards}


def _row(report: Report, measure: Measure) -> dict[str, Any]:
    found = []
    for name in report.names:
        figure = report.figures[name][measure.key]
        middle, spread, ratio = cells(measure, figure)
        found.append({"middle": middle, "spread": spread, "ratio": ratio, "verdict": _verdict(measure, figure)})
    return {"name": measure.name, "unit": measure.unit, "cells": found}


def _verdict(measure: Measure, figure: Figure) -> str:
    if figure.ratio is None or not figure.apart or not measure.better:
        return ""
    return "better" if (figure.ratio > 1) == (measure.better == "more") else "worse"


def _run(run: Run) -> dict[str, Any]:
    values = [run.values[measure.key] for measure in MEASURES]
    told = ["-" if value is None else shown(value) for value in values]
    return {"round": run.round, "side": run.side, "load": f"{run.load:.1f}", "cells": told}
