"""Observers: what is told of all that a bridge does. Found by the entry point group, ours as anyone's.

One is called once for each bridge, before it sends or runs anything, in a worker before its children are forked. So it
opens nothing: what it needs, it opens with the first event, in whichever process that is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .errors import ConfigError, nearest

log = logging.getLogger("taskbridge.events")

GROUP = "taskbridge.observers"

#: Subscribes to ``bridge.events``, adds to ``bridge.hooks``, ``bridge.trace``.
Observer = Callable[[Any], None]


class Observing:
    """The observers of one bridge.

    ``hand_over`` is what those of a worker's template have for themselves in the supervisor, by name, as JSON values;
    ``handed`` is that there, and None anywhere else.
    """

    def __init__(self) -> None:
        self.hand_over: dict[str, Any] = {}
        self.handed: Mapping[str, Any] | None = None
        self._called: set[str] = set()
        self._flushes: list[Callable[[], None]] = []

    def call(self, names: Iterable[str], bridge: Any) -> None:
        """Call each of these with its bridge, once.

        Raises:
            ConfigError: an observer nobody has, or whose package or settings are missing.
        """
        for name in dict.fromkeys(names):
            if name not in self._called:
                self._called.add(name)
                try:
                    load(name)(bridge)
                except BaseException:
                    self._called.discard(name)
                    raise

    def on_flush(self, send: Callable[[], None]) -> None:
        """Have an observer send what it still holds, in a bounded time: this process may be about to end."""
        self._flushes.append(send)

    def flush(self) -> None:
        """Have them send it; one that fails is logged."""
        for send in self._flushes:
            try:
                send()
            except Exception:
                log.exception("the observer %r failed to send what it held", send)


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
        ours = found[name].module.partition(".")[0] == __package__
        advice = f": pip install 'taskbridge[{name}]'" if ours else ", which is not installed"
        raise ConfigError(f"the observer {name!r} needs the package {error.name!r}{advice}") from error
    return observer
