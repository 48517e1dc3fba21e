"""What the demo makes of metrics: what is not the same on both engines is found, and what is not what was counted."""

from __future__ import annotations

import pytest

from examples.fintech.metrics import ALWAYS, WITHOUT_EFFECT, Counts, Told, differences, read

COUNTS = Counts(effective=10, dead=1, retried=3, rescheduled=4, locked=5, throttled=6)

TEXT = """
# TYPE taskbridge_sent_total counter
taskbridge_sent_total{task="a.book",queue="q"} 12
taskbridge_sent_total{task="a.tasks.hello",queue="q"} 1
taskbridge_sent_total{task="a.tasks.hello_of_tomorrow",queue="q"} 1
# TYPE taskbridge_parked_total counter
taskbridge_parked_total{task="a.book",for="lock"} 5
taskbridge_parked_total{task="a.book",for="limit"} 6
# TYPE taskbridge_run_seconds histogram
taskbridge_run_seconds_bucket{task="a.book",le="1.0"} 3
taskbridge_run_seconds_bucket{task="a.book",le="+Inf"} 4
taskbridge_run_seconds_sum{task="a.book"} 9.5
taskbridge_run_seconds_count{task="a.book"} 4
# TYPE python_info gauge
python_info{version="3"} 1
"""


def test_a_scrape_is_sums_and_labels():
    """Of ours only; of a histogram how many it counted; the greeting is left out, and what nobody knows."""
    told = read(TEXT)

    assert {
        "taskbridge_sent_total": {"task", "queue"},
        "taskbridge_parked_total": {"task", "for"},
        "taskbridge_run_seconds": {"task"},
    } == told.labels
    assert (12, 11, 5, 4) == tuple(
        told.sums[name]
        for name in (
            "taskbridge_sent_total",
            "taskbridge_parked_total",
            'taskbridge_parked_total{for="lock"}',
            "taskbridge_run_seconds",
        )
    )


def test_counts_that_differ_are_faults():
    """Each by its name, with both numbers; what is right is none."""
    right = Told()
    right.sums.update(COUNTS.expected())
    wrong = Told()
    wrong.sums.update(COUNTS.expected() | {"taskbridge_sent_total": 1})

    assert [] == list(right.faults(COUNTS))
    sent = COUNTS.effective + WITHOUT_EFFECT + COUNTS.dead
    assert [f"taskbridge_sent_total is 1, and the workload has counted {sent}"] == list(wrong.faults(COUNTS))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"taskbridge_sent_total": None}, "taskbridge_sent_total is missing on dramatiq"),
        ({"taskbridge_sent_total": {"task"}}, "taskbridge_sent_total has other labels on each engine"),
        ({"taskbridge_claims_refused_total": {"task"}}, ""),
    ],
)
def test_what_differs_between_engines_is_found(changed: dict[str, set[str] | None], says: str):
    """A name that must be there, and labels; what comes by chance may come on one of them."""
    labels = {name: {"task", "queue"} for name in ALWAYS}
    other = {name: of for name, of in (labels | changed).items() if of is not None}

    found = list(differences({"celery": Told(labels), "dramatiq": Told(other)}))

    assert [bool(says)] == [len(found) == 1]
    assert all(line.startswith(says) for line in found)
