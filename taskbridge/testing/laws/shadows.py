"""The laws of shadows: two sides are told, each once, compared when both are known, counted, and forgotten."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ...store import Store
from ...store.shadows import KEPT, PAIR_MS, SUCCEEDED, TALLY_MS, Side, Tally, Told
from .steps import Laws


def a_told(outcome: str = SUCCEEDED, backend: str = "celery", **more: Any) -> Told:
    return Told(outcome=outcome, backend=backend, **more)


def tell(store: Store, id: str, side: Side, told: Told | None = None, rule: str = "s1", task: str = "t") -> str:
    return store.shadows.tell(rule, task, id, side, told or a_told())


def tally(store: Store) -> Tally:
    """What was counted under the only shadow."""
    (found,) = store.shadows.read(0)[0]
    return found


class ShadowLaws(Laws):
    """``begin``, ``tell`` and ``read``."""

    def test_nothing_was_shadowed(self, store: Store) -> None:
        """Nothing is counted."""
        assert ([], []) == tuple(map(list, store.shadows.read(10)))

    def test_a_copy_begins_once(self, store: Store) -> None:
        """However often it is delivered, and however many workers have it; another message's copy is another one."""
        with ThreadPoolExecutor(8) as workers:
            begun = list(workers.map(lambda _: store.shadows.begin("s1", "t", "m1"), range(16)))

        assert 1 == sum(begun)
        assert store.shadows.begin("s1", "t", "m2")
        assert Tally(rule="s1", task="t", begun=2) == tally(store)

    def test_a_copy_does_not_begin_again_when_its_pair_was_compared(self, store: Store) -> None:
        """Its delivery may be repeated long after."""
        store.shadows.begin("s1", "t", "m1")
        tell(store, "m1", "original")
        tell(store, "m1", "copy")

        assert not store.shadows.begin("s1", "t", "m1")

    @pytest.mark.parametrize("first", ["original", "copy"])
    def test_two_sides_are_compared_whichever_comes_first(self, store: Store, first: Side) -> None:
        """The first waits; with the second they agree, are counted, and their run times are added up."""
        second: Side = "copy" if first == "original" else "original"
        took = {"original": 2_000, "copy": 3_000}

        answers = [tell(store, "m1", side, a_told(digest="d", ran_us=took[side])) for side in (first, second)]

        assert ["first", "agreed"] == answers
        expected = Tally(rule="s1", task="t", originals=1, copies=1, agreed=1, original_us=2_000, copy_us=3_000)
        assert expected == tally(store)
        assert [] == list(store.shadows.read(10)[1])

    @pytest.mark.parametrize(
        ("original", "copy", "verdict"),
        [
            ((SUCCEEDED, "a"), (SUCCEEDED, "a"), "agreed"),
            ((SUCCEEDED, "a"), (SUCCEEDED, "b"), "result"),
            ((SUCCEEDED, "a"), ("ValueError", ""), "outcome"),
            (("ValueError", ""), ("ValueError", ""), "agreed"),
            (("ValueError", ""), ("KeyError", ""), "outcome"),
            ((SUCCEEDED, ""), (SUCCEEDED, "b"), "agreed"),  # no digest could be made: it is not compared
            ((SUCCEEDED, ""), (SUCCEEDED, ""), "agreed"),
        ],
    )
    def test_what_a_disagreement_is(
        self, store: Store, original: tuple[str, str], copy: tuple[str, str], verdict: str
    ) -> None:
        """Another outcome, or another result; what cannot be compared is no disagreement."""
        tell(store, "m1", "original", a_told(original[0], digest=original[1]))

        assert verdict == tell(store, "m1", "copy", a_told(copy[0], "dramatiq", digest=copy[1]))

        assert 1 == getattr(tally(store), verdict) == tally(store).pairs

    def test_a_disagreement_is_kept_with_both_sides(self, store: Store) -> None:
        """Word for word, the newest first, as many as are asked for."""
        before_ms = store.now_ms()
        original = a_told("ValueError", digest="", ran_us=7, why="ValueError: ein  ß\nzwei")
        copy = a_told(backend="dramatiq", digest="d", ran_us=8, unsent=2)
        for n in range(3):
            tell(store, f"m{n}", "original", original, task="bank.pay")
            tell(store, f"m{n}", "copy", copy, task="bank.pay")

        found = store.shadows.read(2)[1]

        assert ["m2", "m1"] == [one.id for one in found]
        first = found[0]
        assert ("s1", "bank.pay", "outcome", original, copy) == (
            first.rule,
            first.task,
            first.by,
            first.original,
            first.copy,
        )
        assert before_ms <= first.at_ms <= store.now_ms()
        assert (3, 6) == (tally(store).outcome, tally(store).unsent)

    def test_what_is_told_again_changes_nothing(self, store: Store) -> None:
        """The first word of a side stands: a later attempt says nothing, before and after the pair was compared."""
        tell(store, "m1", "original", a_told("ValueError"))

        assert "known" == tell(store, "m1", "original", a_told())
        assert "outcome" == tell(store, "m1", "copy", a_told())
        assert ["known", "known"] == [tell(store, "m1", side) for side in ("original", "copy")]

        assert Tally(rule="s1", task="t", originals=1, copies=1, outcome=1) == tally(store)

    def test_shadows_are_counted_apart(self, store: Store) -> None:
        """Each under its own name: a new one begins at nothing."""
        tell(store, "m1", "original", rule="s1", task="a")
        self.advance(store, 5)
        tell(store, "m2", "copy", rule="s2", task="b")

        found = store.shadows.read(0)[0]

        assert [Tally(rule="s2", task="b", copies=1), Tally(rule="s1", task="a", originals=1)] == list(found)

    def test_a_side_waits_for_a_day(self, store: Store) -> None:
        """Then the other one is the first of a new pair; what was counted stands."""
        tell(store, "m1", "original")
        self.advance(store, PAIR_MS + 1_000)

        assert "first" == tell(store, "m1", "copy")
        assert (1, 1, 0) == (tally(store).originals, tally(store).copies, tally(store).pairs)

    def test_the_oldest_pairs_go_first(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """There are never more than so many."""
        for module in ("memory", "redis"):
            monkeypatch.setattr(f"taskbridge.store.{module}.shadows.MOST_PAIRS", 10)
        for n in range(12):
            tell(store, f"m{n}", "original")
            self.advance(store, 5)

        answers = [tell(store, f"m{n}", "copy") for n in (11, 2)]  # each takes the place of the oldest, if it is new

        assert ["agreed", "agreed"] == answers
        assert "first" == tell(store, "m0", "copy")

    def test_only_the_last_disagreements_are_kept(self, store: Store) -> None:
        """They are bounded, and their counts go on."""
        for n in range(KEPT + 3):
            tell(store, f"m{n}", "original", a_told("ValueError"))
            tell(store, f"m{n}", "copy")

        assert KEPT == len(store.shadows.read(KEPT * 2)[1])
        assert KEPT + 3 == tally(store).outcome

    def test_counts_are_forgotten_a_week_after_the_last_word(self, store: Store) -> None:
        """Nobody has to clear them."""
        tell(store, "m1", "original")
        self.advance(store, TALLY_MS - 10_000)
        standing = len(store.shadows.read(0)[0])
        self.advance(store, 20_000)

        assert (1, []) == (standing, list(store.shadows.read(0)[0]))
