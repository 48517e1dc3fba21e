"""What it costs a child to be seen, where others load the machine: ``python -m tests.benchmarks.paired ENGINE ON ...``.

ENGINE is celery or dramatiq, ON any of json, metrics, sentry; all by default. One process runs a child's loop on a real
Redis, blocks of no-op tasks with and without in turn, so what disturbs one disturbs the other. Shown is the process's
CPU time a task, with all that it writes: the medians of blocks without and with, and of the differences of pairs.
"""

from __future__ import annotations

import gc
import logging
import mmap
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence

from ..servers import RedisServer, free_port
from .processes import produce
from .sides import BRIDGED, QUEUE

COUNT, BLOCK, WARM = 40_000, 256, 8

ALL = ("json", "metrics", "sentry")


def main() -> None:
    """Print a line."""
    engine, *on = sys.argv[1:]
    with RedisServer() as server, tempfile.TemporaryDirectory() as folder:
        produce(BRIDGED[engine], server, "fill", str(COUNT))
        environment = {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": server.url()}
        environment |= {"PROMETHEUS_MULTIPROC_DIR": folder} if "metrics" in (on or ALL) else {}
        os.environ |= environment | {"SENTRY_DSN": f"http://key@127.0.0.1:{free_port()}/1"}
        without, with_it = measure(engine, on or ALL, os.path.join(folder, "log"))
    pairs = [more - less for less, more in zip(without, with_it, strict=True)]
    told = f"{statistics.median(without):6.1f} us a task, {statistics.median(with_it):6.1f} with {', '.join(on or ALL)}"
    print(f"{engine}: {told}: {statistics.median(pairs):+5.1f} ({len(pairs)} pairs)")


def measure(engine: str, on: Sequence[str], path: str) -> tuple[list[float], list[float]]:
    """Run all that is there; returns microseconds a task of the blocks without and with what is on."""
    from taskbridge import default_bridge as bridge  # it reads the environment
    from taskbridge.backend import runner_of
    from taskbridge.observe.logs import gather, log_event, set_up_logs
    from taskbridge.worker.loop import Loop, Source
    from taskbridge.worker.slots import SLOT_SIZE, Slot

    from .tasks import bridged  # noqa: F401 - declares them

    standard_error = os.dup(2)
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    set_up_logs("INFO", "json")
    bridge.observe(*(name for name in on if name != "json"))
    bridge.events.subscribe(log_event)
    runner = runner_of(bridge.backend(engine), bridge.definitions)
    consumer, slot = bridge.backend(engine).consumer([QUEUE], "paired", bridge.store), Slot(mmap.mmap(-1, SLOT_SIZE), 0)
    source = Source(backend=engine, consumer=consumer, runner=runner)
    loop = Loop("paired", [source], bridge.runtime, slot, lambda *_: None, lambda: None, watch=slot)
    runner.start()
    bridge.hooks.start()
    gather(logging.root.handlers, bridge.store.server)
    events, trace, server = bridge.events, bridge.trace, bridge.store.server
    listeners, attempts, trips = [*events._listeners], [*trace.attempts], server.trips
    gc.collect()
    gc.freeze()

    def turn(seen: bool) -> None:
        events._listeners, events._of = (listeners if seen else [(log_event, listeners[-1][1])]), {}
        trace.attempts[:] = attempts if seen else []
        server.trips = trips if seen else None
        logging.getLogger("taskbridge.tasks").setLevel(logging.INFO if seen and "json" in on else logging.WARNING)

    def block(seen: bool) -> float:
        turn(seen)
        for _ in range(WARM):
            loop.step()
        began_s = time.process_time()
        for _ in range(BLOCK):
            loop.step()
        logging.root.handlers[0].flush()
        return (time.process_time() - began_s) / BLOCK * 1e6

    took: dict[bool, list[float]] = {False: [], True: []}
    for n in range(COUNT // (2 * (BLOCK + WARM)) - 1):
        for seen in (n % 2 == 0, n % 2 == 1):
            took[seen].append(block(seen))
    os.dup2(standard_error, 2)
    return took[False][1:], took[True][1:]


if __name__ == "__main__":
    main()
