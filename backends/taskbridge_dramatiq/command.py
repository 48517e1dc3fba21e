"""The broker for Dramatiq's own command: ``dramatiq taskbridge_dramatiq.command:broker your.tasks --queues emails``.

The tasks of the default bridge run in it under the same contract: ``begin`` and ``finish`` are around the function.
What the command itself cannot keep is in ``brokers.KINDS``. Each claim is renewed by a thread of its process.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from dramatiq import Worker
from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import CurrentMessage, Middleware, MiddlewareError, SkipMessage

from taskbridge import default_bridge
from taskbridge.backend import Delivery
from taskbridge.bridge import Bridge
from taskbridge.claimed import Claimed
from taskbridge.contrib import django
from taskbridge.definition import Definition
from taskbridge.errors import BrokerUnavailable, ConfigError, DecodeError
from taskbridge.events import Buried
from taskbridge.execution import deliver
from taskbridge.lease import Lessor
from taskbridge.message import raw_id
from taskbridge.observe.logs import dress, log_event
from taskbridge.patience import patiently
from taskbridge.policies.payload import refuse_payload
from taskbridge.policies.timeout import refuse_tasks
from taskbridge.schedules.declared import declarer_of

from . import wire
from .backend import DramatiqBackend
from .native import name_of, own_broker, parts_of, queue_of, read_for
from .worker import declare, spoken

log = logging.getLogger("taskbridge")

#: How long a broker that is away at the start is left alone, seconds.
AWAY_S = 1.0


def serve(bridge: Bridge) -> Broker:
    """Return a broker whose workers run the bridge's tasks.

    Raises:
        ConfigError: the settings name no Dramatiq backend.
        NotSupported: a task has a timeout, its threads keep none; or messages may be larger than its broker takes.
    """
    django.set_up()
    django.keep_connections(bridge)
    served = Served(bridge, _dramatiq_backend(bridge))
    backend = served.backend
    refuse_payload(bridge.settings.max_payload, backend.own_command, "Dramatiq's own command")
    broker = own_broker(backend, served, *backend.middleware)

    def actor_of(definition: Definition) -> None:
        of_one = {definition.name: definition}
        refuse_tasks(of_one, bridge.settings.timeouts, backend.own_command, "Dramatiq's own command")
        queue = definition.options.queue
        declare(broker, definition, name_of(backend, queue), served.body_of(definition))
        for part in filter(None, parts_of(backend)):
            broker.declare_queue(name_of(backend, queue, part))

    bridge.on_declared(actor_of)
    bridge.events.subscribe(log_event)
    return broker


class Served(Middleware):
    """The bridge's tasks as Dramatiq's own worker meets them."""

    def __init__(self, bridge: Bridge, backend: DramatiqBackend) -> None:
        self.backend = backend
        self._bridge = bridge
        self._lessor: Lessor | None = None
        self._stopping = threading.Event()

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Call the observers; have all parts of its queues read, the log say whose it is, and schedules declared."""
        dress(logging.getLogger().handlers, self._bridge.settings.log_format)
        try:
            worker.consumer_whitelist = self._read(worker.consumer_whitelist, broker.get_declared_queues())
            self._bridge.observe()
            declarer = declarer_of(self._bridge.definitions, self._bridge.sender)
        except ConfigError as error:  # any other kind Dramatiq only logs
            raise MiddlewareError(f"{type(error).__name__}: {error}") from error
        threading.Thread(target=declarer.keep_on, args=(self._stopping,), name="schedules", daemon=True).start()

    def _read(self, told: set[str] | None, declared: set[str]) -> set[str]:
        while True:
            try:
                return read_for(self.backend, told, declared)
            except BrokerUnavailable as error:
                log.warning("%s; trying again in %.0f s", error, AWAY_S)
                self._bridge.clock.sleep(AWAY_S)

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Declare them no more."""
        self._stopping.set()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Tell those who listen what they have not heard yet; such a process runs no exit handlers."""
        self._bridge.flush()

    def body_of(self, definition: Definition) -> Any:
        """Return an actor's body: the whole life of a delivery, then its outcome in Dramatiq's words."""

        def body(*args: Any, **kwargs: Any) -> Any:
            message = CurrentMessage.get_current_message()
            if message is None:
                return definition.function(*args, **kwargs)
            claimed = self._deliver(message)
            if claimed is None:
                raise SkipMessage("it cannot be read, and is among the dead letters")
            if claimed.outcome is None:
                raise SkipMessage(f"a copy of {claimed.message.id} was recognised: {claimed.begun.verdict}")
            return spoken(claimed.outcome)

        return body

    def before_nack(self, broker: Broker, message: MessageProxy) -> None:
        """Park a message whose task this release does not have, before Dramatiq lays it with its own dead letters."""
        if message.actor_name not in broker.actors:
            self._deliver(message)

    def _deliver(self, native: Any) -> Claimed | None:
        """Return what became of it; None where it cannot be read: it is kept among the dead letters then."""
        raw = native.encode()
        queue = queue_of(self.backend, native.queue_name)
        try:
            message, _ = wire.decode(raw, queue)
        except DecodeError as error:
            self._bury(raw, queue, native.actor_name, error)
            return None
        if self._lessor is None:
            self._lessor = Lessor(self._bridge.store, self.backend.name)
        with self._lessor.claim(message.id) as claim:
            delivery = Delivery(tag="", queue=queue, raw=raw)
            return deliver(delivery, message, claim, self.backend.name, self._bridge.runtime)

    def _bury(self, raw: bytes, queue: str, task: str, error: DecodeError) -> None:
        id = raw_id(raw)
        patiently(lambda: self._bridge.store.dead.bury(id, queue, raw, str(error)), self._bridge.clock)
        self._bridge.events.emit(Buried(id=id, task=task, queue=queue, backend=self.backend.name, why=str(error)))


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
