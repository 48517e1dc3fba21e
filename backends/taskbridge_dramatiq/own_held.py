"""What Dramatiq's own worker holds on SQS is hidden from others anew; dramatiq-sqs hides it once.

There a task that takes longer comes again while it runs. A copy is recognised, but for tasks that want no ledger. A
worker that dies hides nothing any more.
Source: dramatiq-sqs 0.4 broker.py, ``SQSConsumer``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from dramatiq_sqs.broker import SQSConsumer

from taskbridge.clock import SystemClock
from taskbridge.errors import TaskbridgeError

log = logging.getLogger("taskbridge")

#: How often, while what is held is hidden.
TIMES = 3

#: Hides messages by queue URL and receipt handle for so many seconds from now on.
Hide = Callable[[Iterable[tuple[str, str]], int], None]


class Held:
    """What a process's consumers have handed to its worker: hidden anew by a thread until that is done with it.

    Args:
        hide: asks SQS.
        seconds: for how long each time.
    """

    def __init__(self, hide: Hide, seconds: int) -> None:
        self._hide, self._seconds = hide, seconds
        self._urls: dict[str, str] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, message: Any) -> None:
        """The worker has it."""
        with self._lock:
            self._urls[message._sqs_message.receipt_handle] = message._sqs_message.queue_url
            if self._thread is None:
                self._thread = threading.Thread(target=self._renew, name="renewals", daemon=True)
                self._thread.start()

    def forget(self, message: Any) -> None:
        """The worker is done with it, or has given it back."""
        self._urls.pop(message._sqs_message.receipt_handle, None)

    def _renew(self) -> None:
        while True:
            SystemClock().sleep(self._seconds / TIMES)
            try:
                self._hide([(url, handle) for handle, url in list(self._urls.items())], self._seconds)
            except TaskbridgeError as error:
                log.warning("what is held may be seen by others: %s", error)
            except Exception:
                log.exception("what is held was not hidden from others")


class Consumer(SQSConsumer):
    """Says what its worker holds; another takes its place when SQS was away, and what it had handed out is held yet.

    Args:
        held: that of the process.
        others: as Dramatiq's has them.
    """

    def __init__(self, held: Held, *others: Any, **more: Any) -> None:
        super().__init__(*others, **more)
        self._held = held

    def __next__(self) -> Any:
        message = super().__next__()
        if message is not None:
            self._held.add(message)
        return message

    def ack(self, message: Any) -> None:
        self._held.forget(message)
        super().ack(message)

    def nack(self, message: Any) -> None:
        self._held.forget(message)
        super().nack(message)

    def requeue(self, messages: Iterable[Any]) -> None:
        back = list(messages)
        for message in back:
            self._held.forget(message)
        super().requeue(back)
