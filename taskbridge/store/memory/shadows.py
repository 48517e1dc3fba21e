"""Shadows in memory."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

from ..shadows import KEPT, MOST_PAIRS, PAIR_MS, TALLY_MS, Disagreement, Side, Tally, Told, differs
from .records import Records


@dataclass(slots=True)
class Pair:
    """What is known of a pair; ``told`` is empty again once both sides were compared."""

    since_ms: int
    begun: bool = False
    done: bool = False
    told: dict[Side, Told] = field(default_factory=dict)


@dataclass(slots=True)
class Counted:
    """The counts of one shadow."""

    task: str = ""
    at_ms: int = 0
    words: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


class MemoryShadows:
    """Pairs by the id of the original, the oldest first."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._pairs: dict[str, Pair] = {}
        self._counted: dict[str, Counted] = {}
        self._last: deque[Disagreement] = deque(maxlen=KEPT)

    def begin(self, rule: str, task: str, id: str) -> bool:
        with self._records.lock:
            pair = self._pair(id)
            if pair.begun:
                return False
            pair.begun = True
            self._count(rule, task)["begun"] += 1
            return True

    def tell(self, rule: str, task: str, id: str, side: Side, told: Told) -> str:
        with self._records.lock:
            pair = self._pair(id)
            if pair.done or side in pair.told:
                return "known"
            words = self._count(rule, task)
            pair.told[side] = told
            words["originals" if side == "original" else "copies"] += 1
            words["unsent"] += told.unsent
            if len(pair.told) < 2:
                return "first"
            return self._compared(rule, task, id, pair, words)

    def read(self, limit: int) -> tuple[list[Tally], list[Disagreement]]:
        with self._records.lock:
            standing = [(counted.at_ms, rule) for rule, counted in self._counted.items() if self._stands(counted)]
            newest = sorted(standing, reverse=True)
            tallies = [
                Tally(rule=rule, task=self._counted[rule].task, **self._counted[rule].words) for _, rule in newest
            ]
            return tallies, list(self._last)[::-1][:limit]

    def _compared(self, rule: str, task: str, id: str, pair: Pair, words: defaultdict[str, int]) -> str:
        original, copy = pair.told["original"], pair.told["copy"]
        pair.told, pair.done = {}, True
        by = differs(original, copy)
        words[by or "agreed"] += 1
        words["original_us"] += original.ran_us
        words["copy_us"] += copy.ran_us
        if by:
            at_ms = self._records.now_ms()
            found = Disagreement(rule=rule, task=task, id=id, by=by, original=original, copy=copy, at_ms=at_ms)
            self._last.append(found)
        return by or "agreed"

    def _pair(self, id: str) -> Pair:
        """Return a pair that is heard of; those that are too old, or too many, are forgotten."""
        now_ms = self._records.now_ms()
        for other, pair in list(self._pairs.items()):
            if pair.since_ms > now_ms - PAIR_MS and len(self._pairs) < MOST_PAIRS + (id in self._pairs):
                break
            del self._pairs[other]
        return self._pairs.setdefault(id, Pair(now_ms))

    def _count(self, rule: str, task: str) -> defaultdict[str, int]:
        found = self._counted.get(rule)
        if found is None or not self._stands(found):
            found = self._counted[rule] = Counted()
        found.task, found.at_ms = task, self._records.now_ms()
        return found.words

    def _stands(self, counted: Counted) -> bool:
        return counted.at_ms > self._records.now_ms() - TALLY_MS
