"""One task API over Celery and Dramatiq, with the same meaning on both.

::

    from taskbridge import task

    @task(queue="emails")
    def send_report_email(user_id: int) -> None: ...

    send_report_email.enqueue(7)
"""

from .bridge import Bridge
from .config import Settings
from .current import Current, current
from .enqueue import Enqueued, Receipt
from .errors import Drop, HardTimeout, LockHeld, Reschedule, Retry, SoftTimeout, TaskbridgeError, Throttled
from .flow.chain import Chain, ChainReceipt, chain
from .flow.chunk import Chunk
from .flow.chunked import chunked
from .flow.cursors import cursor, keyset, stream
from .flow.intervals import dates, ids, times
from .flow.progress import BatchProgress, BatchReceipt
from .flow.signature import Signature
from .options import TaskOptions
from .policies.lock import Lock
from .policies.rate import RateLimit
from .policies.retry import Backoff
from .policies.schedule import cron, every
from .task import Task

__all__ = [
    "Backoff",
    "BatchProgress",
    "BatchReceipt",
    "Bridge",
    "Chain",
    "ChainReceipt",
    "Chunk",
    "Current",
    "Drop",
    "Enqueued",
    "HardTimeout",
    "Lock",
    "LockHeld",
    "RateLimit",
    "Receipt",
    "Reschedule",
    "Retry",
    "Settings",
    "Signature",
    "SoftTimeout",
    "Task",
    "TaskOptions",
    "TaskbridgeError",
    "Throttled",
    "after_task",
    "batch",
    "batch_progress",
    "before_task",
    "chain",
    "chunked",
    "cron",
    "current",
    "cursor",
    "dates",
    "default_bridge",
    "every",
    "external",
    "ids",
    "keyset",
    "limit",
    "lock",
    "middleware",
    "on_failure",
    "on_worker_start",
    "open_batch",
    "stream",
    "subscribe",
    "task",
    "times",
]

#: The default bridge; it reads the environment on first use.
default_bridge = Bridge()
task = default_bridge.task
external = default_bridge.external
lock = default_bridge.lock
limit = default_bridge.limit
batch = default_bridge.batch
open_batch = default_bridge.open_batch
batch_progress = default_bridge.batch_progress
subscribe = default_bridge.subscribe
before_task = default_bridge.before_task
after_task = default_bridge.after_task
on_failure = default_bridge.on_failure
on_worker_start = default_bridge.on_worker_start
middleware = default_bridge.middleware
