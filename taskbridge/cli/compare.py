"""``taskbridge compare``: one workload on several backends, measured."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ..clock import SystemClock
from ..config import MAX_PROCESSES
from ..errors import ConfigError
from ..redis.url import redacted
from .common import as_json, in_directory, words
from .screen import say, say_json, table

if TYPE_CHECKING:
    from ..comparison.measures import Run
    from ..comparison.play import Plan
    from ..comparison.report import Report
    from ..comparison.sides import Side

EXAMPLES = """\b
Examples:
  taskbridge compare app.load:workload --backends celery+redis,dramatiq+redis
  taskbridge compare app.load:workload --backends dramatiq+redis,dramatiq+sqs --sqs sqs:// --rounds 5
  taskbridge compare app.load:workload --backends celery,dramatiq --html compare.html
  taskbridge compare app.load:workload --backends celery,celery      # how far apart equal sides are
"""

#: A run that takes longer has come to nothing, seconds.
TIMEOUT_S = 600.0


def _brokers(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give it an option for the URL of each kind of broker."""
    from ..comparison.sides import KINDS

    for kind in reversed(KINDS):
        said = f"Where {kind} is, such as {KINDS[kind]}. Defaults to TASKBRIDGE_BROKER_URL where that is one."
        command = click.option(f"--{kind}", default="", metavar="URL", help=said)(command)
    return command


@click.command(epilog=EXAMPLES)
@click.argument("workload", metavar="MODULE:WORKLOAD")
@click.option("--backends", required=True, callback=words, help="Comma-separated ENGINE+BROKER; the first is the base.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often each side runs.")
@click.option("--processes", type=click.IntRange(1, MAX_PROCESSES), help="Of each worker. Defaults to the cores.")
@click.option(
    "--module", "modules", multiple=True, metavar="MODULE[:BRIDGE]", help="Has the tasks, if WORKLOAD's has not."
)
@_brokers
@click.option("--store", default="", metavar="URL", help="The Redis of the store. Defaults to TASKBRIDGE_STORE_URL.")
@click.option("--namespace", default="", help="Front of the names of keys and queues. Defaults to one that is new.")
@click.option("--timeout", default=TIMEOUT_S, show_default=True, type=click.FloatRange(1), help="Of one run, seconds.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page that one can send.")
@in_directory
@as_json
def compare(
    workload: str,
    backends: list[str],
    rounds: int,
    processes: int | None,
    modules: tuple[str, ...],
    store: str,
    namespace: str,
    timeout: float,
    html: Path | None,
    chdir: str,
    json: bool,
    **brokers: str,
) -> None:
    """Run a workload on each of several backends in turn, without live traffic, and compare what that costs.

    WORKLOAD is a function that takes a Bridge, enqueues, and returns how many calls; a generator enqueues as it goes,
    and each item it yields counts as one. Each run has a namespace, queues and a `taskbridge worker` of its own;
    nothing of them is left at the end.
    """
    from ..comparison.play import Plan
    from ..comparison.producer import Order
    from ..comparison.rounds import namespace as new_namespace
    from ..comparison.sides import sides_of
    from ..config import load

    if html is not None:
        _check_page(html)
    settings = load(here=Path(chdir))
    sides = sides_of(backends, {kind: url for kind, url in brokers.items() if url}, store, settings)
    module, function = _named(workload)
    order = Order(module=module, function=function, modules=_modules(module, modules), directory=os.path.abspath(chdir))
    plan = Plan(order=order, processes=processes or os.cpu_count() or 2, timeout_s=timeout, settings=settings)
    began_ms = SystemClock().now_ms()
    with _ended_once():
        runs = _play(plan, sides, rounds, namespace or new_namespace())
    report = _report(workload, plan, sides, runs, began_ms)
    if html is not None:
        _write_page(report, html)
    say_json(report.as_json()) if json else _show(report)
    sys.exit(1 if report.faults else 0)


def _named(workload: str) -> tuple[str, str]:
    module, _, function = workload.partition(":")
    if not (module and function):
        raise click.BadParameter(f"expected MODULE:WORKLOAD such as app.load:workload, got {workload!r}")
    return module, function


def _modules(module: str, more: Sequence[str]) -> list[str]:
    """Those of the tasks, and the workload's own, which may be one of them."""
    return [*more] if module in {name.partition(":")[0] for name in more} else [*more, module]


def _play(plan: Plan, sides: Sequence[Side], number: int, name: str) -> list[Run]:
    """Play all rounds, with bars where somebody sees them."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ..comparison.rounds import rounds

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True, refresh_per_second=2
    ) as progress:
        whole = progress.add_task("runs", total=number * len(sides))
        messages = progress.add_task("", total=None)

        def begin(round: int, side: Side) -> Callable[[int, int], None]:
            progress.update(whole, completed=(round - 1) * len(sides) + sides.index(side))
            progress.reset(messages, description=f"round {round}, {side.name}", total=None)
            return lambda ended, seen: progress.update(messages, completed=ended, total=seen or None)

        return rounds(plan, sides, number, name, begin)


@contextmanager
def _ended_once() -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end it, and no other break off what is cleaned up then."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(_signal: int, _frame: FrameType | None) -> None:
        for one in signals:
            signal.signal(one, signal.SIG_IGN)
        say("ending: processes, keys and queues of the comparison are being removed", error=True)
        raise KeyboardInterrupt

    before = {one: signal.signal(one, end) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _report(workload: str, plan: Plan, sides: Sequence[Side], runs: Sequence[Run], began_ms: int) -> Report:
    from ..comparison.machine import machine
    from ..comparison.report import Report

    began = datetime.fromtimestamp(began_ms / 1000, UTC).astimezone()
    return Report(
        workload=workload,
        sides=sides,
        runs=runs,
        processes=plan.processes,
        machine=machine(),
        began=f"{began:%Y-%m-%d %H:%M %Z}",
        command=redacted(shlex.join(["taskbridge", *sys.argv[1:]])),
    )


def _show(report: Report) -> None:
    from ..comparison.measures import MEASURES
    from ..comparison.report import cells

    first, *others = report.names
    columns = ["", first, "of rounds", *(column for name in others for column in (name, "of rounds", "ratio"))]
    rows = []
    for measure in MEASURES:
        row = [f"{measure.name}{measure.unit and f', {measure.unit}'}"]
        for name in report.names:
            row += cells(measure, report.figures[name][measure.key])[: 2 if name == first else 3]
        rows.append(row)
    table(columns, rows, numbers=columns[1:])
    say(
        f"rounds: {report.rounds}, worker processes: {report.processes}; medians, and the ratio to {first}:"
        " one marked ~ lies within the spread of the rounds"
    )
    for remark in [*report.remarks, *report.faults]:
        say(remark)


def _check_page(path: Path) -> None:
    """Refuse before minutes have gone by what could not be written at their end."""
    from ..comparison import page  # noqa: F401  # says what is missing

    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--html: there is no folder {str(path.absolute().parent)!r}")


def _write_page(report: Report, path: Path) -> None:
    from ..comparison.page import page_of

    path.write_text(page_of(report), "utf-8")
    say(f"{path} is written", error=True)
