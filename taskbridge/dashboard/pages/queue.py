"""One queue: its places, what the store keeps of it, who serves it, and the first that wait in the engines."""

from __future__ import annotations

from itertools import islice
from typing import Any

from ...announcement import announced
from ...errors import ConfigError, TaskbridgeError, nearest
from ...message import Message
from ...operations.gauges import ON_ITS_WAY
from ...options import QUEUE_NAME
from ..page import Look, Page
from .standing import standing

#: How many of those that wait in an engine's queue are shown.
FIRST = 20


def read(look: Look) -> dict[str, Any]:
    """What is known of the queue, and the first messages in each engine's queue where its broker shows them."""
    name, seen = look.query.text("name"), standing(look)
    queue = next((one for one in seen.queues if one.name == name), None)
    if queue is None:
        known = [one.name for one in seen.queues]
        raise ConfigError(f"no queue called {name!r} is served, or has messages in the store{nearest(name, known)}")
    workers = announced(look.bridge.store)
    return {
        "queue": queue,
        "states": ON_ITS_WAY,
        "tasks": sorted({t for worker in workers for t, known in worker.known.items() if known.queue == name}),
        "workers": [worker for worker in workers if name in worker.queues],
        "first": {place.backend: _first(look, place.backend, name) for place in queue.places if place.waiting},
        "rates": [one for one in seen.throughput.rates if one.queue == name],
    }


def _first(look: Look, backend: str, queue: str) -> tuple[list[Message], str]:
    """The messages, and why there are none to see."""
    if not QUEUE_NAME.fullmatch(queue):
        return [], "its name is none that an engine's queue can have"
    try:
        found = look.bridge.backend(backend)
        if not found.capabilities.scan:
            return [], "its broker shows a message only to who receives it"
        return list(islice(found.scan(queue, FIRST), FIRST)), ""
    except TaskbridgeError as error:
        return [], str(error)


PAGE = Page(
    name="queue", path="/queue", title="Queue", template="queue.html", read=read, menu=False, within="queues", of="name"
)
