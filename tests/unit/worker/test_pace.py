"""How many messages a child takes ahead."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from taskbridge.worker.pace import AHEAD_MS, MOST, Pace

runs = some.lists(some.floats(0, 10**7), max_size=50)


@given(runs)
def test_it_is_never_none_and_never_too_many(spans: list[float]):
    """At least one, at most 32; one before anything is known."""
    pace = Pace()
    before = pace.ahead

    for ms in spans:
        pace.ran(ms)

    assert 1 == before
    assert 1 <= pace.ahead <= MOST


@given(some.floats(0, 10**7))
def test_it_is_about_so_much_work(ms: float):
    """Tasks of one length are taken for about 50 ms; one alone that is longer."""
    pace = Pace()

    for _ in range(3):
        pace.ran(ms)

    assert pace.ahead == 1 or pace.ahead * ms <= AHEAD_MS * 1.001
    assert pace.ahead == MOST or (pace.ahead + 1) * ms >= AHEAD_MS * 0.999


def test_it_follows_the_newest():
    """A child that turns to long tasks soon takes one at a time, and many again when they are short."""
    pace = Pace()
    for _ in range(100):
        pace.ran(0.1)
    short = pace.ahead

    pace.ran(1_000)
    long = pace.ahead
    for _ in range(40):
        pace.ran(0.1)

    assert (MOST, 1, MOST) == (short, long, pace.ahead)
