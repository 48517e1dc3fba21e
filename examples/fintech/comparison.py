"""The import as a workload for ``taskbridge compare``: the same file on every side, into an empty SQLite of each run.

    taskbridge compare examples.fintech.comparison:workload --backends celery+redis,dramatiq+redis --html compare.html

The providers' limit is lifted: engines are compared here, and not how well each of them waits. Reports stay out, for
they begin at night.
"""

from __future__ import annotations

import os
from pathlib import Path

from taskbridge import Bridge
from taskbridge.operations.limits import set_rate

from . import database, generate
from .imports import import_of
from .produce import PAGE_LINES

ROWS = int(os.environ.get("FINTECH_ROWS", "2000"))

#: How many a second each provider takes here.
PROVIDER_RATE = "10000/s"

#: Where the files of a run are; the worker's processes are told the same, before they open the database.
FOLDER = Path(os.environ.get("COMPARISON_FOLDER", ""))
if FOLDER.is_absolute():
    os.environ[database.VARIABLE] = f"sqlite:///{FOLDER / 'bank.sqlite3'}"


def workload(bridge: Bridge) -> int:
    """Write a file of transactions, and enqueue its import: a chain, the only call; the rest follows from it."""
    database.database().create()
    set_rate(bridge.store, "provider", PROVIDER_RATE)
    file = FOLDER / "transactions.csv"
    generate.write(file, ROWS)
    import_of(file, PAGE_LINES).enqueue()
    return 1
