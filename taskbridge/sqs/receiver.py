"""Receive from one queue of SQS: at once when it is asked, and by a long poll, in a thread, once it was found empty.

An open poll says that its queue is empty, as far as is known, so an idle worker sends one request in twenty seconds. It
is not renewed while the loop runs a long task.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from ..clock import SystemClock
from ..errors import ConfigError, TaskbridgeError
from .client import POLL_S, Client, NoQueue, Refused
from .queues import VISIBILITY_S, Queues
from .receipts import MOST, Receipt, Receipts

T = TypeVar("T")

log = logging.getLogger("taskbridge.worker")

#: How often to look for a queue that is not there, or may not be read, seconds: first, for a new worker is often met by
#: the first messages of their kind, and at most, a third as often as a poll.
LOOK_S = (0.5, 60.0)

#: How long a queue that SQS refuses for now is left alone, seconds: first, and at most. Others are asked meanwhile.
REST_S = (0.5, 20.0)


class Receiver:
    """Receives from one part of a queue.

    Args:
        queue: which queue.
        part: which part of it, as ``names.PARTS`` has them; the queue itself is made when it is not there.
        queues: where they are.
        client: what is asked.
        receipts: where what a poll brings goes.
    """

    def __init__(self, queue: str, part: str, queues: Queues, client: Client, receipts: Receipts) -> None:
        self.queue = queue
        self.name = queue + part
        self.polling = False
        self.most = 1
        self._part = part
        self._queues = queues
        self._client = client
        self._receipts = receipts
        self._clock = SystemClock()
        self._url = ""
        self._lost = False
        self._look_at_s = 0.0
        self._look_s, self._rarely_s = LOOK_S
        self._rests_until_s = 0.0
        self._rest_s = REST_S[0]
        self._thread: threading.Thread | None = None

    def ask(self) -> list[Receipt]:
        """Return what is there now, ``most`` at most; a poll begins when there is nothing.

        Raises:
            BrokerUnavailable: no answer, or one that says "not now": the next to ask is told that nothing is there.
        """
        if self._clock.monotonic_s() < self._rests_until_s or not self._asked(self._there):
            return []
        try:
            got = self._asked(lambda: self._receive(0))
        except ConfigError as error:
            self._lose(error)
            return []
        self._rest_s = REST_S[0]
        if not got:
            self._poll()
        return got

    def _asked(self, question: Callable[[], T]) -> T:
        """Ask; after a refusal nothing is asked for a while, ever longer."""
        try:
            return question()
        except Refused:
            self._rests_until_s = self._clock.monotonic_s() + self._rest_s
            self._rest_s = min(self._rest_s * 2, REST_S[1])
            raise

    def _there(self) -> bool:
        if not self._url and not self._lost:
            self._url = self._queues.known(self.queue, self._part)
        if self._url or self._clock.monotonic_s() < self._look_at_s:
            return bool(self._url)
        self._lost = False
        try:
            self._url = self._queues.find(self.queue, self._part) if self._part else self._queues.need(self.queue)
        except ConfigError as error:
            self._lose(error)
        self._look_at_s = self._clock.monotonic_s() + self._look_s
        self._look_s = min(self._look_s * 2, self._rarely_s)
        return bool(self._url)

    def _lose(self, error: ConfigError) -> None:
        """It is not there, or may not be read: others are served, and it is looked for again."""
        if isinstance(error, NoQueue):
            log.warning("the queue %s is gone and is looked for again: %s", self.name, error)
            self._queues.forget(self._url)
        else:
            log.error("the queue %s is not served, and tried again in %.0f s: %s", self.name, self._rarely_s, error)
        self._lost, self._url, self._look_s = True, "", self._rarely_s
        self._look_at_s = self._clock.monotonic_s() + self._rarely_s

    def _receive(self, wait_s: int) -> list[Receipt]:
        answer = self._client.call(
            "receive_message",
            polls=bool(wait_s),
            QueueUrl=self._url,
            MaxNumberOfMessages=min(self.most, MOST),
            WaitTimeSeconds=wait_s,
            VisibilityTimeout=VISIBILITY_S,
        )
        until_s = self._clock.monotonic_s() + VISIBILITY_S
        return [
            Receipt(url=self._url, handle=one["ReceiptHandle"], queue=self.queue, text=one["Body"], until_s=until_s)
            for one in answer.get("Messages", ())
        ]

    def _poll(self) -> None:
        with self._receipts.changed:
            self.polling = True
            self._receipts.changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"poll {self.name}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        receipts = self._receipts
        while True:
            with receipts.changed:
                receipts.changed.wait_for(lambda: self.polling or receipts.closed)
                if receipts.closed:
                    return
            got = self._try()
            with receipts.changed:
                self.polling = got is not None and not got and receipts.lively
            if got:
                receipts.bring(self.name, got)

    def _try(self) -> list[Receipt] | None:
        """Poll once; None when it failed, which the loop will see for itself."""
        try:
            return self._receive(POLL_S)
        except TaskbridgeError as error:
            log.debug("a poll of %s ended: %s", self.name, error)
        except Exception:
            log.exception("a poll of %s failed", self.name)
        return None
