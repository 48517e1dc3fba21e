"""Tell when another engine's queues of the same names hold messages that a worker does not serve."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..bridge import Bridge
from ..config import ENGINES
from ..errors import TaskbridgeError

log = logging.getLogger("taskbridge.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unserved:
    """A queue of a backend that is not served, and how many messages wait in it."""

    backend: str
    queue: str
    waiting: int


def unserved(bridge: Bridge, served: Sequence[str], queues: Sequence[str]) -> list[Unserved]:
    """Return the queues of these names, on other backends, that hold messages.

    Args:
        bridge: its settings name the backends.
        served: the backends that are.
        queues: the names.
    """
    found = []
    for name in others(bridge, served):
        for queue in queues:
            try:
                waiting = bridge.backend(name).depth(queue)
            except TaskbridgeError as error:
                log.debug("what waits on %s is not known: %s", name, error)
                break
            if waiting:
                found.append(Unserved(backend=name, queue=queue, waiting=waiting))
    return found


def warn_of_unserved(bridge: Bridge, served: Sequence[str], queues: Sequence[str]) -> None:
    """Log how many messages wait there and how to serve them. Never fails: a worker runs without knowing."""
    try:
        found = unserved(bridge, served, queues)
    except Exception:
        log.warning("what waits on other engines is not known", exc_info=True)
        return
    backends = ",".join(dict.fromkeys([*served, *(one.backend for one in found)]))
    for one in found:
        log.warning(
            "%s's queue %r holds %d messages that this worker does not serve: start it with --backends %s",
            *(one.backend, one.queue, one.waiting, backends),
        )


def others(bridge: Bridge, served: Sequence[str]) -> Iterator[str]:
    """Return the backends of the settings, and the plain engines on a broker that is served, but for those that are."""
    settings = bridge.settings
    seen = {settings.backend_settings(name) for name in served}
    brokers = {one.broker_url for one in seen if one.engine != "memory"}
    plain = ENGINES if settings.broker_url in brokers else ()
    for name in dict.fromkeys([*settings.backend_names, *plain]):
        chosen = settings.backend_settings(name)
        if chosen not in seen and chosen.engine != "memory":
            seen.add(chosen)
            yield name
