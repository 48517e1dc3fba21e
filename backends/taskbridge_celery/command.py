"""The app for Celery's own command: ``celery -A taskbridge_celery.command worker -I your.tasks -Q emails``.

The tasks of the default bridge run in it under the same contract: ``begin`` and ``finish`` are around the function.
What the command itself cannot keep is in ``brokers.KINDS``. Each claim is renewed by a thread of its process.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Any

import msgspec
from celery import Celery, bootsteps, signals
from celery.exceptions import Ignore

from taskbridge import default_bridge
from taskbridge.backend import Capabilities, Delivery
from taskbridge.bridge import Bridge
from taskbridge.contrib import django
from taskbridge.definition import Definition, Definitions
from taskbridge.errors import BrokerUnavailable, ConfigError, DecodeError
from taskbridge.events import Buried
from taskbridge.execution import deliver
from taskbridge.lease import Lessor
from taskbridge.message import Message, raw_id
from taskbridge.observe.logs import dress, log_event
from taskbridge.patience import patiently
from taskbridge.policies.payload import refuse_payload
from taskbridge.policies.timeout import refuse_tasks
from taskbridge.rabbitmq.broker import RabbitBroker
from taskbridge.schedules.declared import declarer_of

from . import original, wire
from .backend import CeleryBackend
from .own_held import Renewals
from .own_queues import Beats, read_all
from .worker import declare, new_app, spoken

log = logging.getLogger("taskbridge")

#: Those that run a task in the main thread of its process, where a signal can interrupt it.
SOLO = "celery.concurrency.solo"
POOLS = ("celery.concurrency.prefork", SOLO)


def serve(bridge: Bridge) -> Celery:
    """Return an app whose workers run the bridge's tasks.

    Raises:
        ConfigError: the settings name no Celery backend.
        NotSupported: a task has a hard timeout, which this command does not keep.
    """
    django.set_up()
    django.keep_connections(bridge)
    served = Served(bridge, _celery_backend(bridge))
    app = new_app(served.backend.place, served.backend.conf)

    def task_of(definition: Definition) -> None:
        served.refuse(served.backend.own_command, "Celery's own command", {definition.name: definition})
        declare(app, definition, served.run)

    bridge.on_declared(task_of)
    app.steps["consumer"].add(_step(served))
    for signal in (signals.worker_process_shutdown, signals.worker_shutdown):
        signal.connect(served.flush, weak=False)
    _log(bridge)
    return app


class Served:
    """The bridge's tasks as Celery's own worker meets them."""

    def __init__(self, bridge: Bridge, backend: CeleryBackend) -> None:
        self.backend = backend
        self._bridge = bridge
        self._lessor: Lessor | None = None

    def run(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        """The body of every task: the whole life of a delivery, then its outcome in Celery's words."""
        request = task.request
        if request.called_directly or request.is_eager:
            return task.taskbridge.function(*args, **kwargs)
        queue = (request.delivery_info or {}).get("routing_key", "")
        raw = ascii([args, kwargs, request.headers]).encode()
        try:
            raw = original.of_request(task.name, request, args, kwargs)
            message = wire.decode(raw, queue)[0]
        except DecodeError as error:
            self._bury(raw, queue, error)
            raise Ignore(f"it is among the dead letters: {error}") from error
        claimed = self._deliver(message)
        if claimed.outcome is None:
            raise Ignore(f"a copy of {claimed.message.id} was recognised: {claimed.begun.verdict}")
        return spoken(claimed.outcome)

    def park(self, message: Any) -> None:
        """Keep a message whose task this release does not have; returns when the store has it."""
        try:
            raw = original.of_message(message)
            unknown = wire.decode(raw, message.delivery_info.get("routing_key", ""))[0]
        except Exception as error:  # whatever a stranger's bytes lead to: raised, it would end this worker and the next
            self.bury(message, error)
        else:
            self._deliver(unknown, Delivery(tag="", queue="", raw=raw))

    def bury(self, message: Any, error: Exception) -> None:
        """Keep a message that cannot be read among the dead letters; returns when the store has it."""
        raw = original.whole(message)
        self._bury(raw, message.delivery_info.get("routing_key", ""), error)

    def _bury(self, raw: bytes, queue: str, error: Exception) -> None:
        id = raw_id(raw)
        patiently(lambda: self._bridge.store.dead.bury(id, queue, raw, str(error)), self._bridge.clock)
        self._bridge.events.emit(Buried(id=id, task="", queue=queue, backend=self.backend.name, why=str(error)))

    def observe(self) -> None:
        """Call the observers, in the process that starts the others.

        Raises:
            ConfigError: one that cannot be, or whose settings are wrong.
        """
        self._bridge.observe()

    def flush(self, **_: Any) -> None:
        """Tell those who listen what they have not heard yet; this process is about to end."""
        self._bridge.flush()

    def refuse(self, kept: Capabilities, where: str, definitions: Definitions) -> None:
        """Refuse tasks whose timeouts are not kept, and messages that are not taken."""
        refuse_tasks(definitions, self._bridge.settings.timeouts, kept, where)
        refuse_payload(self._bridge.settings.max_payload, kept, where)

    def refuse_pool(self, pool: str) -> None:
        """Refuse tasks with a soft timeout under a pool of Celery's that does not run them in a main thread.

        Raises:
            NotSupported: there is such a task.
        """
        own = self.backend.own_command
        kept = msgspec.structs.replace(own, soft_timeout=own.soft_timeout and pool in POOLS)
        self.refuse(kept, f"Celery's pool {pool}", self._bridge.definitions)

    def declare_schedules(self, stopping: threading.Event) -> None:
        """Declare the schedules of the tasks, in a thread, until the worker ends.

        Raises:
            ConfigError: a schedule that cannot be.
        """
        declarer = declarer_of(self._bridge.definitions, self._bridge.sender)
        threading.Thread(target=declarer.keep_on, args=(stopping,), name="schedules", daemon=True).start()

    def ping(self) -> None:
        """Ask the broker whether it is there, on a connection of our own.

        Raises:
            ConnectionError: it is not; Celery then reconnects.
        """
        try:
            self.backend.broker.ping()
        except BrokerUnavailable as error:
            raise ConnectionError(str(error)) from error

    def _deliver(self, message: Message, delivery: Delivery | None = None) -> Any:
        if self._lessor is None:
            self._lessor = Lessor(self._bridge.store, self.backend.name)
        with self._lessor.claim(message.id) as claim:
            delivery = delivery or Delivery(tag="", queue=message.queue, raw=b"")
            return deliver(delivery, message, claim, self.backend.name, self._bridge.runtime)


def _log(bridge: Bridge) -> None:
    """Log each event, and have Celery's log know whose each record is; it may ask for that in its own formats."""

    def dressed(logger: logging.Logger, **_: Any) -> None:
        dress(logger.handlers, bridge.settings.log_format)

    bridge.events.subscribe(log_event)
    for set_up in (signals.after_setup_logger, signals.after_setup_task_logger):
        set_up.connect(dressed, weak=False)


def _step(served: Served) -> type[bootsteps.StartStopStep]:
    class Keep(bootsteps.StartStopStep):
        """Before Celery throws a message away, keep it; while it waits for the broker, ask whether it is there."""

        requires = ("celery.worker.consumer.connection:Connection",)

        def __init__(self, consumer: Any, **options: Any) -> None:
            super().__init__(consumer, **options)
            pool = consumer.controller.pool_cls.__module__
            served.refuse_pool(pool)
            served.observe()
            read_all(consumer.app, served.backend.broker)
            on_rabbitmq = isinstance(served.backend.broker, RabbitBroker)
            self.beats = Beats(consumer) if on_rabbitmq and pool == SOLO else None
            self.renewals = Renewals(consumer.app, served.backend.broker)

        def start(self, consumer: Any) -> None:
            theirs = type(consumer)
            consumer.on_unknown_task = _first(
                lambda body, message, exc: served.park(message), partial(theirs.on_unknown_task, consumer)
            )
            consumer.on_decode_error = _first(served.bury, partial(theirs.on_decode_error, consumer))
            consumer.on_unknown_message = _first(
                lambda body, message: served.bury(message, DecodeError("its headers name no task")),
                partial(theirs.on_unknown_message, consumer),
            )
            consumer.on_invalid_task = _first(
                lambda body, message, exc: served.bury(message, exc), partial(theirs.on_invalid_task, consumer)
            )
            every_s = served.backend.own_ping_s  # a failed answer makes Celery reconnect where it would stay deaf
            self.ping = consumer.timer.call_repeatedly(every_s, served.ping) if every_s else None
            self.stopping = threading.Event()
            served.declare_schedules(self.stopping)
            self.renewals.start(self.stopping)
            if self.beats:
                self.beats.start(self.stopping)

        def stop(self, consumer: Any) -> None:
            if self.ping:
                self.ping.cancel()
            self.stopping.set()

    return Keep


def _first(keep: Any, then: Any) -> Any:
    def both(*args: Any) -> None:
        try:
            keep(*args)
        except DecodeError as error:
            log.error("a message that is neither known nor readable goes Celery's way: %s", error)  # noqa: TRY400
        then(*args)

    return both


def _celery_backend(bridge: Bridge) -> CeleryBackend:
    for name in bridge.settings.backend_names:
        if bridge.settings.backend_settings(name).engine == "celery":
            backend = bridge.backend(name)
            assert isinstance(backend, CeleryBackend)
            return backend
    raise ConfigError("the settings name no Celery backend: set TASKBRIDGE_BACKEND=celery, or add one to [backends]")


app = serve(default_bridge)
