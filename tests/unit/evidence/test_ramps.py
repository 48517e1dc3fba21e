"""A look every ten seconds: whoever is equal is not called worse, whoever is worse is found in time."""

from __future__ import annotations

from functools import cache

from .ramps import EQUAL, FAILING, HOLD_MS, SLOW, Ramp, Side, ramp

COUNT = 100


@cache
def played(new: Side) -> list[Ramp]:
    """A hundred ramps, each of its own seed; the old side is always the same."""
    return [ramp(seed, EQUAL, new) for seed in range(COUNT)]


def test_equal_sides_raise_few_false_alarms():
    """Fewer than five of a hundred ramps are called worse at any of their looks."""
    alarms = [one.verdict.reasons for one in played(EQUAL) if one.worse]

    assert len(alarms) < 5, alarms


def test_equal_target_comes_to_a_hundred_percent():
    """Each of the others passes every step, most of them with no hold longer than asked for."""
    passed = [one for one in played(EQUAL) if not one.worse]

    assert {(100, "better_or_equal")} == {(one.step, one.verdict.word) for one in passed}
    assert 5 * HOLD_MS == sorted(one.took_ms for one in passed)[COUNT // 2]


def test_slow_target_is_found_within_two_holds():
    """One that takes three times as long: at the first percent, by its run time, always."""
    assert {(True, 1)} == {(one.worse, one.step) for one in played(SLOW)}
    assert all("run time" in one.verdict.reasons[0] for one in played(SLOW))
    assert max(one.took_ms for one in played(SLOW)) <= 2 * HOLD_MS


def test_failing_target_is_found_within_two_holds():
    """One that fails six times as often: by its failures, always; in nineteen of twenty ramps within two holds."""
    assert all(one.worse and "attempts fail" in one.verdict.reasons[0] for one in played(FAILING))
    assert max(one.step for one in played(FAILING)) <= 5
    late = [one.took_ms for one in played(FAILING) if one.took_ms > 2 * HOLD_MS]
    assert len(late) <= COUNT // 20, late
    assert max(one.took_ms for one in played(FAILING)) <= 3 * HOLD_MS
