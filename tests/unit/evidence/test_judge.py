"""Verdicts: worse only where chance does not explain it, unsure where nobody can know, else better or equal."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge.errors import ConfigError
from taskbridge.evidence import Bounds, Sample, Slice, Verdict, judge
from taskbridge.evidence.buckets import bucket_of
from taskbridge.store.evidence import SLICE_MS


def side(
    tasks: int, *, failed: int = 0, ran_ms: float = 20, waited_ms: float = 3, slices: int = 6, task: str = "book"
) -> Sample:
    """A side whose tasks all took the same, in so many slices."""
    per_slice = [tasks * (n + 1) // slices - tasks * n // slices for n in range(slices)]
    return Sample.of(
        Slice(
            task=task,
            backend="any",
            at_ms=n * SLICE_MS,
            succeeded=here - (failed if n == 0 else 0),
            failed=failed if n == 0 else 0,
            ran={bucket_of(ran_ms): here},
            waited={bucket_of(waited_ms): here},
        )
        for n, here in enumerate(per_slice)
    )


OLD = side(6_000, failed=60)


def word(new: Sample, old: Sample = OLD, **bounds: Any) -> str:
    """The verdict in a word."""
    return judge(old, new, Bounds(**bounds)).word


def test_equal_side_is_better_or_equal():
    """Also at one percent of the tasks, where one failure more or less is no sign."""
    for failed in (0, 1):
        assert "better_or_equal" == word(side(60, failed=failed))
    assert "better_or_equal" == word(side(6_000, failed=60))


def test_better_side_is_better():
    """Fewer failures and shorter times are nothing against it, and it says no reason."""
    verdict = judge(OLD, side(6_000, failed=1, ran_ms=2, waited_ms=0.5), Bounds())

    assert ("better_or_equal", ()) == (verdict.word, verdict.reasons)


@pytest.mark.parametrize(
    ("new", "says"),
    [
        (side(600, failed=36), "6.00% of attempts fail, 1.00% on the old side"),
        (side(60, failed=6), "10.00% of attempts fail"),
        (side(60, ran_ms=60), "run time p50 is 63.1 ms, 22.4 ms on the old side"),
        (side(60, waited_ms=500), "time in queue p95 is 501 ms"),
    ],
)
def test_worse_side_is_worse(new: Sample, says: str):
    """And the verdict says by what, in figures."""
    verdict = judge(OLD, new, Bounds())

    assert "worse" == verdict.word
    assert verdict.reasons[0].startswith(says)


def test_slow_tail_is_worse_though_the_middle_is_not():
    """One task in five takes ten times as long: p95 shows it, p50 does not."""
    slow = [Slice(task="book", backend="any", at_ms=n * SLICE_MS, succeeded=10, ran={46: 8, 66: 2}) for n in range(6)]

    verdict = judge(OLD, Sample.of(slow), Bounds())

    assert "worse" == verdict.word
    assert ["run time p95"] == [reason[:12] for reason in verdict.reasons]


def test_few_samples_are_unsure():
    """However good they look; on either side, and none at all."""
    for new, old in ((side(49), OLD), (side(60), side(49)), (Sample(), OLD), (side(60), Sample())):
        verdict = judge(old, new, Bounds())
        assert "unsure" == verdict.word
        assert "50 are asked for" in verdict.reasons[0]
    assert "better_or_equal" == word(side(49), min_samples=49)


def test_disaster_needs_no_minimum():
    """Ten of ten that fail are proof."""
    assert "worse" == word(side(10, failed=10))


def test_doubt_is_unsure():
    """Three failures of sixty may be chance and may not be."""
    verdict = judge(OLD, side(60, failed=3), Bounds())

    assert "unsure" == verdict.word
    assert ("perhaps 5.00% of attempts fail, 1.00% on the old side",) == verdict.reasons


def test_burst_is_no_proof_of_slowness():
    """All that began in ten seconds waited long, the others did not: that passes. Every ten seconds is proof."""
    calm = Slice(task="book", backend="any", at_ms=0, succeeded=100, waited={30: 98, 90: 2})
    burst = Slice(task="book", backend="any", at_ms=0, succeeded=100, waited={90: 100})

    def new(bursts: int) -> Sample:
        parts = [burst] * bursts + [calm] * (6 - bursts)
        return Sample.of(
            Slice(task="book", backend="any", at_ms=n * SLICE_MS, succeeded=100, waited=part.waited)
            for n, part in enumerate(parts)
        )

    assert ["better_or_equal", "unsure", "worse"] == [word(new(bursts)) for bursts in (0, 1, 4)]


def test_slow_beginning_is_no_proof_of_slowness():
    """New processes are slow with their first tasks: what only two slices were seen of is not called slow."""
    assert ["unsure", "unsure", "worse"] == [word(side(60, ran_ms=60, slices=slices)) for slices in (1, 2, 3)]


def test_side_that_carries_all_may_wait_as_the_old_one_did():
    """When that carried as much; in queue only, and no less than beside it."""
    new, before = side(6_000, waited_ms=500), side(6_000, waited_ms=400)

    assert "worse" == judge(OLD, new, Bounds()).word
    assert "better_or_equal" == judge(OLD, new, Bounds(), before=before).word
    assert "better_or_equal" == judge(before, new, Bounds(), before=OLD).word
    assert "worse" == judge(OLD, side(6_000, ran_ms=60), Bounds(), before=side(6_000, ran_ms=60)).word


def test_what_is_within_bounds_passes():
    """As much worse as the bounds allow, however many samples there are."""
    new = side(100_000, failed=1_190, ran_ms=29)

    assert "better_or_equal" == word(new, side(100_000, failed=1_000))
    assert "worse" == word(new, side(100_000, failed=1_000), max_error_ratio=1.0)
    assert "worse" == word(new, side(100_000, failed=1_000), max_latency_ratio=1.0)


def test_small_spans_differ_for_free():
    """Half a millisecond of run time and tens of milliseconds in queue are nobody's worry, unless asked for."""
    old = side(6_000, ran_ms=0.3, waited_ms=2)

    assert "better_or_equal" == word(side(600, ran_ms=0.9, waited_ms=30), old)
    assert "worse" == word(side(600, ran_ms=0.9), old, run_slack_ms=0)
    assert "worse" == word(side(600, waited_ms=30), old, queue_slack_ms=0)


def test_many_verdicts_ask_for_more_proof():
    """Five failures of sixty are called worse alone, and not among a thousand verdicts."""
    new = side(60, failed=5)

    assert ["worse", "unsure"] == [judge(OLD, new, Bounds(), among=among).word for among in (1, 1_000)]


def test_figures_are_all_there():
    """Of four measures: both sides, the limit, and the chance; and how many attempts have ended."""
    verdict = judge(OLD, side(60, failed=6), Bounds())

    names = ["failed", "run time p50", "run time p95", "time in queue p95"]
    assert names == [figure.name for figure in verdict.figures]
    failed = verdict.figures[0]
    assert (0.01, 0.1, pytest.approx(0.012)) == (failed.old, failed.new, failed.limit)
    assert 0 < failed.chance < 0.001
    assert (6_000, 60) == (verdict.old_ended, verdict.new_ended)
    assert isinstance(verdict, Verdict)


def test_sample_is_the_sum_of_its_slices():
    """Of several tasks and instants; what fell into the same ten seconds is one part."""
    slices = [
        Slice(task=task, backend="any", at_ms=at_ms, succeeded=1, failed=2, ran={3: 1, at_ms: 1}, waited={4: 1})
        for task in ("a", "b")
        for at_ms in (10_000, 0)
    ]

    sample = Sample.of(slices)

    assert [(2, 4, {3: 2, 0: 2}), (2, 4, {3: 2, 10_000: 2})] == [
        (part.succeeded, part.failed, part.ran) for part in sample.parts
    ]
    assert (4, 8, 12) == (sample.all.succeeded, sample.all.failed, sample.all.ended)
    assert ({3: 4, 0: 2, 10_000: 2}, {4: 4}) == (sample.all.ran, sample.all.waited)


@pytest.mark.parametrize(
    "bad",
    [
        {"max_error_ratio": 0.9},
        {"max_latency_ratio": float("nan")},
        {"max_latency_ratio": float("inf")},
        {"min_samples": 0},
        {"run_slack_ms": -1},
        {"queue_slack_ms": -0.1},
    ],
)
def test_bad_bounds_are_refused(bad: dict[str, Any]):
    """By name, with what was expected."""
    with pytest.raises(ConfigError, match=f"{next(iter(bad))}: expected a number from"):
        Bounds(**bad)
