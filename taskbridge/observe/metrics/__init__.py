"""Prometheus, of what processes do: events become counters and histograms called ``taskbridge_...``.

A process writes into the files of its seat where ``PROMETHEUS_MULTIPROC_DIR`` names a folder (``seats.py``), which
``taskbridge worker --metrics`` serves for all of them; without, into its own memory, and prometheus_client's default
registry shows them beside the process's other metrics.
"""

from __future__ import annotations

import os

from prometheus_client import REGISTRY

from ...bridge import Bridge
from ...errors import ConfigError
from .ledger import Ledger
from .listener import Listener
from .seats import FOLDER
from .trips import Trips

#: Of this process, whichever bridges it has.
LEDGER = Ledger()
LEDGER.keep_over_forks()
REGISTRY.register(LEDGER)


def observe(bridge: Bridge) -> None:
    """Count what this bridge does.

    Raises:
        ConfigError: the folder for metrics is none, or cannot be written.
    """
    folder = os.environ.get(FOLDER)
    if folder:
        check_folder(folder)
    bridge.events.subscribe(Listener(bridge, LEDGER))
    try:
        server = getattr(bridge.store, "server", None)
    except ConfigError:  # a producer that has none
        return
    if server is not None:
        server.trips = Trips(bridge.clock, LEDGER)


def check_folder(folder: str) -> None:
    """Refuse a folder that the processes could not write their metrics into.

    Raises:
        ConfigError: what is wrong with it.
    """
    if not os.path.isdir(folder):
        raise ConfigError(f"{FOLDER}: expected a folder that is there, got {folder!r}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{FOLDER}: {folder!r} cannot be written by this user; choose another, or change its owner")
