"""Enqueue any task by its name, with arguments that came as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ..bridge import Bridge
from ..definition import Definition
from ..enqueue import Receipt, send, stamp
from ..errors import ConfigError, NotSupported, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What to send. ``options`` are those of ``using``; ``backend`` overrides the routes, empty keeps them."""

    task: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: dict[str, Any]
    backend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was sent; ``backend`` is empty for a message that the store keeps, which is routed when it leaves it.

    ``created`` is False where the same call was there already: ``id`` is that one's.
    """

    id: str
    task: str
    queue: str
    backend: str
    created: bool = True


def declared(bridge: Bridge, name: str) -> Definition:
    """Return a task of the bridge by name.

    Raises:
        ConfigError: it has none of that name.
    """
    if name not in bridge.definitions:
        raise ConfigError(f"no task is called {name!r}{nearest(name, bridge.definitions or ['none'])}")
    return bridge.definitions[name]


def external(bridge: Bridge, name: str, queue: str) -> Definition:
    """Return a task that only other workers have; its arguments are theirs to check."""
    return bridge.external(name, queue=queue).definition


def call(bridge: Bridge, definition: Definition, asked: Call) -> Sent:
    """Send one call.

    Raises:
        ArgumentError, DecodeError: the arguments do not fit the task.
        ConfigError: an option is out of its range, or the backend is not known.
        NotSupported: the backend cannot be reached from another process, or was named for a message the store keeps.
        BrokerUnavailable, StoreUnavailable, StoreFull: it may or may not have been sent.
    """
    options = definition.options.with_changes(asked.options)
    kept = bool(options.delay_ms) or options.claims_in_store
    if asked.backend and kept:
        raise NotSupported(
            "a delayed or unique message goes to the backend that is current when it leaves the store: "
            "leave --backend out"
        )
    raw_args, raw_kwargs = msgspec.json.encode(list(asked.args)), msgspec.json.encode(dict(asked.kwargs))
    args, kwargs = definition.arguments.decode(msgspec.Raw(raw_args), msgspec.Raw(raw_kwargs))
    message = stamp(definition, options, tuple(args), kwargs, bridge.sender)
    name = asked.backend or bridge.sender.route(message)
    backend = bridge.backend(name)
    if not backend.capabilities.processes:
        raise NotSupported(f"backend {name!r} lives in one process: what this command sends would be gone with it")
    if asked.backend:
        backend.publish([message])
        receipt = Receipt(message.id)
    else:
        (receipt,) = send(definition, options, [message], bridge.sender)
    backend_name = "" if kept else name
    return Sent(id=receipt.id, task=message.task, queue=message.queue, backend=backend_name, created=receipt.created)
