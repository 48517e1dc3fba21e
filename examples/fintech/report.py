"""Show the runs side by side: a table for people, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .measure import percentile
from .run import Result

#: Two lines each, so that the table fits into 80 columns.
HEADINGS = (
    *("engine", "tasks", "time\ns", "tasks\n/s", "in queue s\np50/p95", "run ms\np50/p95"),
    *("retries", "dead", "lost", "done\ntwice", "peak\nMiB"),
)


def show(console: Console, results: Sequence[Result]) -> None:
    """Print a row per engine, and whatever is wrong."""
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "engine" else "right", no_wrap=True)
    for r in results:
        table.add_row(
            *(r.backend, f"{r.tasks:,}", f"{r.seconds:.1f}", f"{_rate(r):,.0f}"),
            *(_spans(r.measures.queue_ms, 1000, 1), _spans(r.measures.run_ms, 1, 1)),
            *(f"{r.measures.retries:,}", str(r.dead), str(r.verdict.lost), str(r.verdict.doubled), f"{r.peak_mb:.0f}"),
        )
    console.print(table)
    for r in results:
        console.print(f"{r.backend}: {_waits(r)}", markup=False)
        console.print(f"{r.backend}: {_closed(r)}", markup=False)
    for r in results:
        for line in r.faults:
            console.print(f"{r.backend}: {line}", style="red", markup=False)


def save(path: Path, results: Sequence[Result], broker: str) -> None:
    """Write the runs as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    runs = [_run(result, broker) for result in results]
    exact = all(result.verdict.exact for result in results)
    path.write_text(json.dumps({"runs": runs, "exact": exact}, indent=2) + "\n", "utf-8")


def _run(result: Result, broker: str) -> dict[str, object]:
    return {
        "backend": result.backend,
        "broker": broker,
        "tasks": result.tasks,
        "seconds": round(result.seconds, 2),
        "tasks_per_s": round(_rate(result), 1),
        "queue_p95_ms": round(percentile(result.measures.queue_ms, 95), 1),
        "run_p95_ms": round(percentile(result.measures.run_ms, 95), 2),
        "retries": result.measures.retries,
        "dead": result.dead,
        "lost": result.verdict.lost,
        "doubled": result.verdict.doubled,
        "peak_mb": round(result.peak_mb, 1),
    }


def _waits(result: Result) -> str:
    """What the table does not say: how often messages waited for a limit or a lock, and what was spared."""
    seen = result.measures
    return (
        f"{result.verdict.refreshes:,} refreshes for {result.bookings:,} bookings;"
        f" waits: account {seen.locked:,}, provider {seen.throttled:,}; 429s: {seen.rescheduled};"
        f" {seen.polls:,} polls for {result.transfers:,} transfers"
    )


def _closed(result: Result) -> str:
    """What was done with whole accounts."""
    seen = result.verdict.closing
    return (
        f"{seen.reconciled:,} accounts reconciled, {seen.refused} row refused;"
        f" {seen.reports:,} reports in {seen.chunks} chunks, at most {seen.waiting} under way between them"
    )


def _rate(result: Result) -> float:
    return result.tasks / result.seconds if result.seconds else 0.0


def _spans(milliseconds: Sequence[float], unit_ms: int, digits: int) -> str:
    median, high = (percentile(milliseconds, percent) / unit_ms for percent in (50, 95))
    return f"{median:.{digits}f}/{high:.{digits}f}"
