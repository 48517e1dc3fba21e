"""Figures of a run, and of several."""

from __future__ import annotations

import pytest

from taskbridge.comparison.measures import MEASURES, POINTS, Run, figures_of, percentile, thinned, values_of
from taskbridge.comparison.records import BEGUN, DEAD, DONE, RETRIED, SENT, Record
from taskbridge.comparison.tally import Tally


def a_run(side: str, round: int, **values: float | None) -> Run:
    every: dict[str, float | None] = dict.fromkeys([one.key for one in MEASURES], 1.0)
    return Run(side=side, round=round, load=0.0, calls=1, values=every | values, curves={})


def runs(key: str, **sides: list[float | None]) -> list[Run]:
    return [a_run(side, at, **{key: value}) for side, values in sides.items() for at, value in enumerate(values, 1)]


def test_a_run_comes_to_what_its_records_say():
    """A hundred messages in a second, one retried, one dead; per thousand tasks what the worker has used."""
    tally = Tally()
    for n in range(1, 101):
        end = DEAD if n == 100 else DONE
        times = ((SENT, 0, 0), (BEGUN, n * 10 - 4, n), (end, n * 10, 4))
        tally.add(Record(kind, str(n), "t", "q", 1_000 + at_ms * 1000, span) for kind, at_ms, span in times)
    tally.add([Record(RETRIED, "1", "t", "q", 9_000, 2.0)])

    values = values_of(tally, lost=2, cpu_s=0.05, peak_mb=80, grown_mb=0.5)

    assert {
        "throughput": pytest.approx(100, rel=0.01),
        "queue_p50_ms": 50,
        "queue_p95_ms": 95,
        "run_p50_ms": 4,
        "run_p95_ms": 4,
        "end_p50_ms": 500,
        "end_p95_ms": 950,
        "cpu_s": 0.5,
        "peak_mb": 80,
        "grown_mb": 5,
        "tasks": 100,
        "retries": 1,
        "dead": 1,
        "lost": 2,
        "twice": 0,
    } == values
    assert [one.key for one in MEASURES] == list(values)


def test_what_the_machine_does_not_tell_is_not_made_up():
    """On macOS there is no /proc: None, and no 0."""
    values = values_of(Tally(), lost=0, cpu_s=None, peak_mb=0.0, grown_mb=None)

    assert (None, None, None) == (values["cpu_s"], values["peak_mb"], values["grown_mb"])
    assert figures_of([a_run("a", 1, cpu_s=None)], ["a"])["a"]["cpu_s"].middle is None


def test_rounds_come_to_their_median_and_spread():
    """The ratio is that of the medians, to the first side."""
    figures = figures_of(runs("throughput", a=[90, 100, 150], b=[300, 200, 100]), ["a", "b"])

    assert (100, 90, 150) == (figures["a"]["throughput"].middle, *_ends(figures["a"]["throughput"]))
    assert 2.0 == figures["b"]["throughput"].ratio
    assert 1.0 == figures["a"]["throughput"].ratio


@pytest.mark.parametrize(
    ("first", "other", "apart"),
    [([1, 2, 3], [4, 5, 6], True), ([4, 5, 6], [1, 2, 3], True), ([1, 2, 4], [3, 5, 6], False), ([1], [9], False)],
)
def test_sides_are_apart_when_no_round_lies_among_the_others(first: list[float], other: list[float], apart: bool):
    """One round says nothing of a spread."""
    figures = figures_of(runs("run_p50_ms", a=[*first], b=[*other]), ["a", "b"])

    assert apart is figures["b"]["run_p50_ms"].apart


def test_faults_of_all_rounds_are_added_up():
    """A median would hide the one that was lost."""
    figures = figures_of(runs("lost", a=[0, 1, 0]), ["a"])

    assert (1, None) == (figures["a"]["lost"].middle, figures["a"]["lost"].ratio)


def test_percentiles_are_values_that_were_seen():
    """The nearest rank: no value is made up."""
    assert [50, 95, 100] == [percentile(range(1, 101), part) for part in (50, 95, 100)]
    assert (0, 7) == (percentile([], 95), percentile([7], 50))


def test_a_thinned_distribution_keeps_its_percentiles():
    """However many there were; few stay as they are."""
    many = list(range(1, 100_001))

    points = thinned(many)

    assert POINTS == len(points)
    assert [percentile(many, part) for part in (50, 95, 100)] == [percentile(points, part) for part in (50, 95, 100)]
    assert [1, 2, 3] == thinned([1, 2, 3])


def _ends(figure: object) -> tuple[float, float]:
    return figure.low, figure.high  # type: ignore[attr-defined]
