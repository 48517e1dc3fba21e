"""What a supervisor knows of its processes: how many, how busy, why they went."""

from __future__ import annotations

import mmap

import pytest

from taskbridge.observe.facts import Facts
from taskbridge.worker.meter import EVERY_S, OVER_S, Meter
from taskbridge.worker.posts import Post
from taskbridge.worker.slots import SLOT_SIZE, Slot

WANTED = {"high": 1, "low": 2}


@pytest.fixture
def posts() -> list[Post]:
    memory = mmap.mmap(-1, 3 * SLOT_SIZE)
    return [Post(n, Slot(memory, n), group) for n, group in enumerate(("high", "low", "low"))]


def stand(post: Post, now_s: float) -> None:
    post.ordered("owner", now_s)
    post.forked(100 + post.number)


def looked(meter: Meter, posts: list[Post], now_s: float) -> Facts:
    meter.look(WANTED, posts, [], now_s)
    return meter.facts


def test_processes_are_told_by_group(posts: list[Post]):
    """How many there are to be, are there, and run a task."""
    for post in posts[:2]:
        stand(post, 10.0)
    posts[1].slot.write(0, "m", "o:celery:1", 11.0)

    facts = looked(Meter(), posts, 12.0)

    assert [(1, 1, 0), (2, 1, 1)] == [(one.wanted, one.alive, one.active) for one in facts.groups.values()]
    assert ["high", "low"] == list(facts.groups)


def test_utilisation_is_the_share_of_the_time_of_all_that_there_are_to_be(posts: list[Post]):
    """One of two that works all the time is a half; what it was long ago does not count."""
    meter = Meter()
    stand(posts[1], 0.0)
    looked(meter, posts, 0.0)
    half = looked(meter, posts, 10.0).groups["low"].utilisation
    posts[1].slot.rest(10.0)
    for second in range(11, 11 + int(OVER_S)):
        looked(meter, posts, float(second))

    assert (0.5, 0.0) == (half, meter.facts.groups["low"].utilisation)
    assert 10.0 == meter.facts.groups["low"].busy_s


def test_what_a_child_did_counts_on_when_it_is_gone(posts: list[Post]):
    """The sum never falls, whoever stands there next; it is counted why it went."""
    meter = Meter()
    stand(posts[0], 0.0)
    before = looked(meter, posts, 4.0).groups["high"].busy_s
    meter.went(posts[0], "crash", 5.0)
    posts[0].vacated(5.0, too_soon_s=0.0, patience_s=0.0)
    between = looked(meter, posts, 6.0).groups["high"].busy_s
    stand(posts[0], 7.0)
    after = looked(meter, posts, 8.0)

    assert (4.0, 5.0, 6.0) == (before, between, after.groups["high"].busy_s)
    assert {("high", "crash"): 1} == after.replaced


def test_a_sum_never_falls(posts: list[Post]):
    """A child that is read while it begins anew seems to have rested twice."""
    meter = Meter()
    stand(posts[0], 0.0)
    before = looked(meter, posts, 10.0).groups["high"].busy_s
    posts[0].slot.rest(4.0)

    assert (10.0, 10.0) == (before, looked(meter, posts, 11.0).groups["high"].busy_s)


def test_it_looks_twice_a_second(posts: list[Post]):
    """However often it is asked to; before its first look there is nothing."""
    meter = Meter()
    assert {} == meter.facts.groups
    stand(posts[0], 0.0)
    first = looked(meter, posts, 1.0)

    assert first is looked(meter, posts, 1.0 + EVERY_S / 2)
    assert first is not looked(meter, posts, 1.0 + EVERY_S)
