"""The laws of evidence: what is watched is counted, once, in the slice of its ten seconds, and kept for an hour."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...store import Store
from ...store.evidence import KEPT_MS, SLICE_MS, Slice
from .steps import Laws

HOUR_MS = 3_600_000


def now(store: Store, slices_ago: int = 0) -> int:
    """When the slice of this instant begins, or one before it."""
    return (store.now_ms() // SLICE_MS - slices_ago) * SLICE_MS


def a_slice(at_ms: int, task: str = "book", backend: str = "old", **counts: Any) -> Slice:
    """A slice of a task; two attempts unless it is said otherwise."""
    return Slice(task=task, backend=backend, at_ms=at_ms, **(counts or {"succeeded": 2}))


def read(store: Store, task: str = "book", *backends: str) -> list[Slice]:
    """All that is there of a task."""
    return store.evidence.read(task, backends or ("old", "new"), 0, store.now_ms() + HOUR_MS)


def watch(store: Store, *tasks: str) -> None:
    """Have tasks watched for two hours."""
    store.evidence.watch(dict.fromkeys(tasks or ("book",), store.now_ms() + 2 * HOUR_MS))


class EvidenceLaws(Laws):
    """``watch``, ``watched``, ``add`` and ``read``."""

    def test_nobody_is_watched_at_first(self, store: Store) -> None:
        """And nothing was gathered."""
        assert {} == store.evidence.watched()
        assert [] == read(store)
        assert [] == store.evidence.read("book", [], 0, store.now_ms())

    def test_tasks_are_watched_until_their_instants(self, store: Store) -> None:
        """Another watch leaves the others as they are; one that is past ends it, and so does time."""
        until_ms = store.now_ms() + HOUR_MS
        store.evidence.watch({"book": until_ms, "send": until_ms})
        store.evidence.watch({"send": 0, "más": until_ms + 1})

        assert {"book": until_ms, "más": until_ms + 1} == store.evidence.watched()
        store.evidence.watch({})
        assert {"book", "más"} == set(store.evidence.watched())
        self.advance(store, HOUR_MS + 2)
        assert {} == store.evidence.watched()

    def test_what_was_added_is_read(self, store: Store) -> None:
        """Count for count."""
        watch(store)
        one = a_slice(now(store), succeeded=7, failed=3, ran={0: 1, 20: 8, 152: 1}, waited={30: 12})

        store.evidence.add([one], teller="a", turn=1)

        assert [one] == read(store)

    def test_tellers_add_to_the_same_slice(self, store: Store) -> None:
        """Whoever told, of one task, backend and instant there is one slice; in one telling, too."""
        watch(store)
        at_ms = now(store)
        store.evidence.add(
            [a_slice(at_ms, succeeded=1, ran={3: 1, 4: 2}), a_slice(at_ms, failed=5)], teller="a", turn=1
        )
        store.evidence.add([a_slice(at_ms, succeeded=2, ran={4: 1}, waited={9: 1})], teller="b", turn=1)

        assert [a_slice(at_ms, succeeded=3, failed=5, ran={3: 1, 4: 3}, waited={9: 1})] == read(store)

    def test_who_was_not_answered_tells_again(self, store: Store) -> None:
        """Under the same turn it is added once; an older turn is known too. Another teller's turns are its own."""
        watch(store)
        at_ms = now(store)
        for turn in (1, 1, 2, 1, 2):
            store.evidence.add([a_slice(at_ms, succeeded=turn)], teller="a", turn=turn)

        assert [a_slice(at_ms, succeeded=3)] == read(store)
        store.evidence.add([a_slice(at_ms, succeeded=1)], teller="b", turn=1)
        assert [a_slice(at_ms, succeeded=4)] == read(store)

    def test_many_tell_at_once(self, store: Store) -> None:
        """Nothing is lost between them."""
        watch(store)
        at_ms = now(store)

        def tell(n: int) -> None:
            for turn in (1, 2, 2):
                store.evidence.add([a_slice(at_ms, succeeded=1, ran={n % 3: 1})], teller=f"{n}", turn=turn)

        with ThreadPoolExecutor(8) as processes:
            list(processes.map(tell, range(24)))

        assert [a_slice(at_ms, succeeded=48, ran={0: 16, 1: 16, 2: 16})] == read(store)

    def test_what_nobody_watches_is_not_kept(self, store: Store) -> None:
        """Neither now nor once it is watched; what was told with it is."""
        watch(store, "book")
        at_ms = now(store)
        store.evidence.add([a_slice(at_ms, "send"), a_slice(at_ms), a_slice(at_ms, "mail")], teller="a", turn=1)
        watch(store, "send")

        assert [] == read(store, "send")
        assert [a_slice(at_ms)] == read(store)

    def test_sides_are_read_apart_and_in_order(self, store: Store) -> None:
        """Of one task, of the backends that are named, the oldest first; only what begins in that time."""
        watch(store, "book", "book 2")
        ages = [now(store, slices_ago) for slices_ago in (3, 2, 1, 0)]
        slices = [a_slice(at_ms, backend=side) for at_ms in ages for side in ("new", "old", "third")]
        store.evidence.add([*reversed(slices), a_slice(ages[0], "book 2")], teller="a", turn=1)

        assert [one for one in slices if one.backend != "third"] == read(store)
        assert [one for one in slices if one.backend == "third"] == read(store, "book", "third")
        found = store.evidence.read("book", ["old"], ages[1], ages[3])
        assert [a_slice(at_ms) for at_ms in ages[1:3]] == found
        assert [a_slice(ages[2])] == store.evidence.read("book", ["old"], ages[1] + 1, ages[2] + 1)

    def test_what_is_an_hour_old_is_not_taken(self, store: Store) -> None:
        """Nor what lies further ahead than clocks may differ."""
        watch(store)
        told = [a_slice(now(store, ago)) for ago in (KEPT_MS // SLICE_MS + 1, KEPT_MS // SLICE_MS - 2, 0, -3)]

        store.evidence.add(told, teller="a", turn=1)

        assert told[1:3] == read(store)

    def test_it_is_kept_for_an_hour(self, store: Store) -> None:
        """Whoever is watched no more can be read until then."""
        watch(store)
        at_ms = now(store)
        store.evidence.add([a_slice(at_ms)], teller="a", turn=1)
        store.evidence.watch({"book": 0})

        self.advance(store, KEPT_MS - 2 * SLICE_MS)
        assert [a_slice(at_ms)] == store.evidence.read("book", ["old"], at_ms, at_ms + 1)
        self.advance(store, 2 * SLICE_MS)
        assert [] == store.evidence.read("book", ["old"], at_ms, at_ms + 1)

    def test_who_looks_on_has_tasks_watched(self, store: Store) -> None:
        """From when on is told each time; while nobody renews it, it ends by itself."""
        since = store.evidence.attend(["book", "send"], 30_000)
        assert {"book", "send"} == set(store.evidence.watched()) == set(since)
        self.advance(store, 20_000)

        again = store.evidence.attend(["send", "new"], 30_000)
        store.evidence.add([a_slice(now(store)), a_slice(now(store), "none")], teller="a", turn=1)

        assert again["send"] < again["new"]
        assert [2] == [one.succeeded for one in read(store)]
        assert [] == read(store, "none")
        self.advance(store, 20_000)
        assert {"send", "new"} == set(store.evidence.watched())
        assert store.evidence.attend(["book"], 1_000)["book"] > again["new"]
        self.advance(store, 20_000)
        assert {} == store.evidence.watched()
        assert {} == store.evidence.attend([], 1_000)

    def test_who_looks_on_changes_no_watch(self, store: Store) -> None:
        """One that is longer stays, one that is shorter ends when it was to, and ending it ends not what others see."""
        until_ms = store.now_ms() + HOUR_MS
        store.evidence.watch({"book": until_ms})

        store.evidence.attend(["book"], 30_000)
        assert {"book": until_ms} == store.evidence.watched()
        store.evidence.watch({"book": 0})

        assert store.evidence.watched()["book"] < until_ms
        self.advance(store, 31_000)
        assert {} == store.evidence.watched()

    def test_many_are_read_as_one_by_one(self, store: Store) -> None:
        """In one trip, task by task, the oldest first."""
        watch(store, "book", "send")
        slices = [a_slice(now(store, n), task, "new") for task in ("book", "send", "no") for n in (2, 1)]
        store.evidence.add(slices, teller="a", turn=1)

        found = store.evidence.read_all(["send", "book", "no"], ["new", "old"], 0, store.now_ms())

        assert [*read(store, "send"), *read(store, "book")] == found
        assert [] == store.evidence.read_all([], ["new"], 0, store.now_ms())
