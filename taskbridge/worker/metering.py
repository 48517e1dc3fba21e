"""Serve the metrics of a worker while it runs: ``taskbridge worker --metrics``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from ..lease import host
from ..observe.exposition import Address, check_installed
from .keep import Keep
from .meter import Meter

if TYPE_CHECKING:
    from ..observe.gauges import StoreGauges


@contextmanager
def metered(address: Address, *, celery: bool) -> Iterator[Meter]:
    """Yield the meter of a worker whose metrics are served while the block lasts.

    Args:
        address: where.
        celery: also under the names that dashboards for Celery know.

    Raises:
        ConfigError: the address is in use, the folder cannot be written, or ``prometheus_client`` is missing.
    """
    check_installed()
    from ..observe.metrics.serving import folder, serve

    meter = Meter()
    gauges = Gauges(meter, celery=celery)
    with folder() as path:
        shown = serve(address, path, look=lambda: meter.facts, gauges=gauges, hostname=host() if celery else "")
        try:
            yield meter
        finally:
            shown.close()
            gauges.close()


class Gauges:
    """The gauges of the keep that serves; a reload brings another. Called from any thread.

    Args:
        meter: knows the keep.
        celery: as for ``metered``.
    """

    def __init__(self, meter: Meter, *, celery: bool) -> None:
        self._meter = meter
        self._celery = celery
        self._lock = Lock()
        self._of: Keep | None = None
        self._gauges: StoreGauges | None = None

    def __call__(self) -> StoreGauges | None:
        """Return them; None while no template has said what there is to serve."""
        with self._lock:
            keep = self._meter.keep
            if keep is not self._of:
                self.close()
                self._of, self._gauges = keep, self._made(keep) if keep is not None else None
            return self._gauges

    def close(self) -> None:
        """Look no more."""
        if self._gauges is not None:
            self._gauges.close()
            self._gauges = None

    def _made(self, keep: Keep) -> StoreGauges:
        from ..observe.gauges import StoreGauges

        return StoreGauges(keep.bridge, keep.queues, celery=self._celery, owner=keep.name)
