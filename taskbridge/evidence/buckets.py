"""Buckets of spans: twenty to a factor of ten, from 0.1 ms to an hour. Pure; spans are milliseconds.

A bucket is 12 % wide, so a ratio of 1.5 is told from one of 1.3. What is shorter is in the first, what is longer in the
last. The numbers are kept in the store: a change here makes nonsense of what is there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from math import log10

PER_DECADE = 20
LEAST_MS = 0.1

#: The longest span of each bucket but the last, which has what is longer: from 59 minutes on.
ENDS_MS = tuple(LEAST_MS * 10 ** (n / PER_DECADE) for n in range(152))
LAST = len(ENDS_MS)

#: How many of the spans are in which bucket.
Spans = Mapping[int, int]


def bucket_of(span_ms: float) -> int:
    """Return the bucket of a span, from 0."""
    return bisect_left(ENDS_MS, span_ms)


def count(spans: Spans) -> int:
    """How many there are."""
    return sum(spans.values())


def quantile_ms(spans: Spans, share: float) -> float:
    """Return what so large a share of them does not exceed: the end of a bucket. 0 of none."""
    wanted, found = share * count(spans), 0
    for bucket in sorted(spans):
        found += spans[bucket]
        if found >= wanted:
            return ENDS_MS[min(bucket, LAST - 1)]
    return 0.0


def above(spans: Spans, limit_ms: float) -> int:
    """How many are longer than this; of the bucket that it cuts, a part."""
    cut = bucket_of(limit_ms)
    longer = sum(number for bucket, number in spans.items() if bucket > cut)
    in_cut = spans.get(cut, 0)
    return longer + (round(in_cut * _beyond(cut, limit_ms)) if in_cut else 0)


def _beyond(bucket: int, limit_ms: float) -> float:
    """Return which part of a bucket lies beyond a limit inside it; of the first and the last nobody knows: none."""
    if bucket in (0, LAST):
        return 0.0
    return log10(ENDS_MS[bucket] / limit_ms) * PER_DECADE
