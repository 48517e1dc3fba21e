"""The tasks of the tests of metrics: each comes to an end of its own, and one counts with prometheus_client itself."""

from __future__ import annotations

import os
import signal
import time

from prometheus_client import Counter, Gauge

from taskbridge import Backoff, Drop, Reschedule, current, task

QUEUE = "faults"

PAID = Counter("bank_paid", "Cents that were moved.", ["currency"])
OPENED = Counter("bank_opened", "Accounts; without labels it is begun where it is declared.")
LIVING = Gauge("bank_living", "Processes that have run a task.", multiprocess_mode="livesum")

AT_ONCE = Backoff(max_retries=1, base=0, cap=0)


@task(queue=QUEUE)
def pays(n: int) -> None:
    """Counts what it moved."""
    PAID.labels("EUR").inc(5)
    OPENED.inc()
    LIVING.set(1)


@task(queue=QUEUE, retry=AT_ONCE)
def broken(n: int) -> None:
    """Fails each time."""
    raise LookupError(f"no account {n}")


@task(queue=QUEUE, retry=Backoff(max_retries=0))
def hopeless(n: int) -> None:
    """Fails once, and for good."""
    raise LookupError(f"no account {n}")


@task(queue=QUEUE)
def looks(n: int) -> None:
    """Asks to look again, once."""
    if current().starts == 1:
        raise Reschedule(0)


@task(queue=QUEUE)
def useless(n: int) -> None:
    """Is dropped."""
    raise Drop(f"nobody wants {n}")


@task(queue=QUEUE, max_crashes=2)
def deadly(n: int) -> None:
    """Kills the process that runs it."""
    os.kill(os.getpid(), signal.SIGKILL)


@task(queue=QUEUE)
def sleeps(n: int, seconds: float) -> None:
    """Takes its time."""
    time.sleep(seconds)
