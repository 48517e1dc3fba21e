"""Taskbridge tasks inside Celery: its tracer in our children, and an app for its own command.

Celery's own policies are off (no retry, no rate limit, no time limit, acknowledgement late): the core decides. Its
signals, ``self.request``, its result backend and its integrations work as ever.
Touches of Celery that its documentation does not name: ``celery.app.trace.trace_task``, ``build_tracer``,
``setup_worker_optimizations``; ``tests/wire/test_engine_names.py`` holds that they exist.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from celery import Celery, signals
from celery.app import trace
from celery.exceptions import Ignore
from celery.exceptions import Retry as CeleryRetry

from taskbridge.backend import VISIBILITY_MS, Delivery, Place
from taskbridge.broker import KINDS
from taskbridge.definition import Definition, Definitions
from taskbridge.errors import TaskbridgeError
from taskbridge.outcome import Again, Done, Ended, Outcome
from taskbridge.redis.url import scheme
from taskbridge.sqs.client import POLL_S
from taskbridge.sqs.names import Names
from taskbridge.sqs.queues import ATTRIBUTES, VISIBILITY_S
from taskbridge.sqs.url import parse

Attempt = Callable[[], Outcome]

#: How often kombu looks whether it may poll SQS again while all it may hold is held, seconds; with 0 it never rests.
#: Source: kombu 5.7 transport/SQS, ``_loop1``.
POLLING_INTERVAL_S = 0.02


class Worker:
    """Who sends Celery's start-up signals; compared by identity, for Celery keeps its senders in a dict."""

    def __init__(self, app: Celery, hostname: str) -> None:
        self.app = app
        self.hostname = hostname


class CeleryRunner:
    """Runs attempts inside Celery's tracer, in one of our children."""

    def __init__(self, place: Place, conf: Mapping[str, Any], definitions: Definitions) -> None:
        self._app = new_app(place, conf, fixups=())
        self._hostname = f"taskbridge@{socket.gethostname()}"
        self._worker = Worker(self._app, self._hostname)
        self._attempt: Attempt | None = None
        self._outcome: Outcome | None = None
        for definition in definitions.values():
            declare(self._app, definition, self._traced)

    def start(self) -> None:
        signals.worker_init.send(sender=self._worker)
        self._app.loader.import_default_modules()
        self._app.finalize()
        trace.setup_worker_optimizations(self._app, self._hostname)
        for name, task in self._app.tasks.items():
            task.__trace__ = trace.build_tracer(name, task, self._app.loader, self._hostname, app=self._app)
        signals.worker_process_init.send(sender=None)

    def run(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        message = delivery.message
        if message is None or message.task not in self._app.tasks:
            return attempt()
        request, args, kwargs = _request(delivery, self._hostname)
        self._attempt = attempt
        self._forget()
        try:
            trace.trace_task(self._app.tasks[message.task], request["id"], args, kwargs, request, app=self._app)
        finally:
            self._attempt = None
        outcome: Outcome | None = self._outcome  # set by _traced, inside the tracer
        return outcome or Ended(how="dead", why="Celery's tracer never entered the task; see its log")

    def _forget(self) -> None:
        self._outcome = None

    def stop(self) -> None:
        signals.worker_process_shutdown.send(sender=None, pid=None, exitcode=0)
        signals.worker_shutdown.send(sender=self._worker)

    def _traced(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        if self._attempt is None:  # called by other code of the same process, not delivered
            return task.taskbridge.function(*args, **kwargs)
        outcome = self._outcome = self._attempt()
        return spoken(outcome)


def new_app(place: Place, conf: Mapping[str, Any], fixups: Iterable[str] | None = None) -> Celery:
    """Return a Celery app on a backend's broker, with every policy of its own off.

    Args:
        place: where the backend stands.
        conf: the team's own configuration.
        fixups: Celery's own; None means all. Its one for Django checks the whole project in each process, and closes
            every connection after each task, whatever Django's settings say.
    """
    url, transport = _TRANSPORTS[KINDS[scheme(place.broker_url)]](place)
    app = Celery("taskbridge", broker=url, set_as_current=False, fixups=fixups)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_default_queue=place.queue_prefix + "default",
        task_create_missing_queues=True,
        accept_content=["json"],
        task_ignore_result=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_enable_remote_control=True,
        broker_transport_options=transport,
    )
    app.conf.update(conf)
    return app


def _on_redis(place: Place) -> tuple[str, dict[str, Any]]:
    """Return kombu's URL and options: what was fetched lies under keys of our own, and comes back within a minute."""
    keys = f"{{{place.namespace}}}:celery:"
    return place.broker_url, {
        "visibility_timeout": VISIBILITY_MS // 1000,
        "unacked_key": keys + "unacked",
        "unacked_index_key": keys + "unacked_index",
        "unacked_mutex_key": keys + "unacked_mutex",
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        "socket_timeout": 10,
        "socket_keepalive": True,
    }


def _on_sqs(place: Place) -> tuple[str, dict[str, Any]]:
    """Return kombu's URL and options: long polls, and queues as ours are when kombu makes them.

    Source: kombu 5.7 transport/SQS.
    """
    address, names = parse(place.broker_url), Names(prefix=place.queue_prefix)
    login = f"{quote(address.key, safe='')}:{quote(address.secret, safe='')}@" if address.key else ""
    options: dict[str, Any] = {
        "is_secure": address.secure,
        "visibility_timeout": VISIBILITY_S,
        "wait_time_seconds": POLL_S,
        "polling_interval": POLLING_INTERVAL_S,
        "sqs-creation-attributes": ATTRIBUTES,
    }
    options |= {"region": address.region} if address.region else {}
    given = {name: {"url": url} for name, url in names.given(place.queues).items()}
    options |= {"predefined_queues": given} if given else {}
    return f"sqs://{login}{address.endpoint.partition('://')[2]}//", options


#: How kombu stands on each kind of broker.
_TRANSPORTS = {"redis": _on_redis, "sqs": _on_sqs}


def declare(app: Celery, definition: Definition, run: Callable[..., Any]) -> None:
    """Give Celery a task of this name whose body is ``run(task, *args, **kwargs)``."""
    options = {"name": definition.name, "bind": True, "typing": False, "shared": False, "taskbridge": definition}
    app.task(_body(run), **options)


def spoken(outcome: Outcome) -> Any:
    """Say an outcome in Celery's words: return it, or raise what its tracer and integrations understand."""
    if isinstance(outcome, Done):
        return outcome.result
    if isinstance(outcome, Again) and outcome.counted:
        raise CeleryRetry(outcome.why, outcome.error, outcome.after_ms / 1000)
    if isinstance(outcome, Ended) and outcome.how == "dead":
        raise outcome.error or TaskbridgeError(outcome.why)
    raise Ignore(getattr(outcome, "why", ""))


def _body(run: Callable[..., Any]) -> Callable[..., Any]:
    def body(self: Any, *args: Any, **kwargs: Any) -> Any:
        return run(self, *args, **kwargs)

    return body


def _request(delivery: Delivery, hostname: str) -> tuple[dict[str, Any], Any, Any]:
    """Return what Celery's tracer is handed: request, args, kwargs."""
    message, envelope = delivery.message, delivery.envelope
    assert message is not None
    args, kwargs = msgspec.json.decode(message.args), msgspec.json.decode(message.kwargs)
    embed = msgspec.json.decode(message.native).get("embed", {}) if message.engine == "celery" else {}
    request = {
        **envelope.headers,
        "hostname": hostname,
        "is_eager": False,
        "delivery_info": envelope.properties.get("delivery_info", {}),
        "correlation_id": envelope.properties.get("correlation_id"),
        "reply_to": envelope.properties.get("reply_to"),
        **embed,
    }
    return request, args, kwargs
