"""One bank workload on Celery and then on Dramatiq, side by side: ``python -m examples.fintech.demo``.

Ends with 0 only if on every engine nothing was lost, nothing was done twice, and every account is right to the cent.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from taskbridge import Settings
from taskbridge.errors import ConfigError

from . import database, generate, metrics, report
from .brokers import Servers, find
from .database import NoDatabase
from .groups import GROUPS
from .moving import NEW, OLD, Mover
from .plain import expect
from .process import ROOT, ProcessFailed
from .rows import POISON, NotAnExport, check_header
from .run import Result, Workload, run
from .server import NoServer
from .watch import STAGES, totals


@click.command()
@click.option(
    "--transactions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An export of bank transactions; without it one is generated.",
)
@click.option(
    "--backends",
    default="celery,dramatiq",
    show_default=True,
    callback=lambda _context, _option, value: _engines(value),
    help="Which engines, in this order.",
)
@click.option("--broker", type=click.Choice(["redis", "sqs", "rabbitmq"]), default="redis", show_default=True)
@click.option(
    "--processes", default=2, show_default=True, type=click.IntRange(len(GROUPS)), help="Of each worker, in two groups."
)
@click.option("--rows", type=click.IntRange(1), help=f"Only so many; generated are {generate.ROWS:,}.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=ROOT / "build" / "demo.json",
    show_default="build/demo.json",
    help="Where the table goes as JSON.",
)
@click.option("--metrics", "with_metrics", is_flag=True, help="Serve metrics meanwhile, and compare what they say.")
@click.option("--migrate", is_flag=True, help="One run, on both engines, moved from the first to the second meanwhile.")
@click.option("--keep", is_flag=True, help="Leave databases and logs, and say where.")
def main(
    transactions: Path | None,
    backends: list[str],
    broker: str,
    processes: int,
    rows: int | None,
    output: Path,
    with_metrics: bool,
    migrate: bool,
    keep: bool,
) -> None:
    """Import bank transactions on each engine in turn, then compare every account with a plain loop over the file."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = Console(highlight=False, soft_wrap=True)
    try:
        with _folder(console, keep=keep) as folder, find(broker) as servers:
            file = _prepare(folder, transactions, rows)
            workload = Workload(
                file=file,
                expected=expect(file),
                folder=folder,
                processes=processes,
                database_url=os.environ.get(database.VARIABLE, database.DEFAULT_URL),
                keep=keep,
                metrics=with_metrics,
            )
            _introduce(console, workload, servers, transactions)
            if migrate:
                results = [_run_moved(console, workload, servers)]
            else:
                results = [_run_shown(console, name, workload, servers) for name in backends]
    except (NoServer, ProcessFailed, NotAnExport, NoDatabase) as error:
        raise click.ClickException(str(error)) from None
    report.show(console, results)
    report.save(output, results, broker)
    same = _compared(console, results) if with_metrics else True
    sys.exit(_conclude(console, results, same=same))


def _engines(words: str) -> list[str]:
    names = [word.strip() for word in words.split(",") if word.strip()]
    for name in names:
        try:
            Settings(backend=name)
        except ConfigError as error:
            raise click.BadParameter(str(error)) from None
    return names


def _run_shown(console: Console, backend: str, workload: Workload, servers: Servers) -> Result:
    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console.rule(backend)
    with Progress(*columns, console=console) as progress:
        bars = [
            progress.add_task(stage, total=total)
            for stage, total in zip(STAGES, totals(workload.expected), strict=True)
        ]

        def show(counts: tuple[int, ...]) -> None:
            for bar, count in zip(bars, counts, strict=True):
                progress.update(bar, completed=count)

        return run(backend, workload, servers, show)


def _run_moved(console: Console, workload: Workload, servers: Servers) -> Result:
    """Run it once, on both engines, while its share moves there and back; each must have run some of it."""
    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console.rule(f"{OLD} to {NEW}")
    ran: dict[str, int] = {}
    with Progress(*columns, console=console) as progress:
        stages = [
            progress.add_task(stage, total=total)
            for stage, total in zip(STAGES, totals(workload.expected), strict=True)
        ]
        sides = {name: progress.add_task(f"run on {name}", total=None) for name in (OLD, NEW)}
        shared = progress.add_task(f"% to {NEW}", total=100)

        def show(counts: tuple[int, ...], now: Mapping[str, int], share: float) -> None:
            ran.update(now)
            for bar, count in zip(stages, counts, strict=True):
                progress.update(bar, completed=count)
            for name, bar in sides.items():
                progress.update(bar, completed=now[name])
            progress.update(shared, completed=share)

        def mover(environment: Mapping[str, str], measures: Path) -> Mover:
            return Mover(environment, measures, len(workload.expected.booked), show, progress.console.print)

        moved = replace(workload, mover=mover)
        result = run(OLD, moved, servers, lambda counts: None)
    console.print(f"{OLD} has run {ran[OLD]:,}, {NEW} {ran[NEW]:,}")
    if not all(ran.values()):
        raise ProcessFailed(f"expected both engines to run some of it, got {ran}")
    return replace(result, backend="both")


def _prepare(folder: Path, transactions: Path | None, rows: int | None) -> Path:
    """Write the file that every engine and the plain loop read; it ends in, or holds, one poison row."""
    file = folder / "transactions.csv"
    if transactions is None:
        generate.write(file, rows or generate.ROWS)
        return file
    check_header(transactions)
    with transactions.open("rb") as source, file.open("wb") as target:
        last = b"\n"
        for last in islice(source, rows + 1 if rows else None):
            target.write(last)
        target.write((b"" if last.endswith(b"\n") else b"\n") + POISON.encode() + b"\n")
    return file


def _introduce(console: Console, workload: Workload, servers: Servers, transactions: Path | None) -> None:
    where = "SQLite" if workload.database_url.startswith("sqlite:") else "PostgreSQL"
    must = workload.expected
    console.print(f"{servers.origin}. Database: {where}. Worker processes: {workload.processes}.")
    console.print(
        f"{'Your file' if transactions else 'A generated file'} of {len(must.booked):,} transactions on"
        f" {len(must.accounts):,} accounts, and {len(must.refused)} poison row.",
    )


def _compared(console: Console, results: list[Result]) -> bool:
    """Show what each engine has told Prometheus; whether it was the same names and labels."""
    told = {result.backend: result.told for result in results if result.told}
    metrics.show(console, told)
    found = list(metrics.differences(told))
    for line in found:
        console.print(line, style="red", markup=False)
    return not found


def _conclude(console: Console, results: list[Result], *, same: bool) -> int:
    if same and all(result.good for result in results):
        console.print("Nothing lost, nothing done twice; every account is exact to the cent.", style="green")
        return 0
    console.print("This must not be: see above.", style="bold red")
    return 1


@contextmanager
def _folder(console: Console, *, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="taskbridge-demo-"))
    try:
        yield folder
    finally:
        if keep:
            console.print(f"Databases, receipts and logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
