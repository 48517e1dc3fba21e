"""What evidence costs: ``python -m tests.benchmarks.gathering``, in the process that runs tasks and in the store.

The listener's time is the processor's, of the three events of a task, with it and without, the least of several rounds.
The store is one of its own on the same machine, and its time the clock's; its hour has a hundred tasks a second on two
sides, told by one process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from taskbridge import Bridge, Settings
from taskbridge.events import Events, Received, Started, Succeeded
from taskbridge.evidence import Slice
from taskbridge.evidence.gatherer import Gatherer, Teller
from taskbridge.store.evidence import KEPT_MS, SLICE_MS

from ..servers import RedisServer
from ..unit.evidence.ramps import EQUAL, a_slice

TASKS, ROUNDS = 20_000, 7
SIDES = ("celery", "dramatiq")
WHO = {"id": "1", "task": "book", "queue": "mail", "backend": "celery"}


def main() -> None:
    """Print a line for each."""
    with RedisServer() as server:
        bridge = Bridge(Settings(backend="celery", broker_url=server.url()))
        plain = Events()
        alone_us = spent_us(lambda: task(plain), now_ns=time.process_time_ns)
        for name, watched in (("watched", {"book"}), ("not watched", {"send"})):
            events = Events()
            Gatherer(events, lambda: bridge.clock, lambda: bridge.store.evidence)
            Teller.begin, begin = lambda teller, watched=watched: setattr(teller, "_watched", watched), Teller.begin
            spent = spent_us(lambda events=events: task(events), now_ns=time.process_time_ns)
            print(f"a task that is {name}: {spent - alone_us:.2f} us")
            Teller.begin = begin
        hour(bridge, server)
        bridge.close()


def task(events: Events) -> None:
    """What one task tells."""
    events.emit(Received(**WHO))
    events.emit(Started(waited_ms=3, **WHO))
    events.emit(Succeeded(ran_ms=20.5, **WHO))


def hour(bridge: Bridge, server: RedisServer) -> None:
    """Fill an hour of the store, and ask it."""
    random, evidence, now_ms = Random(0), bridge.store.evidence, bridge.store.now_ms()
    evidence.watch({"book": now_ms + KEPT_MS})
    last_ms, turn = now_ms // SLICE_MS * SLICE_MS, 0
    before = used(server)
    for n in range(KEPT_MS // SLICE_MS - 1):
        turn += 1
        evidence.add([told(random, side, last_ms - n * SLICE_MS) for side in SIDES], teller="a", turn=turn)
    kept = len(server.cli().keys("*evidence:*"))
    print(f"an hour of one task on two sides: {(used(server) - before) / 1024:.0f} KiB, {kept} slices")
    turns = iter(range(turn + 1, 10**6))
    slices = [told(random, side, last_ms) for side in SIDES]
    print(f"to tell two slices: {spent_us(lambda: evidence.add(slices, teller='a', turn=next(turns)), 200):.0f} us")
    print(f"to ask who is watched: {spent_us(evidence.watched, 200):.0f} us")
    for minutes in (2, 60):
        since_ms = last_ms - minutes * 60_000
        spent = spent_us(lambda since_ms=since_ms: evidence.read("book", SIDES, since_ms, last_ms + 1), 20)
        print(f"to read {minutes} minutes of two sides: {spent / 1000:.1f} ms")


def told(random: Random, side: str, at_ms: int) -> Slice:
    """Ten seconds of a side with half of a hundred tasks a second."""
    found = a_slice(random, EQUAL, at_ms, 500)
    return Slice(**{name: getattr(found, name) for name in found.__struct_fields__} | {"backend": side, "task": "book"})


def used(server: RedisServer) -> int:
    """How much memory the server's data takes, bytes."""
    stats: dict[str, int] = server.cli().info("memory")
    return stats["used_memory_dataset"]


def spent_us(call: Callable[[], object], times: int = TASKS, now_ns: Callable[[], int] = time.perf_counter_ns) -> float:
    """How long one call takes, microseconds: the least of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        begun_ns = now_ns()
        for _ in range(times):
            call()
        rounds.append((now_ns() - begun_ns) / times / 1000)
    return min(rounds)


if __name__ == "__main__":
    main()
