"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from rich import box
from rich.table import Table

from ..servers import some_redis
from .runner import Result, Run


def table(run: Run) -> Table:
    """Return the table: a line per row, the native configuration beside it."""
    loads = ", ".join(f"{load:.1f}" for load in run.loads)
    shown = Table(title="taskbridge beside the native engines", caption=f"{machine()}; load before each round: {loads}")
    shown.box = box.SIMPLE_HEAD
    for name in ("what", "native configuration", "unit"):
        shown.add_column(name)
    for name in ("native", "taskbridge", "ratio", "of each round", "target", ""):
        shown.add_column(name, justify="right")
    for result in run.results:
        row = result.row
        shown.add_row(
            *(row.name, result.shown, row.unit, number(result.native), number(result.taskbridge)),
            *(f"{result.ratio:.2f}", f"{min(result.ratios):.2f} to {max(result.ratios):.2f}"),
            *(str(row.target or ""), _verdict(result)),
        )
    return shown


def write(run: Run, path: Path) -> None:
    """Write the results as ``[{"name", "unit", "native", "taskbridge", "ratio"}]``."""
    found = [
        {
            "name": result.row.name,
            "unit": result.row.unit,
            "native": round(result.native, 3),
            "taskbridge": round(result.taskbridge, 3),
            "ratio": round(result.ratio, 3),
        }
        for result in run.results
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def machine() -> str:
    """Return what the figures depend on."""
    told = subprocess.check_output([some_redis(), "--version"], text=True)
    server = re.search(r"v=(\S+)", told)
    packages = ", ".join(f"{name} {version(name)}" for name in ("celery", "dramatiq", "redis"))
    return (
        f"{os.cpu_count()} cores, server {server and server.group(1)}, Python {platform.python_version()}, {packages}"
    )


def number(value: float) -> str:
    """Return a figure with as many digits as it is worth."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _verdict(result: Result) -> str:
    if result.passed is None:
        return ""
    return "[green]pass[/]" if result.passed else "[red]MISS[/]"
