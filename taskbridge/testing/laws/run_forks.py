"""The laws of one chain: whatever is repeated, lost or comes late, never are two chunks of a run alive."""

from __future__ import annotations

import pytest

from ...errors import ClaimLost
from ...needs import NeedsTokens
from ...store import RELAY_LEASE_MS, WINDOW_MS, Store
from ..fakes import a_message
from .chunks import alive, enqueue, follow, goes_on, open_run, seen, start
from .steps import Laws, begin, finish, publish, take

SECOND = 1_000


class ForkLaws(Laws):
    """Repeats, stale copies, sweeps, late finishes."""

    def test_fork_finish_repeated(self, store: Store) -> None:
        """The reply was lost, and finish is sent again, before the next chunk runs, while it does, and after."""
        first = start(store)
        goes_on(store, first, "c0")
        before = goes_on(store, first, "c0")
        second = follow(store, "c1")
        while_it_runs = goes_on(store, first, "c0")
        goes_on(store, second, "c1")

        assert ["mine"] * 3 == [before, while_it_runs, goes_on(store, first, "c0")]
        assert (2, 20) == (seen(store, first).chunk, seen(store, first).done)
        assert ["READY"] == alive(store, first.id)

    def test_fork_finish_of_a_lost_claim(self, store: Store) -> None:
        """A chunk is taken back and begun elsewhere: what its first worker says makes no next chunk."""
        first = start(store)
        self.a_lease_passes(store)
        again = follow(store, "c1")

        assert "refused" == goes_on(store, first, "c0")

        assert ["RUN"] == alive(store, first.id)
        assert (0, 0) == (seen(store, first).chunk, seen(store, first).done)
        goes_on(store, again, "c1")
        assert ["READY"] == alive(store, first.id)
        assert "refused" == goes_on(store, first, "c0")
        assert 1 == seen(store, first).chunk

    def test_fork_copy_that_outlives_its_marker(self, store: Store) -> None:
        """An engine hands out a copy when the marker is forgotten: it opens no run, enqueues nothing, has no next."""
        first = start(store)
        goes_on(store, first, "c0")
        second = follow(store, "c1")
        goes_on(store, second, "c1")
        self.advance(store, WINDOW_MS + 60 * SECOND)

        assert ["run", "run"] == [begin(store, copy, f"late-{copy.id}").verdict for copy in (first, second)]

        assert open_run(store, first, f"late-{first.id}") is None
        for copy in (first, second):
            with pytest.raises(ClaimLost):
                enqueue(store, copy, f"late-{copy.id}", a_message())
            goes_on(store, copy, f"late-{copy.id}")
        assert (["READY"], 2, 20) == (alive(store, first.id), seen(store, first).chunk, seen(store, first).done)

    @pytest.mark.parametrize("when", ["next is ready", "next runs", "next is done"])
    def test_fork_stale_copy(self, store: Store, when: str) -> None:
        """An old copy of a chunk comes again, when its run has gone on: it runs nothing."""
        first = start(store)
        goes_on(store, first, "c0")
        if when == "next runs":
            follow(store, "c1")
        elif when == "next is done":
            goes_on(store, follow(store, "c1"), "c1")

        assert "settled" == begin(store, first, "late").verdict

        assert 1 == len(alive(store, first.id))

    def test_fork_chunk_published_twice(self, store: Store) -> None:
        """A relay dies between publishing and marking; both copies come."""
        first = start(store)
        goes_on(store, first, "c0")
        (copy,) = take(store)
        self.advance(store, RELAY_LEASE_MS + 1)
        (twin,) = publish(store)

        assert ["run", "busy"] == [begin(store, copy, "c1").verdict, begin(store, twin, "c2").verdict]
        goes_on(store, copy, "c1")
        assert "settled" == begin(store, twin, "c3").verdict
        assert ["READY"] == alive(store, first.id)

    @pytest.mark.parametrize("how", ["lose", "release", "sweep", "READY", "DELAYED", "PARKED", "THROTTLED"])
    def test_fork_chunk_that_comes_again(self, store: Store, how: str) -> None:
        """Lost, given back, retried, parked: the same chunk, once."""
        rates = (NeedsTokens("slow", "slow", 1_000, 5),)
        first = start(store, needs={"rates": rates})
        goes_on(store, first, "c0")
        second = follow(store, "c1", rates=rates)
        if how in ("lose", "release"):
            getattr(store.claims, how)(second.id, "c1")
        elif how == "sweep":
            self.a_lease_passes(store)
        else:
            finish(store, second, "c1", how, due_ms=5_000, group="slow")
        self.advance(store, 60 * SECOND)
        store.parked.release("slow", 10)
        store.waiting.let_out(10)
        again = follow(store, "c2", rates=rates)

        assert (second.id, second.flow) == (again.id, again.flow)
        assert "refused" == goes_on(store, second, "c1") or how in ("READY", "DELAYED", "PARKED", "THROTTLED")
        assert ["RUN"] == alive(store, first.id)
        goes_on(store, again, "c2")
        assert (["READY"], 2) == (alive(store, first.id), seen(store, first).chunk)
