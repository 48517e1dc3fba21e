"""How fast the dashboard's pages are over a store with very many messages: ``python -m tests.benchmarks.dashboard``.

Fills a store of its own by the store's own scripts, which takes some minutes for a million, then asks for each page
twenty times, each on a dashboard that looks anew. The time is that of the whole answer, without a network; the work
is what this process and the server spend of the processor, however busy the machine is with other things.
"""

from __future__ import annotations

import os
import time
from statistics import median
from typing import cast

import click
import msgspec
from werkzeug.test import Client

from taskbridge import Bridge, Settings
from taskbridge.announcement import KIND, Announcement, Known
from taskbridge.dashboard import Dashboard
from taskbridge.operations import migration
from taskbridge.store.redis import RedisStore

from ..crowd import HOUR_MS, QUEUES, TASKS, fill
from ..servers import RedisServer

#: How long a page may take, milliseconds.
TARGET_MS = 300

PAGES = (
    *("/", "/queues", f"/queue?name={QUEUES[3]}", "/tasks", f"/task?name={TASKS[3]}", "/workers"),
    *(f"/messages?shelf={shelf}" for shelf in ("ready", "delayed", "running", "parked")),
    *(f"/messages?shelf=delayed&offset=300000&queue={QUEUES[3]}", "/messages?shelf=delayed&task=none&offset=100000"),
    *(f"/message?id={kind}{n:031x}" for kind, n in (("d", 7), ("x", 7), ("l", 7), ("t", 20_000), ("h", 7))),
    *("/dead", "/dead?offset=150000", f"/dead?task={TASKS[3]}", "/dead?why=none"),
    *("/locks", "/locks?offset=40000", "/lock?key=account:3"),
    *("/limits", "/limits?offset=5000", "/limit?key=provider:3"),
    *("/runs", "/runs?offset=900", f"/run?id=run{1:029x}", "/batches", "/chains"),
    *("/schedules", "/routes", "/migration", "/paused", "/audit", "/dead?offset=9000000"),
)


@click.command()
@click.option("--messages", default=1_000_000, type=click.IntRange(1_000), show_default=True)
@click.option("--times", default=20, type=click.IntRange(1), show_default=True)
@click.option("--dump", type=click.Path(), help="Keep the filled store in this file, or take it from there.")
@click.option("--page", "only", multiple=True, help="Only this path; may be given again.")
def main(messages: int, times: int, dump: str | None, only: tuple[str, ...]) -> None:
    """Print the median and the longest time of each page, and its work."""
    server = RedisServer(settings={"dbfilename": "dump.rdb"})
    server.start_s = 300
    kept = server.directory / "dump.rdb"
    if dump and os.path.exists(dump):
        os.symlink(os.path.abspath(dump), kept)
    with server:
        bridge = Bridge(Settings(broker_url=server.url()))
        _fill(bridge, messages)
        print(f"{server.cli().dbsize():,} keys, {server.cli().info('memory')['used_memory_human']}")
        print("  median  longest     work")
        slow = [path for path in only or PAGES if _measured(bridge, server, path, times) > TARGET_MS]
        print(f"all under {TARGET_MS} ms" if not slow else f"over {TARGET_MS} ms: {', '.join(slow)}")
        if dump and not os.path.exists(dump):
            server.cli().save()
            os.replace(kept, dump)
        bridge.close()


def _fill(bridge: Bridge, messages: int) -> None:
    """Fill it unless it is; workers announce themselves, and a migration goes on."""
    store, began_s = cast("RedisStore", bridge.store), time.monotonic()
    if not store.messages.counts():
        fill(store, messages, keys=messages // 100, flows=messages // 1_000)
        print(f"{messages:,} messages in {time.monotonic() - began_s:.0f} s")
    known = {task: Known(queue=QUEUES[n % len(QUEUES)], positional=("account",)) for n, task in enumerate(TASKS)}
    words = {"queues": list(QUEUES), "processes": 8, "tasks": {task: ["account"] for task in TASKS}, "known": known}
    for n in range(50):
        one = Announcement(name=f"host-{n}", backends=["celery", "dramatiq"], **words)
        store.documents.put(KIND, one.name, msgspec.json.encode(one), HOUR_MS)
    if not bridge.store.migrations.history(1):
        migration.start(bridge, origin="celery", target="dramatiq", tasks=["shop.orders.*"])


def _measured(bridge: Bridge, server: RedisServer, path: str, times: int) -> float:
    """Print how long it took, and return the longest; the first look of a process is not counted."""
    took_ms, worked_ms = [], []
    for _ in range(times + 1):
        dashboard = Dashboard(bridge)
        began_s, before_ms = time.perf_counter(), _work_ms(server)
        answer = Client(dashboard).get(path, base_url="http://localhost")
        took_ms.append((time.perf_counter() - began_s) * 1000)
        worked_ms.append(_work_ms(server) - before_ms)
        assert answer.status_code == 200, f"{path}: {answer.status_code}\n{answer.text}"
        dashboard.close()
    print(f"{median(took_ms[1:]):8.1f} {max(took_ms[1:]):8.1f} {median(worked_ms[1:]):8.1f} ms  {path}")
    return max(took_ms[1:])


def _work_ms(server: RedisServer) -> float:
    """What this process and the server have spent."""
    spent = server.cli().info("cpu")
    return (time.process_time() + spent["used_cpu_user"] + spent["used_cpu_sys"]) * 1000


if __name__ == "__main__":
    main()
