"""The laws of a versioned document: changed by who has seen its newest version, with the last hundred kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ...store import Store
from ...store.versions import KEPT, Version
from .steps import Laws


class VersionsLaws(Laws):
    """``read``, ``write`` and ``history``."""

    def test_nothing_was_written(self, store: Store) -> None:
        """That is version 0, of an empty document; it has no history."""
        assert Version() == store.routes.read()
        assert None is store.routes.read(0)
        assert [] == store.routes.history(10)

    def test_each_document_has_versions_of_its_own(self, store: Store) -> None:
        """What is written to one is not in the other."""
        store.routes.write(0, b"rules", who="ann", note="")
        assert Version() == store.migrations.read()

        assert 1 == store.migrations.write(0, b"moves", who="bob", note="")
        assert 1 == store.orders.write(0, b"sizes", who="cid", note="")

        documents = [one.read() for one in (store.routes, store.migrations, store.orders)]
        assert [b"rules", b"moves", b"sizes"] == [found.document for found in documents if found]

    def test_written_routes_are_read(self, store: Store) -> None:
        """Byte for byte, with who wrote them, why, and when by the store's clock."""
        before_ms = store.now_ms()

        assert 1 == store.routes.write(0, b'{"x":"\x00\xff"}', who="ann@host", note="één")

        found = store.routes.read()
        assert found is not None
        assert before_ms <= found.at_ms <= store.now_ms()
        expected = Version(version=1, document=b'{"x":"\x00\xff"}', who="ann@host", note="één", at_ms=found.at_ms)
        assert expected == found
        assert [expected] == store.routes.history(10)

    def test_what_is_known_is_not_read_again(self, store: Store) -> None:
        """Only another version is an answer; whoever knows one that is gone is given the newest."""
        store.routes.write(0, b"one", who="", note="")

        assert None is store.routes.read(1)
        for known in (-1, 0, 2):
            found = store.routes.read(known)
            assert found is not None
            assert b"one" == found.document

    def test_who_saw_an_older_version_is_refused(self, store: Store) -> None:
        """And changes nothing; so is who saw one that is not there."""
        store.routes.write(0, b"one", who="ann", note="")

        assert 0 == store.routes.write(0, b"two", who="bob", note="")
        assert 0 == store.routes.write(2, b"two", who="bob", note="")

        assert [b"one"] == [version.document for version in store.routes.history(10)]
        assert 2 == store.routes.write(1, b"two", who="bob", note="")

    def test_one_of_many_writes(self, store: Store) -> None:
        """Of all who saw the same version one writes the next."""
        with ThreadPoolExecutor(8) as hosts:
            written = list(hosts.map(lambda n: store.routes.write(0, b"%d" % n, who="", note=""), range(16)))

        assert [0] * 15 + [1] == sorted(written)
        (version,) = store.routes.history(10)
        assert written.index(1) == int(version.document)

    def test_who_was_not_answered_asks_again(self, store: Store) -> None:
        """The same words are the same version, written once; other words are somebody else's."""
        first = store.routes.write(0, b"one", who="ann", note="why")
        again = store.routes.write(0, b"one", who="ann", note="why")

        assert (1, 1) == (first, again)
        assert 0 == store.routes.write(0, b"one", who="bob", note="why")
        assert 0 == store.routes.write(0, b"one", who="ann", note="")
        assert 1 == len(store.routes.history(10))

    def test_the_last_hundred_are_kept(self, store: Store) -> None:
        """The newest first, as many as asked for; their numbers go on."""
        for n in range(KEPT + 5):
            assert n + 1 == store.routes.write(n, b"%d" % n, who=f"{n}", note="")

        history = store.routes.history(KEPT + 5)

        assert list(range(KEPT + 5, 5, -1)) == [version.version for version in history]
        assert [(b"%d" % (one.version - 1), f"{one.version - 1}") for one in history] == [
            (one.document, one.who) for one in history
        ]
        assert history[:3] == store.routes.history(3)
        assert [] == store.routes.history(0)

    def test_instants_are_the_stores(self, store: Store) -> None:
        """A version that is written later is not stamped earlier."""
        store.routes.write(0, b"one", who="", note="")
        store.routes.write(1, b"two", who="", note="")

        later, earlier = store.routes.history(2)

        assert earlier.at_ms <= later.at_ms <= store.now_ms()
