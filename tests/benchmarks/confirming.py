"""``python -m tests.benchmarks.confirming``: what ``store_wait`` costs the end of a message.

A primary and its replica on loopback, so the trip between them is the least there is; one connection that begins and
finishes no-op messages one by one, as a child does that takes from a broker on another server. The kinds are measured
in turn, in short rounds; medians, and processor time of this process.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack, closing

from rich.console import Console
from rich.table import Table as Shown

from taskbridge.store import Begin, Finish
from taskbridge.store.redis import RedisStore
from taskbridge.store_wait import StoreWait
from taskbridge.testing import a_message
from tests.servers import RedisServer, acknowledged, replica_of, until

#: Messages of a round, and rounds.
MESSAGES = 200
ROUNDS = 25

#: What is waited for: nothing, by servers that write each second and always, and a replica.
WAITS = {
    "nothing": ("everysec", None),
    "nothing, appendfsync always": ("always", None),
    "a replica": ("everysec", StoreWait(kind="replica", timeout_ms=3_000)),
}


def measured(store: RedisStore) -> tuple[list[float], float]:
    """Finish a round of messages; returns what each took, and the processor time of each begin and finish, seconds."""
    took_s = []
    used_s = time.process_time()
    for _ in range(MESSAGES):
        message = a_message()
        store.claims.begin(Begin(message=message, body=b"{}", claim="c", max_crashes=1))
        began_s = time.perf_counter()
        store.claims.finish(Finish(id=message.id, claim="c", state="DONE"))
        took_s.append(time.perf_counter() - began_s)
    return took_s, (time.process_time() - used_s) / MESSAGES


def main() -> None:
    """Measure in turn and show medians."""
    took: dict[str, list[float]] = {name: [] for name in WAITS}
    used: dict[str, list[float]] = {name: [] for name in WAITS}
    with ExitStack() as stack:
        stores = {}
        for name, (appendfsync, wait) in WAITS.items():
            primary = stack.enter_context(RedisServer(appendonly=True, appendfsync=appendfsync))
            stack.enter_context(replica_of(primary))
            until(lambda primary=primary: acknowledged(primary), 20, "the replica follows")
            stores[name] = stack.enter_context(closing(RedisStore(primary.url(), "bench", wait)))
        for _ in range(ROUNDS):
            for name, store in stores.items():
                of_each, processor_s = measured(store)
                took[name] += of_each
                used[name].append(processor_s)
    shown = Shown("an end waits for", "finish, µs: median", "p95", "processor of begin and finish, µs")
    for name, of_each in took.items():
        median_s, p95_s = statistics.median(of_each), statistics.quantiles(of_each, n=20)[-1]
        shown.add_row(name, f"{median_s * 1e6:.0f}", f"{p95_s * 1e6:.0f}", f"{min(used[name]) * 1e6:.0f}")
    Console(width=120).print(shown)


if __name__ == "__main__":
    main()
