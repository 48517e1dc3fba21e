"""One leader per duty in memory, by lease."""

from __future__ import annotations

from .records import Records


class MemoryLeader:
    """The owner's name, until an instant."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._leads: dict[str, tuple[str, int]] = {}

    def hold(self, duty: str, owner: str, lease_ms: int) -> bool:
        with self._records.lock:
            now_ms = self._records.now_ms()
            leader, until_ms = self._leads.get(duty, ("", 0))
            if leader != owner and now_ms < until_ms:
                return False
            self._leads[duty] = owner, now_ms + lease_ms
            return True

    def owner(self, duty: str) -> str:
        """Who leads; nobody is the empty string."""
        leader, until_ms = self._leads.get(duty, ("", 0))
        return leader if self._records.now_ms() < until_ms else ""

    def resign(self, duty: str, owner: str) -> None:
        self.hold(duty, owner, 0)
