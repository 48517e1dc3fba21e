"""Rows on SQS: enqueueing, no-op tasks, and how many requests a task costs; against the native engine on the same moto.

moto answers a few hundred requests a second in one process of Python: it is what both sides wait for, and a side that
asks less is ahead by that. On AWS each request is a round trip of some ten milliseconds and costs money; the order of
the sides is the same there, the figures are not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..meddler import Meddler
from ..servers import RedisServer, until
from ..sqs import ENVIRONMENT, KEY, REGION, SECRET, SqsServer
from .processes import one_core, produce, worker
from .runner import Case, Figures, Row, Target
from .sides import BRIDGED, CELERY, DRAMATIQ, QUEUE, Side

#: How many calls are timed, and how many tasks run.
ONE_BY_ONE = 200
IN_BULK = 2_000
TASKS = 600

#: How long a worker may take, seconds.
PATIENCE_S = 180.0

ENGINES = ("celery", "dramatiq")

#: As their users start them on SQS, long polls as both have them, prefetch as both have it.
NATIVE = {"celery": CELERY, "dramatiq": DRAMATIQ}
CALL = {"celery": "delay", "dramatiq": "send"}
SUFFIX = {"celery": "", "dramatiq": "-dramatiq"}


class Place:
    """An SQS, a Redis for the store, and a meddler that counts what is asked."""

    def __init__(self, sqs: SqsServer, redis: RedisServer, meddler: Meddler, *, counted: bool) -> None:
        self.directory: Path = redis.directory
        self.meddler = meddler
        self._redis = redis
        self._port = meddler.port if counted else sqs.port
        self._sqs = sqs

    def url(self) -> str:
        return self._sqs.url(self._port)

    def native(self, engine: str, side: Side) -> Side:
        """A native side as it is configured for SQS."""
        endpoint = f"127.0.0.1:{self._port}"
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION}
        options = {"region": REGION, "is_secure": False}
        conf = {"broker_url": f"sqs://{KEY}:{SECRET}@{endpoint}//", "broker_transport_options": options}
        more = {
            "celery": {"BENCH_CELERY": json.dumps(conf)},
            "dramatiq": {"BENCH_SQS": json.dumps({"endpoint_url": f"http://{endpoint}", **keys})},
        }[engine]
        return replace(side, environment={**side.environment, **ENVIRONMENT, **more})

    def ours(self, engine: str) -> Side:
        """Our side, with its store."""
        side = BRIDGED[engine]
        return replace(side, environment={**side.environment, "TASKBRIDGE_STORE_URL": self._redis.url()})

    def left(self, name: str) -> int:
        """How many messages of a queue are there yet, hidden ones included."""
        client: Any = self._sqs.client()
        words = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found: Mapping[str, str] = client.get_queue_attributes(
            QueueUrl=client.get_queue_url(QueueName=name)["QueueUrl"], AttributeNames=words
        )["Attributes"]
        return sum(map(int, found.values()))


def cases() -> list[Case]:
    """Return the cases of this family."""
    one = [_case(f"{engine} on SQS: one enqueue", engine, 1.0, partial(_enqueue, "one")) for engine in ENGINES]
    bulk = [_case(f"{engine} on SQS: enqueue_many", engine, 5.0, partial(_enqueue, "bulk")) for engine in ENGINES]
    noop = [
        _case(f"{engine} on SQS: no-op tasks", engine, 0.9, _work, shown=NATIVE[engine].shown) for engine in ENGINES
    ]
    asked = [_asked(engine) for engine in ENGINES]
    return one + bulk + noop + asked


def _case(name: str, engine: str, target: float, measure: Any, shown: str = "") -> Case:
    return Case(
        rows=(Row(name=name, unit="per s", target=Target(ratio=target)),),
        shown=shown or f"a loop of {CALL[engine]}, 2 kwargs",
        native=partial(measure, engine, "native"),
        taskbridge=partial(measure, engine, "taskbridge"),
    )


def _asked(engine: str) -> Case:
    what = ("to send it", "to run it")
    return Case(
        rows=tuple(
            Row(name=f"{engine} on SQS: requests {one}", unit="per task", less_is_better=True, target=Target(ratio=1.0))
            for one in what
        ),
        shown=f"a loop of {CALL[engine]}; {NATIVE[engine].shown}",
        native=partial(counted, engine, "native"),
        taskbridge=partial(counted, engine, "taskbridge"),
    )


def _enqueue(how: str, engine: str, who: str) -> Figures:
    with one_core(), place_of() as place:
        if who == "native":
            return tuple(produce(place.native(engine, NATIVE[engine]), place, "one", str(ONE_BY_ONE)))
        return tuple(produce(place.ours(engine), place, how, str(IN_BULK if how == "bulk" else ONE_BY_ONE)))


def _work(engine: str, who: str) -> Figures:
    with place_of() as place:
        side, name = side_of(place, engine, who)
        produce(side, place, "fill", str(TASKS))
        with worker(side, place):
            first = _until_left(place, name, TASKS * 9 // 10)
            from_s = time.monotonic()
            last = _until_left(place, name, 0)
            return ((first - last) / (time.monotonic() - from_s),)


def _until_left(place: Place, name: str, at_most: int) -> int:
    """Wait until no more than so many are left; returns how many are."""
    seen = place.left(name)

    def few() -> bool:
        nonlocal seen
        seen = place.left(name)
        return seen <= at_most

    until(few, PATIENCE_S, f"at most {at_most} to be left")
    return seen


def counted(engine: str, who: str) -> Figures:
    """Return the requests that sending in bulk and running without a pause cost, per task."""
    with place_of(counted=True) as place:
        side, name = side_of(place, engine, who)
        produce(side, place, "fill", str(TASKS))
        sent = place.meddler.asked.total()
        with worker(side, place):
            until(lambda: place.left(name) == 0, PATIENCE_S, f"{side.shown} to do all")
        return sent / TASKS, (place.meddler.asked.total() - sent) / TASKS


def side_of(place: Place, engine: str, who: str) -> tuple[Side, str]:
    if who == "native":
        return place.native(engine, NATIVE[engine]), QUEUE
    return place.ours(engine), QUEUE + SUFFIX[engine]


@contextmanager
def place_of(*, counted: bool = False) -> Iterator[Place]:
    with ExitStack() as stack:
        sqs, redis = stack.enter_context(SqsServer()), stack.enter_context(RedisServer())
        yield Place(sqs, redis, stack.enter_context(Meddler(sqs)), counted=counted)
