"""Small announcements in memory that lapse."""

from __future__ import annotations

from collections import defaultdict

from .records import Records


class MemoryDocuments:
    """Which workers live, and what they know."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._kinds: defaultdict[str, dict[str, tuple[bytes, int]]] = defaultdict(dict)

    def put(self, kind: str, key: str, value: bytes, lease_ms: int) -> list[str]:
        with self._records.lock:
            return self._say(kind, key, {key: (value, self._records.now_ms() + lease_ms)})

    def all(self, kind: str) -> dict[str, bytes]:
        with self._records.lock:
            return {key: value for key, (value, _) in self._standing(kind).items()}

    def remove(self, kind: str, key: str) -> list[str]:
        with self._records.lock:
            return self._say(kind, key, {})

    def _say(self, kind: str, key: str, said: dict[str, tuple[bytes, int]]) -> list[str]:
        before, standing = self._kinds[kind], self._standing(kind)
        self._kinds[kind] = {other: one for other, one in standing.items() if other != key} | said
        return sorted(before.keys() - standing.keys() - {key}, key=lambda other: (before[other][1], other))

    def _standing(self, kind: str) -> dict[str, tuple[bytes, int]]:
        now_ms = self._records.now_ms()
        return {key: (value, until_ms) for key, (value, until_ms) in self._kinds[kind].items() if now_ms < until_ms}
