"""What operators ask of workers: what goes before what, how it is kept, and who is not read."""

from __future__ import annotations

import pytest

from taskbridge.errors import DecodeError
from taskbridge.orders import EMPTY, MOST_SIZES, REMEMBERED_MS, Orders, Size, decode, encode

NOON_MS = 1_800_000_000_000


def test_nothing_is_asked_at_first():
    """An empty document is no orders."""
    assert EMPTY == decode(b"")
    assert EMPTY.size("high", ["w"]) is None
    assert not EMPTY.stops_one_of(["w"])


def test_one_worker_goes_before_all():
    """What is said of a worker holds there, by whichever of its names; what is said of all holds elsewhere."""
    orders = EMPTY.sized(Size(group="high", processes=4)).sized(Size(group="high", processes=1, worker="w2"))

    assert [4, 1, 1] == [orders.size("high", names) for names in (["w1"], ["w2"], ["w1", "w2"])]
    assert orders.size("low", ["w2"]) is None


def test_newest_name_goes_first():
    """A worker has another name after each reload: what is said of it last holds, under whichever name."""
    orders = EMPTY.sized(Size(group="high", processes=4, worker="old")).sized(
        Size(group="high", processes=1, worker="new")
    )

    assert [1, 1, 4] == [orders.size("high", names) for names in (["old", "new"], ["new", "old"], ["old"])]


def test_what_is_said_of_all_ends_what_was_said_of_one():
    """An operator who asks for four everywhere has four everywhere."""
    orders = EMPTY.sized(Size(group="high", processes=1, worker="w2")).sized(Size(group="high", processes=4))

    assert 4 == orders.size("high", ["w2"])


def test_a_group_without_a_name_is_the_default():
    """So it is called by operators."""
    assert 3 == EMPTY.sized(Size(group="default", processes=3)).size("", ["w"])


def test_taking_back_is_of_what_was_named():
    """Of one worker only its own size goes; of all, everything that was said of the group."""
    orders = EMPTY.sized(Size(group="high", processes=4)).sized(Size(group="high", processes=1, worker="w2"))

    assert 4 == orders.unsized("high", "w2").size("high", ["w2"])
    assert EMPTY == orders.unsized("high")
    assert orders == orders.unsized("low")


def test_an_end_is_remembered_for_a_while():
    """A worker sees it within a second; an hour later nobody needs it."""
    orders = EMPTY.stopped(["w1"], NOON_MS)

    later = orders.stopped(["w2"], NOON_MS + REMEMBERED_MS - 1)
    much_later = orders.stopped(["w2"], NOON_MS + REMEMBERED_MS)

    assert [True, True] == [one.stops_one_of(["w1"]) for one in (orders, later)]
    assert not much_later.stops_one_of(["w1"])
    assert 1 == len(orders.stopped(["w1"], NOON_MS + 1).stops)


def test_sizes_of_workers_that_are_gone_do_not_pile_up():
    """The newest are kept."""
    orders = EMPTY
    for n in range(MOST_SIZES + 10):
        orders = orders.sized(Size(group="high", processes=1, worker=f"w{n}"))

    assert MOST_SIZES == len(orders.sizes)
    assert 1 == orders.size("high", [f"w{MOST_SIZES + 9}"])


def test_what_is_said_of_all_outlives_what_is_said_of_many():
    """However many workers have come and gone, each with a size of its own."""
    orders = EMPTY.sized(Size(group="high", processes=0))
    for n in range(MOST_SIZES + 10):
        orders = orders.sized(Size(group="high", processes=1, worker=f"w{n}"))

    assert [0, 1] == [orders.size("high", [name]) for name in ("new", f"w{MOST_SIZES + 9}")]
    assert MOST_SIZES + 1 == len(orders.sizes)


def test_what_is_written_is_read():
    """Byte for byte: a golden document."""
    orders = EMPTY.sized(Size(group="high", processes=2, worker="w")).stopped(["w"], NOON_MS)

    document = encode(orders)

    sizes = b'[{"group":"high","processes":2,"worker":"w"}]'
    stops = b'[{"worker":"w","at_ms":1800000000000}]'
    assert b'{"sizes":%b,"stops":%b,"form":1}' % (sizes, stops) == document
    assert orders == decode(document)


@pytest.mark.parametrize("document", [b"{", b"[]", b'{"form":2}', b'{"form":1,"pace":3}', b"\xff"])
def test_what_another_release_wrote_is_not_obeyed_by_halves(document: bytes):
    """Every word of it is known, or none is read."""
    with pytest.raises(DecodeError, match="cannot be read by this release"):
        decode(document)


def test_orders_are_frozen():
    """Each change is a document of its own."""
    assert Orders() == EMPTY
    assert EMPTY.sized(Size(group="a", processes=1)) != EMPTY
