"""The laws of what workers share beside messages: one leader per duty, and announcements that lapse."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ...store import Store
from .steps import Laws


class LeaderLaws(Laws):
    """``hold`` and ``resign``."""

    def test_one_leads(self, store: Store) -> None:
        """Of all who would lead a duty, one does; another duty has its own leader."""
        with ThreadPoolExecutor(8) as hosts:
            held = list(hosts.map(lambda n: store.leader.hold("relay", f"host-{n}", 10_000), range(16)))

        assert 1 == sum(held)
        assert store.leader.hold("cron", "host-x", 10_000)

    def test_leader_keeps_the_lead(self, store: Store) -> None:
        """Who leads and says so again in time goes on leading."""
        for _ in range(3):
            assert store.leader.hold("relay", "me", 60_000)
            assert not store.leader.hold("relay", "you", 60_000)
            self.advance(store, 50_000)

    def test_silent_leader_is_followed(self, store: Store) -> None:
        """When its lease is over another may lead, and the first no more."""
        store.leader.hold("relay", "me", 10_000)
        self.advance(store, 10_001)

        assert store.leader.hold("relay", "you", 10_000)
        assert not store.leader.hold("relay", "me", 10_000)

    def test_resigned_lead_is_free(self, store: Store) -> None:
        """Who resigns, twice if he likes, makes room at once."""
        store.leader.hold("relay", "me", 10_000)

        store.leader.resign("relay", "me")
        store.leader.resign("relay", "me")

        assert store.leader.hold("relay", "you", 10_000)

    def test_only_the_leader_resigns(self, store: Store) -> None:
        """Another's resignation, come late, does not end a lead."""
        store.leader.hold("relay", "me", 10_000)

        store.leader.resign("relay", "you")

        assert not store.leader.hold("relay", "you", 10_000)


class DocumentsLaws(Laws):
    """``put``, ``all`` and ``remove``."""

    def test_announcement_is_seen(self, store: Store) -> None:
        """What is announced is seen byte for byte, under its own kind only; the latest counts."""
        store.documents.put("worker", "host-1", b"old", 10_000)
        store.documents.put("worker", "host-1", b"\x00\xff", 10_000)
        store.documents.put("worker", "host-2", b"", 10_000)

        assert {"host-1": b"\x00\xff", "host-2": b""} == store.documents.all("worker")
        assert {} == store.documents.all("relay")

    def test_announcement_lapses(self, store: Store) -> None:
        """Who announces no more is seen no more; who does, is."""
        store.documents.put("worker", "gone", b"1", 60_000)
        store.documents.put("worker", "alive", b"1", 60_000)
        self.advance(store, 45_000)
        store.documents.put("worker", "alive", b"2", 60_000)
        self.advance(store, 45_000)

        assert {"alive": b"2"} == store.documents.all("worker")

        assert ["gone"] == store.documents.put("worker", "new", b"3", 60_000)
        assert [] == store.documents.put("worker", "new", b"3", 60_000)
        assert {"alive": b"2", "new": b"3"} == store.documents.all("worker")

    def test_removed_announcement_is_gone(self, store: Store) -> None:
        """What is taken back, twice if need be, is seen no more."""
        store.documents.put("worker", "host-1", b"1", 10_000)

        store.documents.remove("worker", "host-1")
        store.documents.remove("worker", "host-1")

        assert {} == store.documents.all("worker")

    @pytest.mark.parametrize("how", ["put", "remove"])
    def test_who_has_lapsed_is_told_once(self, store: Store, how: str) -> None:
        """To whoever says something next: they are gone without a word; who took it back, or says it again, is not."""
        for name in ("first", "second", "back", "again"):
            store.documents.put("worker", name, b"1", 10_000)
            self.advance(store, 10)
        store.documents.remove("worker", "back")
        self.advance(store, 10_000)

        words = ("worker", "again", b"2", 10_000) if how == "put" else ("worker", "again")
        told = [getattr(store.documents, how)(*words) for _ in range(2)]

        assert [["first", "second"], []] == told
