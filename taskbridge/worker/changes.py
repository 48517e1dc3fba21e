"""Notice that code has changed, for ``--reload``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..errors import ConfigError

log = logging.getLogger("taskbridge.worker")


def watch_code(directory: str, changed: Callable[[], None]) -> None:
    """Call ``changed`` whenever Python files below a directory have changed, from a thread that ends with the process.

    Raises:
        ConfigError: what watches files is not installed.
    """
    try:
        from watchfiles import PythonFilter, watch
    except ModuleNotFoundError as error:
        raise ConfigError(f"--reload needs the package {error.name!r}: pip install 'taskbridge[reload]'") from error

    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # we say ourselves what has changed

    def look() -> None:
        try:
            for files in watch(directory, watch_filter=PythonFilter()):
                log.info("changed: %s", ", ".join(sorted({path for _, path in files})))
                changed()
        except Exception:  # such as the system's limit of watches: the worker goes on without
            log.exception("changes of code in %s are not seen any more", directory)

    threading.Thread(target=look, name="changes", daemon=True).start()
