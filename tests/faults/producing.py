"""A producer that produces and a worker that works while something happens to what they stand on."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable

from .evidence import Tally
from .harness import Producer, Stage

FAST = 0.005

#: How many are sent a second.
PACE = 100.0


def produce(producer: Producer, ids: Iterable[int], stopping: threading.Event, pace: float = PACE) -> None:
    """Send some of each kind, about so many a second, until told to stop."""
    for n in ids:
        if stopping.wait(random.expovariate(pace)):
            return
        kind = n % 5
        if kind == 0:
            producer.send("flaky", [n])
        elif kind == 1:
            producer.send("once", [n], FAST, delay=random.uniform(0.1, 3))
        else:
            producer.send("once" if kind == 2 else "plain", [n], FAST)


def kinds(ids: Iterable[int]) -> set[int]:
    """Those that end with an effect."""
    return {n for n in ids if n % 5 < 3}


def while_producing(stage: Stage, url: str, trouble: Callable[[], None]) -> Tally:
    """Have trouble while a producer produces and a worker works; then wait for the rest, and count."""
    stage.worker(url=url)
    producer, stopping = stage.producer(url), threading.Event()
    thread = threading.Thread(target=produce, args=(producer, range(100_000), stopping))
    began_s = time.monotonic()
    thread.start()
    try:
        trouble()
    finally:
        stopping.set()
        thread.join()
    stage.until_done(producer.sent, kinds(producer.sent))
    took_s = time.monotonic() - began_s
    more = {"unsure": len(producer.unsure), "kills": stage.kills}
    return stage.evidence.tally(producer.sent, took_s, kinds(producer.sent), **more)
