"""What Celery's own worker holds is hidden from others anew, on brokers that hide what was fetched for a time only.

Celery does not: there a task that takes longer comes again while it runs. A copy is recognised, but for tasks that want
no ledger. A worker that dies hides nothing any more.
Touches of Celery that its documentation does not name: ``celery.worker.state.reserved_requests``.
Source: kombu 5.7 transport/redis.py, ``unacked_index``, and transport/SQS, ``delivery_info``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from celery import Celery
from celery.worker import state

from taskbridge.broker import Broker
from taskbridge.clock import SystemClock
from taskbridge.errors import TaskbridgeError
from taskbridge.redis.broker import RedisBroker, publishing
from taskbridge.sqs.broker import SqsBroker

log = logging.getLogger("taskbridge")

#: How often, while what is held is hidden.
TIMES = 3

#: Hides kombu's messages for so many seconds from now on.
Hide = Callable[[Sequence[Any], float], None]


class Renewals:
    """Hides what a worker of this app holds, running or not, in a thread.

    Args:
        app: Celery's.
        broker: its queues.
    """

    def __init__(self, app: Celery, broker: Broker) -> None:
        options = app.conf.broker_transport_options
        self._seconds: float = options.get("visibility_timeout", 0)
        self._hide = _hide(broker, options)

    def start(self, stopping: threading.Event) -> None:
        """Begin, until the worker ends; nothing where the broker hides what is held by itself."""
        if self._hide and self._seconds:
            run = partial(self._run, self._hide, stopping)
            threading.Thread(target=run, name="renewals", daemon=True).start()

    def _run(self, hide: Hide, stopping: threading.Event) -> None:
        while not stopping.wait(self._seconds / TIMES):
            try:
                if held := [request.message for request in _held()]:
                    hide(held, self._seconds)
            except TaskbridgeError as error:
                log.warning("what is held may be seen by others: %s", error)
            except Exception:
                log.exception("what is held was not hidden from others")


def _held() -> list[Any]:
    while True:
        try:
            return list(state.reserved_requests)
        except RuntimeError:  # the worker took one meanwhile
            continue


def _hide(broker: Broker, options: Mapping[str, Any]) -> Hide | None:
    if isinstance(broker, RedisBroker):
        key = options.get("global_keyprefix", "") + options.get("unacked_index_key", "unacked_index")
        return partial(_hide_on_redis, broker, key)
    return partial(_hide_on_sqs, broker) if isinstance(broker, SqsBroker) else None


def _hide_on_redis(broker: RedisBroker, key: str, held: Sequence[Any], _seconds: float) -> None:
    """Say that these were fetched now; what is not there any more stays so."""
    now_s = SystemClock().now_ms() / 1000
    scores = [word for message in held for word in (now_s, str(message.delivery_tag))]
    with publishing(broker.server):
        broker.server.call("ZADD", key, "XX", *scores)


def _hide_on_sqs(broker: SqsBroker, held: Sequence[Any], seconds: float) -> None:
    received = [message.delivery_info for message in held]
    broker.hide([(info["sqs_queue"], info["sqs_message"]["ReceiptHandle"]) for info in received], int(seconds))
