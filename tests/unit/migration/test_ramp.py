"""What a ramp does next."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge.migration.book import Evidence, Migration, Ramp
from taskbridge.migration.ramp import STUCK, UNSERVED_MS, Seen, decide, holds

from .conftest import a_migration, a_ramp, evidence

HOLD_MS = 60_000


def ramping(ramp: Ramp, share: float) -> Migration:
    return a_migration(state="ramping", ramp=ramp, share=share, held=True)


def decided(at: int, share: float, now_ms: int, found: Evidence | None = None, **more: Any) -> Migration | None:
    """What becomes of a ramp of 1, 50 and 100 %, whose step was reached at 0."""
    ramp = a_ramp(at=at, hold_ms=HOLD_MS)
    return decide(ramping(ramp, share), ramp, Seen(now_ms=now_ms, evidence=found, **more), "the relay")


def after(at: int, share: float, now_ms: int, found: Evidence | None = None, **more: Any) -> Migration:
    moved = decided(at, share, now_ms, found, **more)
    assert moved is not None
    return moved


def test_first_step_is_taken_at_once():
    """There is nothing to judge yet."""
    moved = after(-1, 0.0, 5)

    assert (1.0, "ramping", False) == (moved.share, moved.state, moved.held)
    assert moved.ramp is not None
    assert (0, 5) == (moved.ramp.at, moved.ramp.since_ms)
    assert ("raised", "the relay", "the ramp begins") == (
        moved.steps[-1].what,
        moved.steps[-1].who,
        moved.steps[-1].why,
    )


def test_good_side_goes_on_when_its_step_was_held():
    """Not before; the step tells by which evidence."""
    good = evidence("better_or_equal")

    assert None is decided(0, 1.0, HOLD_MS - 1, good)
    moved = after(0, 1.0, HOLD_MS, good)

    assert (50.0, "ramping", good) == (moved.share, moved.state, moved.steps[-1].evidence)
    assert moved.ramp is not None
    assert (1, HOLD_MS) == (moved.ramp.at, moved.ramp.since_ms)


@pytest.mark.parametrize("found", [None, evidence("unsure", "too few")])
def test_what_is_not_known_holds(found: Evidence | None):
    """However long; it is said why."""
    assert None is decided(0, 1.0, 10 * HOLD_MS, found)
    ramp = a_ramp(at=0, hold_ms=HOLD_MS)
    why = holds(ramping(ramp, 1.0), ramp, Seen(now_ms=10 * HOLD_MS, evidence=found))
    assert ("too few" if found else "no evidence could be read") == why


@pytest.mark.parametrize("now_ms", [1, HOLD_MS])
def test_worse_side_is_taken_back_at_once(now_ms: int):
    """Whole, whatever the step; it is over then."""
    bad = evidence("worse", "it fails", "it is slow")

    moved = after(1, 50.0, now_ms, bad)

    assert (0.0, "taken back", "it fails; it is slow") == (moved.share, moved.state, moved.steps[-1].why)
    assert bad == moved.steps[-1].evidence


def test_whole_share_is_the_end():
    """Nothing is left to compare with."""
    moved = after(1, 50.0, HOLD_MS, evidence("better_or_equal"))

    assert (100.0, "waiting") == (moved.share, moved.state)


def test_last_share_below_the_whole_is_judged_too():
    """It is held like the others; then the ramp is over, and the share stays."""
    ramp = a_ramp(1, 50, at=1, hold_ms=HOLD_MS)

    moved = decide(ramping(ramp, 50.0), ramp, Seen(now_ms=HOLD_MS, evidence=evidence("better_or_equal")), "the relay")

    assert moved is not None
    assert (50.0, "waiting", "ramped", True) == (moved.share, moved.state, moved.steps[-1].what, moved.held)
    bad = decide(ramping(ramp, 50.0), ramp, Seen(now_ms=1, evidence=evidence("worse", "slow")), "the relay")
    assert bad is not None
    assert 0.0 == bad.share


def test_side_that_nobody_serves_is_taken_back():
    """After a while: a restart of its workers takes some seconds, and holds the ramp until then."""
    good = evidence("better_or_equal")

    assert None is decided(0, 1.0, HOLD_MS, good, unserved_since_ms=HOLD_MS - UNSERVED_MS + 1)
    moved = after(0, 1.0, HOLD_MS, good, unserved_since_ms=HOLD_MS - UNSERVED_MS)

    assert (0.0, "no live worker has served dramatiq for 30 s") == (moved.share, moved.steps[-1].why)


def test_side_on_which_nothing_ends_is_taken_back():
    """When so many were to run there by its share that it is no chance."""
    few = evidence("unsure", old=STUCK - 1, new=0)
    many = evidence("unsure", old=STUCK, new=0)

    assert None is decided(1, 50.0, HOLD_MS, few)
    assert None is decided(1, 50.0, HOLD_MS - 1, many)
    assert None is decided(1, 50.0, HOLD_MS, evidence("unsure", old=STUCK, new=1))
    moved = after(1, 50.0, HOLD_MS, many)
    assert (0.0, "about 30 were to run on dramatiq, and none has come to an end") == (moved.share, moved.steps[-1].why)
