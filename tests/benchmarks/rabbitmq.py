"""Rows on RabbitMQ: one enqueue, ``enqueue_many``, no-op tasks a second; both sides confirm and prefetch alike.

One node serves all of them, for it takes longer to come up than to be measured; its queues are deleted in between. A
message that was fetched is not seen from outside, so a rate counts from when a tenth was fetched until all were: the
last that lie in the workers' hands, some sixty of ten thousand, are left out on both sides.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from ..rabbitmq import RabbitServer, connected
from ..servers import RedisServer
from . import sides
from .enqueueing import IN_BULK, ONE_BY_ONE
from .processes import produce, worker
from .runner import Case, Figures, Row, Target
from .sides import QUEUE, Side
from .working import COUNT, rate

#: Engine, its call, its worker, and what an engine calls the queue here.
NAMES = {"celery": QUEUE, "dramatiq": f"{QUEUE}-dramatiq"}
CALLS = {"celery": "delay", "dramatiq": "send"}

#: How many each process of a native worker has fetched at most: as many as ours takes ahead of short tasks.
PREFETCH = 32


class Stand:
    """A RabbitMQ, and the Redis of a side that needs a store; ``directory`` is for logs.

    ``channel`` is what looks at queues: a connection for each look would cost the node more than the look.
    """

    def __init__(self, node: RabbitServer, store: RedisServer, channel: Any) -> None:
        self._node, self._store, self._channel = node, store, channel
        self.directory: Path = store.directory
        self.port, self.store_port = node.port, store.port

    def url(self) -> str:
        return self._node.url()

    def store_url(self) -> str:
        return self._store.url()

    def waiting(self, name: str) -> int:
        """How many messages wait in a queue."""
        return int(self._channel.queue_declare(name, passive=True)[1])


@cache
def node() -> RabbitServer:
    """Return the one node, which ends with this process."""
    server = RabbitServer()
    atexit.register(server.__exit__)
    server.start()
    return server


@contextmanager
def stand() -> Iterator[Stand]:
    """A stand whose queues are not there yet."""
    with RedisServer() as store, connected(node().url()) as channel:
        for name in NAMES.values():
            for part in ("-front", "-high", "", "-low", ".DQ"):
                channel.queue_delete(name + part)
        yield Stand(node(), store, channel)


def native(engine: str) -> Side:
    """The engine's own worker."""
    side: Side = {"celery": sides.CELERY, "dramatiq": sides.DRAMATIQ}[engine]
    environment = {"BENCH_PREFETCH": str(PREFETCH // 2), "dramatiq_queue_prefetch": str(PREFETCH)}
    shown = f"{side.shown}, confirms, prefetch {PREFETCH}"
    return replace(side, shown=shown, left=_left(engine), environment=environment)


def ours(engine: str) -> Side:
    """Ours, on its defaults."""
    return replace(sides.BRIDGED[engine], left=_left(engine))


def light(engine: str) -> Side:
    """Ours, of a task that wants no ledger."""
    return replace(sides.LIGHT[engine], left=_left(engine))


def _left(engine: str) -> Callable[[Stand], int]:
    return lambda stand: stand.waiting(NAMES[engine])


def cases() -> list[Case]:
    """Return the cases of this family."""
    found = []
    for engine, call in CALLS.items():
        shown = f"a loop of {call}, 2 kwargs, confirmed one by one"
        for name, how, target in (("one enqueue", "one", 1.0), ("enqueue_many", "bulk", 3.0)):
            row = Row(name=f"{engine} on rabbitmq: {name}", unit="per s", target=Target(ratio=target))
            sent = partial(_sent, native(engine), "one"), partial(_sent, ours(engine), how)
            found.append(Case(rows=(row,), shown=shown, native=sent[0], taskbridge=sent[1]))
        for what, side in (("no-op tasks", ours(engine)), ("no-op tasks, ledger=False", light(engine))):
            row = Row(name=f"{engine} on rabbitmq: {what}", unit="per s", target=Target(ratio=0.9))
            ran = partial(_ran, native(engine)), partial(_ran, side)
            found.append(Case(rows=(row,), shown=native(engine).shown, native=ran[0], taskbridge=ran[1]))
    return found


def _sent(side: Side, how: str) -> Figures:
    with stand() as place:
        return tuple(produce(side, place, how, str(IN_BULK if how == "bulk" else ONE_BY_ONE // 2)))


def _ran(side: Side) -> Figures:
    with stand() as place:
        produce(side, place, "fill", str(COUNT))
        with worker(side, place) as process:
            return (rate(side, place, process),)
