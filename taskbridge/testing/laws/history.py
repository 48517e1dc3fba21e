"""The laws of how things were: the last moments, in order, each taken once."""

from __future__ import annotations

from ...store import Store
from .steps import Laws
from .waited import about

MINUTE_MS = 60_000


def add(store: Store, numbers: bytes, *, every_ms: int = MINUTE_MS, kept: int = 100) -> bool:
    """Take a moment."""
    return store.history.add(numbers, every_ms=every_ms, kept=kept)


class HistoryLaws(Laws):
    """``add`` and ``last``."""

    def test_moments_stand_in_order(self, store: Store) -> None:
        """The oldest first, byte for byte, each with its instant; a new store has none."""
        assert [] == store.history.last(10)

        for numbers in (b"one", b"\x00\xff", b"three"):
            assert add(store, numbers)
            self.advance(store, MINUTE_MS)

        found = store.history.last(10)
        assert [b"one", b"\x00\xff", b"three"] == [one.numbers for one in found]
        assert [b"three"] == [one.numbers for one in store.history.last(1)]
        assert [] == store.history.last(0)

    def test_moment_has_the_instant_when_it_was_taken(self, store: Store) -> None:
        """By the store's clock."""
        before = store.now_ms()

        add(store, b"one")

        assert about(0, store.history.last(1)[0].at_ms - before)

    def test_two_that_take_at_the_same_time_leave_one(self, store: Store) -> None:
        """The first; the next is taken when it is old enough."""
        assert [True, False] == [add(store, numbers) for numbers in (b"mine", b"yours")]
        self.advance(store, MINUTE_MS - 5_000)
        assert not add(store, b"early")
        self.advance(store, 5_000)
        assert add(store, b"next")

        assert [b"mine", b"next"] == [one.numbers for one in store.history.last(10)]

    def test_so_many_are_kept(self, store: Store) -> None:
        """The last ones; fewer when the next who takes keeps fewer."""
        for n in range(5):
            add(store, b"%d" % n, every_ms=0, kept=3)
        assert [b"2", b"3", b"4"] == [one.numbers for one in store.history.last(10)]

        add(store, b"5", every_ms=0, kept=1)

        assert [b"5"] == [one.numbers for one in store.history.last(10)]
