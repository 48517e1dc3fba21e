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
from .errors import Drop, HardTimeout, Reschedule, Retry, SoftTimeout, TaskbridgeError
from .options import TaskOptions
from .policies.retry import Backoff
from .task import Task

__all__ = [
    "Backoff",
    "Bridge",
    "Current",
    "Drop",
    "Enqueued",
    "HardTimeout",
    "Receipt",
    "Reschedule",
    "Retry",
    "Settings",
    "SoftTimeout",
    "Task",
    "TaskOptions",
    "TaskbridgeError",
    "current",
    "default_bridge",
    "external",
    "subscribe",
    "task",
]

#: The default bridge; it reads the environment on first use.
default_bridge = Bridge()
task = default_bridge.task
external = default_bridge.external
subscribe = default_bridge.subscribe
