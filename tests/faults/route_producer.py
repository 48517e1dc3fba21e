"""A producer process: sends numbers at a pace, and notes of each when it began to and when it had.

ARGV: the broker's URL, the first number, seconds from one to the next, the file of its notes, the file that ends it.
"""

from __future__ import annotations

import sys
import time
from itertools import count, takewhile
from pathlib import Path

from taskbridge import Bridge, Settings

#: So many users send; each number is of one.
USERS = 400

#: Each so manyth number is delayed, and leaves the store later.
DELAYED = 10


def main(url: str, first: str, pace_s: str, notes: str, enough: str) -> None:
    """Send until the last file is there."""
    bridge = Bridge(Settings(backend="celery", broker_url=url))
    task = bridge.task(name="tests.faults.route_tasks.routed", queue="faults", tags=["routed"])(
        lambda n, user_id: None  # the worker's own is the one that runs
    )
    next_s = time.monotonic()
    with Path(notes).open("w", buffering=1) as file:  # a line is there when it is written
        for n in takewhile(lambda _: not Path(enough).exists(), count(int(first))):
            began_ms = time.time_ns() // 1_000_000
            if n % DELAYED:
                task.enqueue(n, n % USERS)
            else:
                task.using(delay=0.5).enqueue(n, n % USERS)
            file.write(f"{n} {began_ms} {time.time_ns() // 1_000_000 + 1}\n")
            next_s += float(pace_s)
            time.sleep(max(0.0, next_s - time.monotonic()))
    bridge.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
