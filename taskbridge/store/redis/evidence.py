"""Evidence in Redis: a hash per slice, which ends by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...redis.script import Script
from ...redis.server import Argument, Server
from ..evidence import KEPT_MS, SLICE_MS, Slice
from ..keys import Keys
from .claims import PACKAGE

#: Fields of a slice; a bucket's number stands behind its letter.
SUCCEEDED, FAILED, RAN, WAITED = "s", "f", "r", "w"


class RedisEvidence:
    """Who is watched, and what was gathered of them."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._watch = Script(server, PACKAGE, "watch", [keys.watched])
        self._watched = Script(server, PACKAGE, "watched", [keys.watched, keys.attended])
        self._attend = Script(server, PACKAGE, "attend", [keys.attended])
        self._add = Script(server, PACKAGE, "add_evidence", [keys.watched, keys.evidence, keys.told, keys.attended])
        self._read = Script(server, PACKAGE, "read_evidence", [keys.evidence])

    def watch(self, tasks: Mapping[str, int]) -> None:
        self._watch(*(word for task, until_ms in tasks.items() for word in (until_ms, task)))

    def watched(self) -> dict[str, int]:
        flat = self._watched()
        return {flat[i].decode(): int(flat[i + 1]) for i in range(0, len(flat), 2)}

    def attend(self, tasks: Sequence[str], lease_ms: int) -> dict[str, int]:
        return dict(zip(tasks, map(int, self._attend(lease_ms, *tasks)), strict=True)) if tasks else {}

    def add(self, slices: Sequence[Slice], *, teller: str, turn: int) -> None:
        self._add(teller, turn, KEPT_MS, SLICE_MS, *(word for one in slices for word in _words(one)))

    def read(self, task: str, backends: Iterable[str], since_ms: int, until_ms: int) -> list[Slice]:
        return self.read_all([task], sorted(set(backends)), since_ms, until_ms)

    def read_all(self, tasks: Sequence[str], backends: Sequence[str], since_ms: int, until_ms: int) -> list[Slice]:
        span = since_ms, until_ms, KEPT_MS, SLICE_MS
        packed = b"".join(self._read.packed(task, *span, *backends) for task in tasks)
        answers = self._server.exchange(packed, len(tasks)) if tasks else []
        return [
            _slice(task, *flat[i : i + 3])
            for task, flat in zip(tasks, answers, strict=True)
            for i in range(0, len(flat), 3)
        ]


def _words(one: Slice) -> Iterator[Argument]:
    counts = {SUCCEEDED: one.succeeded, FAILED: one.failed}
    counts |= {f"{RAN}{bucket}": number for bucket, number in one.ran.items()}
    counts |= {f"{WAITED}{bucket}": number for bucket, number in one.waited.items()}
    there = {name: number for name, number in counts.items() if number}
    yield from (one.task, one.at_ms, one.backend, len(there))
    for name, number in there.items():
        yield from (name, number)


def _slice(task: str, at_ms: bytes, backend: bytes, flat: bytes) -> Slice:
    words = flat.decode().split(" ")
    counts = {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}
    return Slice(
        task=task,
        backend=backend.decode(),
        at_ms=int(at_ms),
        succeeded=counts.pop(SUCCEEDED, 0),
        failed=counts.pop(FAILED, 0),
        ran=_buckets(counts, RAN),
        waited=_buckets(counts, WAITED),
    )


def _buckets(counts: Mapping[str, int], letter: str) -> dict[int, int]:
    return {int(name[1:]): number for name, number in counts.items() if name[0] == letter}
