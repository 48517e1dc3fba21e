"""What is read next: bands in order, queues of a band in turn, and what is worth being pushed."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as some

from taskbridge.rabbitmq.queues import PARTS, Reading
from taskbridge.rabbitmq.reading import STREAMS_FROM, Stream, stream, wanted

READINGS = [Reading(rank, queue, f"{queue}{part}") for queue in "ab" for rank, part in enumerate(PARTS)]

depths = some.fixed_dictionaries({one.name: some.integers(0, 100) for one in READINGS})


def rank(name: str) -> int:
    return next(one.rank for one in READINGS if one.name == name)


def with_depths(**some_depths: int) -> dict[str, int]:
    return dict.fromkeys((one.name for one in READINGS), 0) | some_depths


@given(depths=depths, limit=some.integers(1, 40), turn=some.integers(0, 9))
def test_no_more_is_wanted_than_there_is_and_bands_are_in_order(depths: Mapping[str, int], limit: int, turn: int):
    """As many as may be, none that is not there, and none before one of a better band."""
    names = wanted(READINGS, depths, limit, turn)

    assert min(limit, sum(depths.values())) == len(names)
    assert all(names.count(name) <= depths[name] for name in names)
    assert sorted(map(rank, names)) == [*map(rank, names)]


@given(depths=depths, limit=some.integers(1, 40))
def test_what_streams_is_the_first_band_with_much_in_it(depths: Mapping[str, int], limit: int):
    """With all bands before it, no band behind it, and no more than is wanted at once of those that have some."""
    found = stream(READINGS, depths, limit)

    ranks = [one.rank for one in READINGS if depths[one.name]]
    first = [one.name for one in READINGS if ranks and one.rank == min(ranks) and depths[one.name]]
    much = sum(depths[name] for name in first)
    assert (limit >= STREAMS_FROM and much >= 2 * limit) == (found is not None)
    if found:
        assert {one.name for one in READINGS if one.rank <= min(ranks)} == set(found.names)
        assert 1 <= found.ahead
        assert found.ahead * len(first) <= limit


def test_a_stream_serves_until_others_or_more_would_be_pushed():
    """Of two queues that shared it one is empty: the other may have twice as much."""
    both = stream(READINGS, with_depths(a=100, b=100), 32)
    one = stream(READINGS, with_depths(a=100), 32)
    higher = stream(READINGS, with_depths(**{"a-high": 100}), 32)

    assert both
    assert one
    assert (16, 32) == (both.ahead, one.ahead)
    assert [True, False, False, False] == [both.serves(other) for other in (both, one, higher, None)]
    assert one.serves(both)


def test_acknowledgements_do_not_keep_the_broker_waiting():
    """They go before all that may be pushed is in hand; of many queues not each by itself."""
    assert [16, 8, 4] == [Stream((), ahead, 32).together for ahead in (32, 16, 1)]
