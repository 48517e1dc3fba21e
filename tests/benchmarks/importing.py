"""Rows: what ``import taskbridge`` costs a process that may never send anything, beside what Celery's import costs."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from statistics import median

from .processes import ROOT, plain_environment
from .runner import Case, Figures, Row, Target

#: How many fresh processes.
PROCESSES = 10

#: What only those who use it pay for.
NOT_IMPORTED = ("boto3", "celery", "dramatiq", "redis")


def cases() -> list[Case]:
    """Return the cases of this family."""
    row = Row(name="import taskbridge", unit="ms", less_is_better=True, target=Target(below=60.0))
    return [
        Case(
            rows=(row,),
            shown="from celery import Celery",
            native=partial(_cost_ms, "from celery import Celery"),
            taskbridge=_taskbridge,
        )
    ]


def _taskbridge() -> Figures:
    loaded = set(NOT_IMPORTED) & set(_run("import sys, taskbridge; print(*sys.modules)").split())
    assert not loaded, f"import taskbridge loads {', '.join(sorted(loaded))}"
    return _cost_ms("import taskbridge")


def _cost_ms(program: str) -> Figures:
    """Return what a program adds to a bare process, medians of each, taken in turn."""
    _run(program)  # compiles what was never imported
    bare, full = [], []
    for _ in range(PROCESSES):
        bare.append(_run_ms("pass"))
        full.append(_run_ms(program))
    return (median(full) - median(bare),)


def _run_ms(program: str) -> float:
    begun_s = time.perf_counter()
    _run(program)
    return (time.perf_counter() - begun_s) * 1000


def _run(program: str) -> str:
    return subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, env=plain_environment(), text=True)
