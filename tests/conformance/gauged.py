"""Tasks that stand still where gauges can see them, until the file named by ``GAUGED`` is there."""

from __future__ import annotations

import os
import time
from pathlib import Path

from taskbridge import Lock, RateLimit, task


@task(name="gauged.holds", queue="gauged", lock=Lock("one"))
def holds(n: int) -> None:
    """Holds its lock until it may end."""
    while not Path(os.environ["GAUGED"]).exists():
        time.sleep(0.01)


@task(name="gauged.paced", queue="gauged", rate_limit=RateLimit("5/h", burst=1, name="provider"))
def paced(n: int) -> None:
    """One starts at once, the next in twelve minutes."""
