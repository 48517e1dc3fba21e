"""The broker for Dramatiq's own command: ``dramatiq taskbridge_dramatiq.command:broker your.tasks --queues emails``.

The tasks of the default bridge run in it under the same contract: ``begin`` and ``finish`` are around the function.
What the command itself cannot keep is in ``brokers.KINDS``. Each claim is renewed by a thread of its process.
"""

from __future__ import annotations

import threading
from typing import Any

from dramatiq import Worker
from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import CurrentMessage, Middleware, SkipMessage

from taskbridge import default_bridge
from taskbridge.backend import Delivery
from taskbridge.bridge import Bridge
from taskbridge.claimed import Claimed
from taskbridge.contrib import django
from taskbridge.definition import Definition
from taskbridge.errors import ConfigError
from taskbridge.execution import deliver
from taskbridge.lease import Lessor
from taskbridge.policies.timeout import refuse_tasks
from taskbridge.schedules.declared import declarer_of

from . import wire
from .backend import DramatiqBackend
from .worker import declare, naming_of, new_broker, spoken


def serve(bridge: Bridge) -> Broker:
    """Return a broker whose workers run the bridge's tasks.

    Raises:
        ConfigError: the settings name no Dramatiq backend.
        NotSupported: a task has a timeout; its threads keep none.
    """
    django.set_up()
    django.keep_connections(bridge)
    served = Served(bridge, _dramatiq_backend(bridge))
    broker = new_broker(served.backend.place, served, *served.backend.middleware)

    def actor_of(definition: Definition) -> None:
        of_one = {definition.name: definition}
        refuse_tasks(of_one, bridge.settings.timeouts, served.backend.own_command, "Dramatiq's own command")
        declare(broker, definition, served.backend.place, served.body_of(definition))

    bridge.on_declared(actor_of)
    return broker


class Served(Middleware):
    """The bridge's tasks as Dramatiq's own worker meets them."""

    def __init__(self, bridge: Bridge, backend: DramatiqBackend) -> None:
        self.backend = backend
        self._bridge = bridge
        self._lessor: Lessor | None = None
        self._stopping = threading.Event()

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Declare the schedules of the tasks, until the worker ends."""
        declarer = declarer_of(self._bridge.definitions, self._bridge.sender)
        threading.Thread(target=declarer.keep_on, args=(self._stopping,), name="schedules", daemon=True).start()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Declare them no more."""
        self._stopping.set()

    def body_of(self, definition: Definition) -> Any:
        """Return an actor's body: the whole life of a delivery, then its outcome in Dramatiq's words."""

        def body(*args: Any, **kwargs: Any) -> Any:
            message = CurrentMessage.get_current_message()
            if message is None:
                return definition.function(*args, **kwargs)
            claimed = self._deliver(message)
            if claimed.outcome is None:
                raise SkipMessage(f"a copy of {claimed.message.id} was recognised: {claimed.begun.verdict}")
            return spoken(claimed.outcome)

        return body

    def before_nack(self, broker: Broker, message: MessageProxy) -> None:
        """Park a message whose task this release does not have, before Dramatiq lays it with its own dead letters."""
        if message.actor_name not in broker.actors:
            self._deliver(message)

    def _deliver(self, native: Any) -> Claimed:
        raw = native.encode()
        queue = naming_of(self.backend.place).queue_of(native.queue_name.removesuffix(wire.DELAYED))
        message, _ = wire.decode(raw, queue)
        if self._lessor is None:
            self._lessor = Lessor(self._bridge.store, self.backend.name)
        with self._lessor.claim(message.id) as claim:
            delivery = Delivery(tag="", queue=queue, raw=raw)
            return deliver(delivery, message, claim, self.backend.name, self._bridge.runtime)


def _dramatiq_backend(bridge: Bridge) -> DramatiqBackend:
    for name in bridge.settings.backend_names:
        if bridge.settings.backend_settings(name).engine == "dramatiq":
            backend = bridge.backend(name)
            assert isinstance(backend, DramatiqBackend)
            return backend
    raise ConfigError(
        "the settings name no Dramatiq backend: set TASKBRIDGE_BACKEND=dramatiq, or add one to [backends]"
    )


broker = serve(default_bridge)
