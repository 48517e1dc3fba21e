"""Links that do nothing but pass on when their chain began; the last writes down what a link of it took."""

from __future__ import annotations

import time

from taskbridge import chain, default_bridge, task


@task(name="bench.begin", queue="bench")
def begin() -> int:
    return time.monotonic_ns()


@task(name="bench.pass_on", queue="bench")
def pass_on(begun_ns: int) -> int:
    return begun_ns


@task(name="bench.end", queue="bench")
def end(begun_ns: int, links: int, path: str) -> None:
    took_ms = (time.monotonic_ns() - begun_ns) / 1e6 / (links - 1)
    with open(path, "a", encoding="ascii") as lines:
        lines.write(f"{took_ms:.4f}\n")


def send_chain(links: int, path: str) -> int:
    """Enqueue a chain; returns how large its message is, bytes, while the store still has it as it was made."""
    receipt = chain([begin.s().using(delay=0.2), *[pass_on.s()] * (links - 2), end.s(links, path)]).enqueue()
    record = default_bridge.store.messages.look(receipt.id)
    assert record
    return len(record.body)
