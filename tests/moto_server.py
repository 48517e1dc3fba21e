"""``python -m tests.moto_server HOST PORT``: moto's server, its SQS made fit for many clients and messages at once.

As it comes, moto 5.2 reads and writes its lists from many threads without a lock, so that a message that is sent while
another is deleted can be gone; and it counts a whole queue, by a slow clock, for each message that is sent. What it
answers is its own. Source: moto/sqs/models.py.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from moto.server import main
from moto.sqs import models
from moto.sqs.exceptions import ReceiptHandleIsInvalid

#: What changes a queue or looks at one; waiting for messages is not among it.
VERBS = (
    *("send_message", "send_message_batch", "delete_message", "delete_message_batch", "purge_queue"),
    *("change_message_visibility", "change_message_visibility_batch", "create_queue", "delete_queue"),
    *("get_queue_attributes", "list_queues"),
)

#: How often a long poll looks for what nobody tells it of: what has become visible again, seconds.
LOOK_S = 0.1

_turn = threading.RLock()
_turn_of: list[str] = []


def in_turn(verb: Callable[..., Any]) -> Callable[..., Any]:
    """One at a time; who sends asks for no counts, though moto makes them."""

    @wraps(verb)
    def alone(*args: Any, **kwargs: Any) -> Any:
        with _turn:
            _turn_of.append(verb.__name__)
            try:
                return verb(*args, **kwargs)
            finally:
                _turn_of.pop()

    return alone


def receive(
    self: Any, queue_name: str, count: int, wait_seconds_timeout: int, visibility_timeout: int, *more: Any, **named: Any
) -> Any:
    """Take turns at looking, and wait in between."""
    deadline_s = time.monotonic() + (wait_seconds_timeout or 0)
    while True:
        with _turn:
            queue = self.get_queue(queue_name)
            found = _receive(self, queue_name, count, 0, visibility_timeout, *more, **named)
        left_s = deadline_s - time.monotonic()
        if found or left_s <= 0:
            return found
        with queue._messages_lock:
            queue._messages_lock.wait(min(left_s, LOOK_S))


def delete(self: Any, receipt_handle: str) -> None:
    """Go through the queue once."""
    if receipt_handle in self.deleted_messages:
        return
    for message in self._messages:
        if receipt_handle == message.receipt_handle or receipt_handle in message._old_receipt_handles:
            self.pending_messages.discard(message)
            self.deleted_messages.update(message.all_receipt_handles)
            self._messages.remove(message)
            return
    raise ReceiptHandleIsInvalid


def visible(self: Any) -> list[Any]:
    """Read the clock once."""
    now_ms = time.time() * 1000
    return [one for one in self._messages if now_ms > one.visible_at and now_ms >= one.delayed_until]


def still_kept(self: Any, queue_name: str, message: Any) -> bool:
    """Whether a message is not too old; counts nothing."""
    kept_s = self.get_queue(queue_name).message_retention_period
    return bool(kept_s + message.sent_timestamp / 1000 > time.time())


def counted(condition: Callable[[Any, float], bool]) -> property:
    """How many messages of a queue are so, reading the clock once."""

    def count(self: Any) -> int:
        if _turn_of and _turn_of[0].startswith("send"):
            return 0
        now_ms = time.time() * 1000
        return sum(condition(one, now_ms) for one in self._messages)

    return property(count)


_receive = models.SQSBackend.receive_message
models.unix_time_millis = lambda _dt=None: time.time() * 1000
models.SQSBackend.receive_message = receive
models.SQSBackend.is_message_valid_based_on_retention_period = still_kept
models.Queue.delete_message = delete
models.Queue.messages = property(visible)
models.Queue.approximate_number_of_messages = counted(
    lambda one, now_ms: now_ms > one.visible_at and now_ms >= one.delayed_until
)
models.Queue.approximate_number_of_messages_delayed = counted(lambda one, now_ms: now_ms < one.delayed_until)
models.Queue.approximate_number_of_messages_not_visible = counted(lambda one, now_ms: now_ms <= one.visible_at)
for name in VERBS:
    setattr(models.SQSBackend, name, in_turn(getattr(models.SQSBackend, name)))

if __name__ == "__main__":
    main(["-H", sys.argv[1], "-p", sys.argv[2]])
