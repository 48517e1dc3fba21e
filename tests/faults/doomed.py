"""``python -m tests.faults.doomed BACKEND LEFT ARGUMENTS...``: ``taskbridge``, killed in the middle of a drain.

A thread of the process itself sends it SIGKILL when at most LEFT messages are left in the backend's queue: another
process, where it waits for its turn on a busy machine, finds that the drain has ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import taskbridge.redis.leftovers
import taskbridge_celery.leftovers
import taskbridge_dramatiq.leftovers
from taskbridge import Bridge, Settings
from taskbridge.cli import main

#: How many messages a drain takes at a time: so few that a kill comes in the middle of the work.
PAGE = 5

#: How long between two looks, seconds: a page takes about as long.
EVERY_S = 0.001


def doom(source: str, left: int) -> None:
    """Wait until so few are left, and die."""
    backend = Bridge(
        Settings(
            backend=os.environ["TASKBRIDGE_BACKEND"],
            broker_url=os.environ["TASKBRIDGE_BROKER_URL"],
            store_url=os.environ["TASKBRIDGE_STORE_URL"],
        )
    ).backend(source)
    while backend.depth("faults") > left:
        time.sleep(EVERY_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    for module in (taskbridge.redis.leftovers, taskbridge_celery.leftovers, taskbridge_dramatiq.leftovers):
        module.PAGE = PAGE
    threading.Thread(target=doom, args=(sys.argv.pop(1), int(sys.argv.pop(1))), daemon=True).start()
    main()
