"""The test of two rates is the exact one: what it calls unlikely is as seldom as it says."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from random import Random

import pytest

from taskbridge.evidence.chance import of_more

from .ramps import binomial


@pytest.mark.parametrize(
    ("new", "of_new", "old", "of_old", "ratio"),
    [
        (1, 1, 1, 1, 1.0),
        (3, 60, 59, 5_940, 1.2),
        (9, 60, 59, 5_940, 1.2),
        (60, 60, 290, 590, 1.0),
        (7, 9, 0, 5, 2.0),
    ],
)
def test_tail_of_the_binomial(new: int, of_new: int, old: int, of_old: int, ratio: float):
    """So many of those that both have together, and more, each by the new side's part."""
    part, both = Fraction(ratio * of_new) / Fraction(ratio * of_new + of_old), new + old
    exact = float(sum(comb(both, n) * part**n * (1 - part) ** (both - n) for n in range(new, both + 1)))

    found = of_more(new, of_new, old, of_old, ratio)

    assert found == pytest.approx(exact, rel=1e-6) or (found == 1 and exact > 0.4)


@pytest.mark.parametrize("case", [(0, 60, 5, 100), (0, 0, 5, 100), (5, 60, 0, 0), (0, 0, 0, 0), (1, 100, 10, 100)])
def test_no_sign_of_more(case: tuple[int, int, int, int]):
    """Nothing on one side, or fewer than on the other."""
    assert 1 == of_more(*case)


def test_few_prove_little():
    """One failure of a hundred against none of ten thousand may be chance, two are hardly."""
    assert of_more(1, 100, 0, 10_000) == pytest.approx(0.0099, abs=1e-4)
    assert of_more(2, 100, 0, 10_000) < 1e-3


def test_large_counts_are_no_trouble():
    """Millions on each side, whichever way; and what cannot be chance at all."""
    assert of_more(500_000, 10**6, 500_000, 10**6) == 1
    assert 0.001 < of_more(503_000, 10**6, 500_000, 10**6) < 0.01
    assert of_more(900_000, 10**6, 100_000, 10**6) < 1e-100


@pytest.mark.parametrize(("tasks", "share"), [(60, 0.01), (60, 0.05), (3_000, 0.01), (60, 0.5)])
@pytest.mark.parametrize("level", [0.05, 0.0075])
def test_level_is_kept(tasks: int, share: float, level: float):
    """Of sides that are just as bad as allowed, no more are called worse than the level says."""
    random = Random(7)
    called = 0
    for _ in range(2_000):
        new, old = binomial(random, tasks, share * 1.2), binomial(random, 6_000, share)
        called += of_more(new, tasks, old, 6_000, 1.2) < level

    assert called / 2_000 <= level * 1.3
