"""Bytes that are no message, and messages that come twice."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import redis

from ..servers import until
from .evidence import Tally
from .harness import PATIENCE_S, QUEUE, Stage

pytestmark = pytest.mark.service("redis")

#: More than a parser goes down into.
DEEP = b"[" * 9_000 + b"]" * 9_000

#: Nearly a message of either engine.
NATIVE = (
    b'{"body": "W10=", "headers": {"id": "1", "task": "x", "retries": %b}, "properties": {"body_encoding": "base64"}, '
    b'"queue_name": "x", "actor_name": "x", "args": [], "kwargs": {}, "options": {"eta": %b}, "message_id": "1", '
    b'"message_timestamp": 1}'
)

#: Bytes that are no message of either engine.
GARBAGE = [
    b"\xff\xfe no text",
    b"",
    b"null",
    b"{}",
    b'{"body": "", "headers": {}, "properties": {}}',
    b'{"queue_name": "faults", "actor_name": 7}',
    b'{"headers": {"x": %b}, "properties": {}, "body": ""}' % DEEP,
    NATIVE % (b"{}", DEEP),
    NATIVE % (b"1e400", b"1e400"),
]


def push(client: redis.Redis, engine: str, raw: bytes, name: str) -> None:
    """Put bytes behind what waits in the engine's queue, as anyone could by hand."""
    if engine == "celery":
        client.lpush(QUEUE, raw)
    else:
        client.hset(f"dramatiq:{QUEUE}.msgs", name, raw)
        client.rpush(f"dramatiq:{QUEUE}", name)


def waiting(client: redis.Redis, engine: str) -> list[bytes]:
    """The native messages in the engine's queue."""
    if engine == "celery":
        return client.lrange(QUEUE, 0, -1)
    return list(client.hgetall(f"dramatiq:{QUEUE}.msgs").values())


def test_bytes_that_are_no_message_are_buried_and_work_goes_on(stage: Stage, figures: Callable[[Tally], None]):
    """They lie among the dead letters as they were; the same processes go on with what stands behind them."""
    producer = stage.producer()
    for number, raw in enumerate(GARBAGE):
        producer.send("once", [number])
        push(stage.server.cli(), stage.engine, raw, f"garbage-{number}")
    producer.send("once", range(100, 150))

    worker = stage.worker()
    children = worker.children()
    stage.until_done(producer.sent, producer.sent)
    until(lambda: len(producer.bridge.store.dead.list(99)) >= len(GARBAGE), PATIENCE_S, "all are buried")

    tally = stage.evidence.tally(producer.sent, 0, producer.sent)
    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
    assert sorted(GARBAGE) == sorted(letter.body for letter in producer.bridge.store.dead.list(99))
    assert children == worker.children()


def test_a_message_published_twice_runs_once(stage: Stage, figures: Callable[[Tally], None]):
    """Every native message is in the queue a second time: each copy is recognised."""
    producer, client, began_s = stage.producer(), stage.server.cli(), time.monotonic()
    producer.send_all("once", range(500), 0.002)
    producer.send_all("plain", range(500, 1000), 0.002)
    copies = waiting(client, stage.engine)
    for number, raw in enumerate(copies):
        push(client, stage.engine, raw, f"copy-{number}")

    stage.worker()
    stage.until_done(producer.sent, range(500))
    until(lambda: not waiting(client, stage.engine), PATIENCE_S, "the copies are gone")

    tally = stage.evidence.tally(producer.sent, time.monotonic() - began_s, range(500), copies=len(copies))
    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
