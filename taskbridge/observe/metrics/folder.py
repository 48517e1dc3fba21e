"""All that the processes of a folder have counted, read by prometheus_client's own collector.

What the tasks' modules count with prometheus_client is there too. A file that cannot be read hides no other.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from .celery import renamed
from .seats import seats_of

log = logging.getLogger("taskbridge.metrics")


class Folder(Collector):
    """Reads a folder at each scrape.

    Args:
        path: of the folder.
        hostname: for the names of Celery's dashboards; empty leaves them out.
    """

    def __init__(self, path: str, hostname: str = "") -> None:
        self._path = path
        self._hostname = hostname

    def describe(self) -> list[Metric]:
        """Nothing is looked at to register it."""
        return []

    def collect(self) -> Iterator[Metric]:
        seats_of(self._path).clear_live()
        metrics = sorted(self._merged(), key=lambda metric: metric.name)
        yield from metrics
        if self._hostname:
            yield from renamed(metrics, self._hostname)

    def _merged(self) -> Iterable[Metric]:
        files = [str(file) for file in Path(self._path).glob("*.db") if _begun(file)]
        try:
            return _merge(files)
        except Exception:
            return _merge([file for file in files if _readable(file)])


def _begun(file: Path) -> bool:
    """Whether there is something in it; a process makes it first, and then writes into it."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def _readable(file: str) -> bool:
    """Whether this one can be read; one that cannot must not hide the others."""
    try:
        _merge([file])
    except Exception as error:
        if os.path.exists(file):
            log.warning("%s is left out, it cannot be read: %s", file, error)
        return False
    return True


def _merge(files: list[str]) -> Iterable[Metric]:
    metrics: Iterable[Metric] = MultiProcessCollector.merge(files)
    return metrics
