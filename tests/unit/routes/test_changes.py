"""Changing the route table: nobody's change is lost, and what was not answered is known to be in doubt."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from taskbridge.errors import ConfigError, StoreUnavailable
from taskbridge.routes.changes import change, like, table_now, version_of
from taskbridge.routing import Rule, Table
from taskbridge.routing.table import EMPTY, encode
from taskbridge.store.memory import MemoryStore
from taskbridge.store.redis import RedisStore
from taskbridge.versioning import LONGEST_NOTE, TRIES
from tests.servers import RedisServer


def rule(n: int, **words: Any) -> Rule:
    return Rule(**({"id": f"r{n}", "to": "dramatiq", "task": f"task{n}"} | words))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_change_is_a_version_of_its_own(store: MemoryStore):
    """With who and why; what changes nothing is none."""
    changed = change(store, lambda table: table.with_rule(rule(1)), who="ann", note="why")
    same = change(store, lambda table: table.with_rule(rule(1)), who="bob")

    found, table = table_now(store)
    assert (1, True, 1, False) == (changed.version, changed.written, same.version, same.written)
    assert (EMPTY, (rule(1),), 1) == (changed.before, changed.now.rules, changed.now.named)
    assert ("ann", "why", changed.now) == (found.who, found.note, table)


def test_changes_at_the_same_time_all_hold(store: MemoryStore):
    """Each is made of the table as the one before left it."""
    with ThreadPoolExecutor(4) as operators:
        versions = list(
            operators.map(lambda n: change(store, lambda table: table.with_rule(rule(n)), who="").version, range(1, 17))
        )

    assert list(range(1, 17)) == sorted(versions)
    assert {f"r{n}" for n in range(1, 17)} == {one.id for one in table_now(store)[1].rules}


def test_change_that_is_always_too_late_gives_up(store: MemoryStore):
    """Others change the table all the while; nothing of it is written."""
    asked = 0

    def wanted(table: Table) -> Table:
        nonlocal asked
        asked += 1
        version = store.routes.read()
        assert version is not None
        store.routes.write(version.version, encode(Table(rules=(rule(asked),))), who="other", note="")
        return table.with_rule(rule(1_000))

    with pytest.raises(StoreUnavailable, match="nothing was written, try again"):
        change(store, wanted, who="me")

    assert TRIES == asked
    assert {"other"} == {one.who for one in store.routes.history(100)}


def test_what_is_refused_is_not_written(store: MemoryStore):
    """Nor a note or a table that is too large."""
    with pytest.raises(ConfigError, match="no rule is called"):
        change(store, lambda table: table.without(["r1"]), who="me")
    with pytest.raises(ConfigError, match=f"note: expected at most {LONGEST_NOTE} characters, got 501"):
        change(store, lambda table: table.with_rule(rule(1)), who="me", note="x" * 501)

    assert [] == store.routes.history(10)


def test_older_version_comes_back_under_names_of_its_own(store: MemoryStore):
    """A rule's name stays its own: those that were given since are not given again."""
    change(store, lambda table: table.with_rule(rule(1)), who="me")
    change(store, lambda table: table.with_rule(rule(2)), who="me")
    older = version_of(store, 1)

    back = change(store, lambda table: like(table, older), who="me").now

    assert ((rule(1),), "r3") == (back.rules, back.next_id())
    assert EMPTY == version_of(store, 0)
    with pytest.raises(ConfigError, match="there is no version 4 of the routes: versions 1 to 3 are kept"):
        version_of(store, 4)


@pytest.mark.service("redis")
@pytest.mark.parametrize("written", [False, True])
def test_store_that_dies_in_the_middle_keeps_all_or_nothing(written: bool, monkeypatch: pytest.MonkeyPatch):
    """Killed between read and write, or between write and answer: the error says what is not known, and nothing is
    half done; the same change is made again when the store is back, and is made once."""
    with RedisServer(appendonly=True, appendfsync="always") as server:
        store = RedisStore(server.url(), "dies")
        change(store, lambda table: table.with_rule(rule(1)), who="me")

        def wanted(table: Table) -> Table:
            if not written:
                server.stop(signal.SIGKILL)
            return table.with_rule(rule(2))

        if written:
            exchange = store.server.exchange

            def cut(packed: bytes, replies: int) -> Any:
                exchange(packed, replies)
                server.stop(signal.SIGKILL)
                raise StoreUnavailable("the connection was cut")

            monkeypatch.setattr(store.server, "exchange", cut)
        with pytest.raises(StoreUnavailable, match="whether the routes were changed is not known"):
            change(store, wanted, who="me")
        store.close()
        server.start()
        store = RedisStore(server.url(), "dies")

        assert ([2, 1] if written else [1]) == [one.version for one in store.routes.history(10)]
        again = change(store, lambda table: table.with_rule(rule(2)), who="me")
        assert (2, not written) == (again.version, again.written)
        assert ["r1", "r2"] == [one.id for one in table_now(store)[1].rules]
        store.close()
