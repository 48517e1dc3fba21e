"""Evidence in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from ..evidence import KEPT_MS, SLICE_MS, Counts, Slice
from .records import Records


class MemoryEvidence:
    """Slices by instant, backend and task; ``told`` has the last turn of each teller, and until when it is known."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._watched: dict[str, int] = {}
        self._attended: dict[str, tuple[int, int]] = {}
        self._counts: dict[tuple[int, str, str], Counts] = {}
        self._told: dict[str, tuple[int, int]] = {}

    def watch(self, tasks: Mapping[str, int]) -> None:
        with self._records.lock:
            self._watched |= tasks
            self._watched = {task: until_ms for task, until_ms in self._watched.items() if until_ms > self._now_ms()}

    def watched(self) -> dict[str, int]:
        with self._records.lock:
            return self._standing()

    def attend(self, tasks: Sequence[str], lease_ms: int) -> dict[str, int]:
        with self._records.lock:
            now_ms = self._now_ms()
            known = {task: found for task, found in self._attended.items() if now_ms < found[1]}
            for task in tasks:
                since_ms, until_ms = known.get(task, (now_ms, 0))
                known[task] = since_ms, max(until_ms, now_ms + lease_ms)
            self._attended = known
            return {task: known[task][0] for task in tasks}

    def add(self, slices: Sequence[Slice], *, teller: str, turn: int) -> None:
        with self._records.lock:
            now_ms, watched = self._now_ms(), self._standing()
            self._forget(now_ms)
            if turn <= self._told.get(teller, (0, 0))[0]:
                return
            self._told[teller] = turn, now_ms + KEPT_MS
            for one in slices:
                if one.task in watched and one.at_ms <= now_ms + SLICE_MS:
                    self._add(one)

    def read(self, task: str, backends: Iterable[str], since_ms: int, until_ms: int) -> list[Slice]:
        with self._records.lock:
            self._forget(self._now_ms())
            wanted = set(backends)
            return [
                Slice(
                    task=task,
                    backend=backend,
                    at_ms=at_ms,
                    succeeded=counts.succeeded,
                    failed=counts.failed,
                    ran=dict(counts.ran),
                    waited=dict(counts.waited),
                )
                for (at_ms, backend, name), counts in sorted(self._counts.items(), key=lambda item: item[0])
                if name == task and backend in wanted and since_ms <= at_ms < until_ms
            ]

    def _add(self, one: Slice) -> None:
        counts = self._counts.setdefault((one.at_ms, one.backend, one.task), Counts())
        counts.succeeded += one.succeeded
        counts.failed += one.failed
        counts.ran.update(one.ran)
        counts.waited.update(one.waited)

    def read_all(self, tasks: Sequence[str], backends: Sequence[str], since_ms: int, until_ms: int) -> list[Slice]:
        with self._records.lock:
            return [one for task in tasks for one in self.read(task, backends, since_ms, until_ms)]

    def _now_ms(self) -> int:
        return self._records.now_ms()

    def _standing(self) -> dict[str, int]:
        """Until when each is watched, by whomever for longest."""
        pairs = [*self._watched.items(), *((task, found[1]) for task, found in self._attended.items())]
        return {task: until_ms for task, until_ms in sorted(pairs, key=itemgetter(1)) if self._now_ms() < until_ms}

    def _forget(self, now_ms: int) -> None:
        self._counts = {key: counts for key, counts in self._counts.items() if now_ms < key[0] + KEPT_MS}
        self._told = {teller: told for teller, told in self._told.items() if now_ms < told[1]}
