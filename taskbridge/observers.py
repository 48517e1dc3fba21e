"""Observers: what is told of all that a bridge does. Found by the entry point group, ours as anyone's.

One is called once for each bridge, before it sends or runs anything, in a worker before its children are forked. So it
opens nothing: what it needs, it opens with the first event, in whichever process that is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import ConfigError, nearest

GROUP = "taskbridge.observers"

#: Subscribes to ``bridge.events``, adds to ``bridge.hooks``, ``bridge.trace``.
Observer = Callable[[Any], None]


def load(name: str) -> Observer:
    """Find an observer by entry point.

    Raises:
        ConfigError: none is called so, or its package is missing.
    """
    from importlib.metadata import entry_points  # slow to import, and most producers need none

    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise ConfigError(f"observers: none is called {name!r}{nearest(name, found)}")
    try:
        observer: Observer = found[name].load()
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the observer {name!r} needs the package {error.name!r}: pip install 'taskbridge[{name}]'"
        ) from error
    return observer
