"""A store with very many messages in all states, made by the store's own scripts, in bulk.

``python -m tests.benchmarks.dashboard`` fills one with a million; a law fills one with a few hundred.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import msgspec

from taskbridge.message import Message, encode
from taskbridge.needs import NeedsLock, NeedsTokens, Within
from taskbridge.store import Begin, Finish
from taskbridge.store.redis import RedisStore

T = TypeVar("T")

#: How many calls go in one trip.
TRIP = 500

HOUR_MS = 3_600_000

#: Of a hundred messages, so many come to each state. What runs is the rest: it holds a lock each.
SHARES = {"DELAYED": 40, "READY": 10, "DEAD": 20, "PARKED": 10, "THROTTLED": 10, "LOCKED": 5}

QUEUES = tuple(f"queue-{n}" for n in range(20))
TASKS = tuple(f"shop.orders.step_{n}" for n in range(40))

TRACEBACK = (
    "Traceback (most recent call last):\n"
    + '  File "shop/orders.py", line 71, in step\n    answer = bank.book(account)\n' * 10
    + "ConnectionError: the bank does not answer"
)


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one message: it is begun, and perhaps finished."""

    begin: Begin
    finish: Finish | None = None


def fill(store: RedisStore, size: int, *, keys: int, flows: int) -> None:
    """Put so many messages into an empty store, those at limits at so many keys, and so many runs and batches."""
    later, now = size * SHARES["DELAYED"] // 100, size * SHARES["READY"] // 100
    for trip in _in_trips(messages("d", later)):
        store.outbox.put(trip, HOUR_MS)
    for trip in _in_trips(messages("r", now)):
        store.outbox.put(trip, 0)
    for steps in _in_trips(begun(size, keys)):
        take(store, steps)
    for n in range(flows):
        flow(store, n)


def messages(kind: str, number: int) -> Iterator[Message]:
    """So many messages, over all queues and tasks."""
    for n in range(number):
        yield Message(
            id=f"{kind}{n:031x}",
            task=TASKS[n % len(TASKS)],
            queue=QUEUES[n % len(QUEUES)],
            kwargs=msgspec.Raw(b'{"account": %d, "amount": "12.50", "reference": "order %d"}' % (n, n)),
            enqueued_at_ms=1_790_000_000_000 + n,
        )


def begun(size: int, keys: int) -> Iterator[Step]:
    """What a worker begins: what dies, is parked, waits at limits and for locks, and runs."""
    for n, message in enumerate(messages("x", size * SHARES["DEAD"] // 100)):
        why = f"ConnectionError: the bank does not answer ({n % 7})"
        yield _step(message, n, Finish(id=message.id, claim=_claim(n), state="DEAD", why=why, traceback=TRACEBACK))
    for n, message in enumerate(messages("p", size * SHARES["PARKED"] // 100)):
        parked = Finish(id=message.id, claim=_claim(n), state="PARKED", due_ms=HOUR_MS, group=message.task, ran=False)
        yield _step(message, n, parked)
    for n, message in enumerate(messages("t", size * SHARES["THROTTLED"] // 100 + keys)):  # the first at each key runs
        tokens = NeedsTokens("provider", f"provider:{n % keys}", HOUR_MS * 1000, 1)
        yield Step(Begin(message=message, body=encode(message), claim=_claim(n), max_crashes=3, rates=(tokens,)))
    held = size - size * sum(SHARES.values()) // 100
    for n, message in enumerate(messages("h", held)):
        yield _locked(message, n)
    for n, message in enumerate(messages("l", size * SHARES["LOCKED"] // 100)):
        yield _locked(message, n % held)


def take(store: RedisStore, steps: Iterable[Step]) -> None:
    """Send what a worker would send for these, in one trip."""
    claims, packed = store.claims, list[bytes]()
    for step in steps:
        packed.append(claims._packed_begin(step.begin))
        if step.finish:
            packed.append(claims._packed_finish(step.finish))
    store.server.exchange(b"".join(packed), len(packed))


def flow(store: RedisStore, n: int) -> None:
    """A run that goes on, and a batch with an open member."""
    run = Message(id=f"run{n:029x}", task="shop.reports.send_all", queue="reports")
    store.claims.begin(Begin(message=run, body=encode(run), claim=_claim(n), max_crashes=3))
    bounds = msgspec.Raw(b'{"kind":"ids","start":0,"stop":100000,"step":1,"total":100000}')
    store.runs.open(
        run, _claim(n), bounds=bounds, at=msgspec.Raw(b"0"), total=100_000, max_backlog=5_000, pause_ms=1_000
    )
    store.batches.open(f"batch{n:027x}", when="all_done", then=None, error=None)
    store.outbox.put(
        [Message(id=f"b{n:031x}", task=TASKS[0], queue=QUEUES[0])], HOUR_MS, Within(batches=(f"batch{n:027x}",))
    )


def _step(message: Message, n: int, finish: Finish) -> Step:
    return Step(Begin(message=message, body=encode(message), claim=_claim(n), max_crashes=3), finish)


def _locked(message: Message, n: int) -> Step:
    lock = NeedsLock(f"account:{n}")
    return Step(Begin(message=message, body=encode(message), claim=_claim(n), max_crashes=3, locks=(lock,)))


def _claim(n: int) -> str:
    return f"host-{n % 50}.{n % 8}.{n:x}.0.1:{('celery', 'dramatiq')[n % 2]}:{n}"


def _in_trips(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while trip := list(islice(left, TRIP)):
        yield trip
