"""The series of a whole worker at one address: those of its processes, its own, and what stands in store and broker."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from ...errors import ConfigError
from ..exposition import Address, Exposition
from ..facts import Facts
from . import check_folder
from .folder import Folder
from .seats import FOLDER, abandoned, seats_of
from .worker import WorkerSeries

log = logging.getLogger("taskbridge.metrics")

#: What folders of our own making are called.
PREFIX = "taskbridge-metrics-"


@contextmanager
def folder() -> Iterator[str]:
    """Have every process that is started in this block write into one folder: the one that is named, or a new one.

    Raises:
        ConfigError: the folder that is named is none, or no folder can be written.
    """
    named = os.environ.get(FOLDER)
    if named:
        check_folder(named)
        _serve(named)
        yield named
        return
    with _folder_of_our_own() as made:
        _serve(made)
        os.environ[FOLDER] = made
        try:
            yield made
        finally:
            del os.environ[FOLDER]


def _folder_of_our_own() -> tempfile.TemporaryDirectory[str]:
    try:
        _clear_abandoned()
        return tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigError(
            f"metrics need a folder that can be written, and there is none for temporary files: {error.strerror}; "
            f"name one by {FOLDER}"
        ) from error


def _serve(path: str) -> None:
    """Take a folder; what two workers serve, Prometheus sees twice."""
    try:
        alone = seats_of(path).serve()
    except OSError as error:
        raise ConfigError(f"{FOLDER}: {path!r} cannot be written: {error.strerror}") from error
    if not alone:
        log.warning("another worker serves %s, too: while it does, each count in it is seen twice", path)


def _clear_abandoned() -> None:
    """Remove the folders of workers that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if abandoned(str(path)):
            shutil.rmtree(path, ignore_errors=True)


def serve(
    address: Address,
    path: str,
    *,
    look: Callable[[], Facts],
    gauges: Callable[[], Collector | None],
    hostname: str = "",
) -> Exposition:
    """Serve a worker's series until what is returned is closed.

    Args:
        address: where.
        path: the folder that its processes write into.
        look: returns what the worker says of itself.
        gauges: returns what shows store and broker; None while there is nothing to look at.
        hostname: for the names of Celery's dashboards; empty leaves them out.

    Raises:
        ConfigError: the address is in use, or is none.
    """
    registry = CollectorRegistry()
    for collector in (Folder(path, hostname), WorkerSeries(look, hostname), Stored(gauges)):
        registry.register(collector)
    return Exposition(registry, address)


class Stored(Collector):
    """What shows store and broker; a fault of it hides no other series.

    Args:
        gauges: returns the collector to ask.
    """

    def __init__(self, gauges: Callable[[], Collector | None]) -> None:
        self._gauges = gauges

    def describe(self) -> list[Metric]:
        """Nothing is looked at to register it."""
        return []

    def collect(self) -> Iterable[Metric]:
        try:
            gauges = self._gauges()
            return list(gauges.collect()) if gauges is not None else []
        except Exception:
            log.exception("what stands in store and broker could not be read")
            return []
