"""What records come to, in whatever order they are read."""

from __future__ import annotations

from itertools import permutations

import pytest

from taskbridge.comparison.records import AGAIN, BEGUN, DEAD, DONE, DROPPED, RETRIED, SENT, Record
from taskbridge.comparison.tally import Tally


def told(kind: str, at_ms: float, span_ms: float = 0.0, id: str = "M") -> Record:
    return Record(kind, id, "app.send", "emails", round(at_ms * 1000), span_ms)


def tally_of(*records: Record) -> Tally:
    tally = Tally()
    tally.add(records)
    return tally


def test_order_of_records_does_not_matter():
    """Files of several processes are read as they come."""
    records = [told(SENT, 100), told(BEGUN, 130, 30), told(RETRIED, 140, 10), told(BEGUN, 190, 20), told(DONE, 195, 5)]

    tallies = [tally_of(*order) for order in permutations(records)]

    assert {(95.0,)} == {tuple(tally.end_to_end_ms) for tally in tallies}
    assert {(0.095,)} == {tuple(tally.ends_s) for tally in tallies}
    assert {(20.0, 30.0)} == {tuple(sorted(tally.queue_ms)) for tally in tallies}
    assert {(5.0, 10.0)} == {tuple(sorted(tally.run_ms)) for tally in tallies}
    assert {(1, 1, 0)} == {(tally.ended, tally.kinds[RETRIED], tally.again) for tally in tallies}


def test_a_message_counts_from_when_it_was_due():
    """Its delay is no wait."""
    assert [10.0] == tally_of(told(SENT, 100, 5_000), told(BEGUN, 5_102, 2), told(DONE, 5_110, 8)).end_to_end_ms


def test_a_message_that_was_begun_before_its_sender_has_said_so_is_due_before():
    """A thousand are sent in a trip, and the first may have ended when it is over."""
    assert [6.0] == tally_of(told(SENT, 120), told(BEGUN, 105, 5), told(DONE, 106, 1)).end_to_end_ms


@pytest.mark.parametrize("end", [DONE, DEAD, DROPPED])
def test_a_message_has_ended_however_it_did(end: str):
    """Done, dead or dropped."""
    assert {"M": 0} == {id: life.ends for id, life in tally_of(told(SENT, 1)).open.items()}
    assert {} == tally_of(told(SENT, 1), told(end, 2)).open


@pytest.mark.parametrize("goes_on", [BEGUN, RETRIED, AGAIN])
def test_a_message_that_goes_on_has_not(goes_on: str):
    """It is open, with its task and queue."""
    opened = tally_of(told(SENT, 1), told(goes_on, 2)).open

    assert [("app.send", "emails")] == [(life.task, life.queue) for life in opened.values()]


def test_what_happens_after_the_end_is_counted():
    """Each end beyond the first, and a start after it that came to none; a retry is neither."""
    twice = (told(DONE, 20), told(DONE, 30))
    begun = (told(DONE, 20), told(BEGUN, 25))
    retried = (told(BEGUN, 10), told(RETRIED, 12), told(BEGUN, 15), told(DONE, 20))

    assert [1, 1, 0] == [tally_of(told(SENT, 1), *records).again for records in (twice, begun, retried)]
    for order in (twice, twice[::-1]):
        assert (1, [19.0]) == (tally_of(*order).ended, tally_of(told(SENT, 1), *order).end_to_end_ms)
