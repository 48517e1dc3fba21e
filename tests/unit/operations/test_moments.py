"""How things were: an overview's numbers are kept as they were, once in ten seconds, and read back."""

from __future__ import annotations

import pytest

from taskbridge.operations.gauges import Stored
from taskbridge.operations.moments import EVERY_MS, KEPT_MS, Numbers, Side, moments, numbers_of, take
from taskbridge.operations.overview import Overview, Place, Queue, Rate, Throughput, Worker
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


def a_rate(backend: str, **changes: float) -> Rate:
    """Of one task."""
    spans = {"ran_ms": 5.0, "ran_p95_ms": 10.0, "waited_p95_ms": 20.0}
    return Rate(
        **{"task": "t", "backend": backend, "queue": "q", "per_s": 2.0, "failed_per_s": 0.5, **spans, **changes}
    )


def seen(*rates: Rate, state: str = "measured") -> Overview:
    """Two queues: celery has both, dramatiq one whose broker does not answer."""
    places = [Place(backend="celery", waiting=3, running=1), Place(backend="dramatiq", running=4)]
    return Overview(
        now_ms=1,
        queues=[
            Queue(name="q", places=places, stored=Stored(queue="q", delayed=5, paused=4, dead=1)),
            Queue(
                name="r",
                places=[Place(backend="celery", waiting=4), Place(backend="")],
                stored=Stored(queue="r", dead=2),
            ),
        ],
        workers=[Worker(name="w", backends=["celery"], queues=["q", "r"], processes=2, running=1)],
        throughput=Throughput(state=state, rates=rates),
        lag_s=1.5,
    )


def test_numbers_are_those_of_the_sides() -> None:
    """Added up over queues and tasks; of a p95 the worst; what is not known is not told as zero."""
    found = numbers_of(seen(a_rate("celery"), a_rate("celery", ran_p95_ms=70.0, waited_p95_ms=0.0)))

    celery = Side(waiting=7, running=1, processes=2, per_s=4.0, failed_per_s=1.0, ran_p95_ms=70.0, waited_p95_ms=20.0)
    assert {"celery": celery, "dramatiq": Side(running=4, per_s=0.0, failed_per_s=0.0)} == found.sides
    assert ({"delayed": 5, "paused": 4, "dead": 3}, 1.5) == (found.kept, found.lag_s)


def test_what_is_estimated_is_no_number() -> None:
    """The first seconds of a look tell too little."""
    found = numbers_of(seen(a_rate("celery"), state="estimated"))

    assert [None, None] == [side.per_s for side in found.sides.values()]


def test_moments_come_back_as_they_were_taken(store: MemoryStore, clock: FakeClock) -> None:
    """In their order, of the span that is asked for; two who take them at once leave one."""
    assert [] == moments(store, store.now_ms())
    taken = []
    for n in range(5):
        taken += [take(store, seen(a_rate("celery", per_s=float(n)))), take(store, seen())]
        clock.advance(EVERY_MS / 1000)

    found = moments(store, store.now_ms())

    assert [True, False] * 5 == taken
    assert [0.0, 1.0, 2.0, 3.0, 4.0] == [one.numbers.sides["celery"].per_s for one in found]
    now_ms = found[-1].at_ms
    assert found[-3:] == moments(store, now_ms, 2 * EVERY_MS)
    assert found[-2:] == moments(store, now_ms, 2 * EVERY_MS - 1)
    assert [] == moments(store, now_ms + KEPT_MS + 1)


def test_six_hours_are_kept(store: MemoryStore, clock: FakeClock) -> None:
    """And no more."""
    for _ in range(KEPT_MS // EVERY_MS + 10):
        clock.advance(EVERY_MS / 1000)
        assert take(store, Overview(now_ms=1))

    assert KEPT_MS // EVERY_MS == len(moments(store, store.now_ms()))


def test_store_that_did_not_answer_leaves_no_number(store: MemoryStore) -> None:
    """What is shown then is what was seen before."""
    assert not take(store, Overview(now_ms=1, old={"store": 5.0}))

    assert [] == moments(store, store.now_ms())


def test_what_another_release_tells_is_left_out(store: MemoryStore) -> None:
    """The rest is shown."""
    store.history.add(b"\xff", every_ms=0, kept=9)
    store.history.add(b'{"lag_s": 2.0, "later": 1}', every_ms=0, kept=9)

    assert [Numbers(lag_s=2.0)] == [one.numbers for one in moments(store, store.now_ms())]
