"""Buckets: each span is in one, 12 % wide; quantiles and what lies above are read from them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskbridge.evidence.buckets import ENDS_MS, LAST, above, bucket_of, count, quantile_ms

SPANS = st.lists(st.floats(0, 1e7), min_size=1, max_size=200)


def of(*spans_ms: float) -> Counter[int]:
    """These spans by bucket."""
    return Counter(map(bucket_of, spans_ms))


def test_numbers_are_deliberate():
    """They are kept in stores: twenty to a factor of ten, from 0.1 ms, the last from an hour on."""
    spans_ms = [0, 0.1, 0.11, 0.99, 1.05, 9.9, 990, 3_600_000, 1e12]

    assert [0, 0, 1, 20, 21, 40, 80, 152, LAST] == [bucket_of(span_ms) for span_ms in spans_ms]


@given(st.floats(0, 1e7))
def test_bucket_holds_its_span(span_ms: float):
    """It is longer than the end before, and no longer than its own."""
    bucket = bucket_of(span_ms)

    assert bucket == 0 or ENDS_MS[bucket - 1] < span_ms
    assert bucket == LAST or span_ms <= ENDS_MS[bucket]


@given(SPANS, st.floats(0.01, 1))
def test_quantile_is_not_exceeded_by_that_share(spans_ms: list[float], share: float):
    """By at least so many, and it is the end of a bucket that has one."""
    spans = of(*spans_ms)

    limit_ms = quantile_ms(spans, share)

    assert (
        sum(span_ms <= limit_ms or bucket_of(span_ms) == LAST for span_ms in spans_ms) >= share * len(spans_ms) - 1e-9
    )
    assert min(bucket_of(limit_ms), LAST) in spans or LAST in spans


@given(SPANS, st.floats(0.01, 1e7))
def test_above_counts_what_is_longer(spans_ms: list[float], limit_ms: float):
    """All of the longer buckets, none of the shorter; of the one that the limit cuts, a part."""
    cut = bucket_of(limit_ms)
    longer = sum(bucket_of(span_ms) > cut for span_ms in spans_ms)

    assert longer <= above(of(*spans_ms), limit_ms) <= longer + sum(bucket_of(span_ms) == cut for span_ms in spans_ms)


def test_cut_bucket_counts_by_where_it_is_cut():
    """In its middle, half of it."""
    middle_ms = (ENDS_MS[40] * ENDS_MS[41]) ** 0.5

    assert [1000, 500, 0] == [above({41: 1000}, limit) for limit in (ENDS_MS[40], middle_ms, ENDS_MS[41])]


def test_half_of_two_is_the_first():
    """A quantile is reached where so many are there, not where there are more."""
    assert [ENDS_MS[20], ENDS_MS[60]] == [quantile_ms({20: 1, 60: 1}, share) for share in (0.5, 0.51)]


def test_of_nothing_there_is_nothing():
    """No spans have no count, a quantile of 0 and none above."""
    assert (0, 0, 0) == (count({}), quantile_ms({}, 0.95), above({}, 0.1))


@pytest.mark.parametrize("ratio", [1.2, 1.5, 3.0])
def test_ratio_shows(ratio: float):
    """Quantiles of what takes so many times as long are so many times as long, within a bucket."""
    old, new = of(*range(1, 1000)), of(*(ratio * n for n in range(1, 1000)))

    for share in (0.5, 0.95):
        assert ratio / 1.13 < quantile_ms(new, share) / quantile_ms(old, share) < ratio * 1.13
