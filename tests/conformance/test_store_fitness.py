"""A server that would lose or refuse data is found out, and the finding names the setting to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from taskbridge.errors import StoreUnfit
from taskbridge.store import Fitness
from taskbridge.store.keys import SCHEMA
from taskbridge.store.memory import MemoryStore
from taskbridge.store.redis import RedisStore
from tests.servers import RedisServer, until

NAMESPACE = "fit"
LEAST = f"~{{{NAMESPACE}}}:* +@read +@write +@scripting +@connection +info +time"

pytestmark = pytest.mark.service("redis")


@contextmanager
def serving(**options: Any) -> Iterator[tuple[RedisServer, RedisStore]]:
    with RedisServer(**options) as server:
        store = RedisStore(server.url(), NAMESPACE)
        yield server, store
        store.close()


def found(**options: Any) -> Fitness:
    """Return what is found on a server of this kind."""
    with serving(**options) as (_, store):
        return store.fitness()


@pytest.mark.parametrize("acl", [None, ("bridge", "secret", LEAST)], ids=["all rights", "least rights"])
def test_good_server_is_fit(redis_binary: str, acl: tuple[str, str, str] | None) -> None:
    """A server that keeps its data and evicts nothing has no finding, also for a user with the least rights."""
    fitness = found(binary=redis_binary, appendonly=True, acl=acl)

    assert ((), ()) == (fitness.fatal, fitness.warnings)
    assert fitness.server.split(" ")[0] in {"redis", "valkey"}


def test_looking_twice_finds_the_same() -> None:
    """The first look writes the schema down; the second agrees with it."""
    with serving(appendonly=True) as (server, store):
        looks = [store.fitness(), store.fitness()]

        assert looks[0] == looks[1]
        assert SCHEMA.encode() == server.cli().get(f"{{{NAMESPACE}}}:schema")


def test_eviction_policy() -> None:
    """A server that may evict would lose messages: fatal with a limit of memory, else a warning."""
    policy = {"maxmemory-policy": "allkeys-lru"}

    limited, boundless = (found(maxmemory=limit, appendonly=True, settings=policy) for limit in ("100mb", "0"))

    assert ["maxmemory-policy is allkeys-lru: set maxmemory-policy noeviction"] == [*limited.fatal, *limited.warnings]
    assert ((), limited.fatal) == (boundless.fatal, boundless.warnings)


def test_no_persistence() -> None:
    """A server that keeps nothing on disk is warned of; snapshots are enough to be not."""
    (warning,) = found().warnings

    assert "appendonly yes" in warning
    assert () == found(settings={"save": "3600 1"}).warnings


def test_replica() -> None:
    """A replica takes no writes: use the primary."""
    with RedisServer() as primary, serving(settings={"replicaof": f"127.0.0.1 {primary.port}"}) as (_, store):
        assert "it is a replica; use the primary's address, or sentinel://" in store.fitness().fatal


def test_cluster() -> None:
    """A Cluster is refused."""
    fatal = found(appendonly=True, settings={"cluster-enabled": "yes"}).fatal

    assert "it is a Cluster; use one primary, with Sentinel for failover" in fatal


def test_schema_of_another_release() -> None:
    """A store that another release wrote is left alone, and says which."""
    with serving(appendonly=True) as (server, store):
        server.cli().set(f"{{{NAMESPACE}}}:schema", "99")

        assert (
            f"its schema is '99' and this release knows '{SCHEMA}': run the release that wrote it",
        ) == store.fitness().fatal
        assert b"99" == server.cli().get(f"{{{NAMESPACE}}}:schema")


@pytest.mark.parametrize("denied", ["zadd", "eval", "lpush", "hset", "pexpire", "incr", "time"])
def test_denied_command(redis_binary: str, denied: str) -> None:
    """A command that the ACL denies is named, on old servers and new."""
    fatal = found(binary=redis_binary, appendonly=True, acl=("bridge", "secret", f"{LEAST} -{denied}")).fatal

    assert (f"its ACL denies {denied.upper()} on {{fit}}:*; see the ACL in docs/store.md",) == fatal


def test_denied_keys() -> None:
    """A user who may not touch the namespace's keys is found out before the first message."""
    (finding,) = found(appendonly=True, acl=("bridge", "secret", LEAST.replace(NAMESPACE, "other"))).fatal

    assert "cannot be written to" in finding
    assert "ACL in docs/store.md" in finding


def test_denied_info() -> None:
    """Where the server may not even be asked, that is said."""
    with pytest.raises(StoreUnfit, match="'info'"):
        found(acl=("bridge", "secret", LEAST.replace(" +info", "")))


def test_full_disk() -> None:
    """A server that cannot write its snapshot refuses every write: fatal."""
    with serving(settings={"save": "3600 1"}) as (server, store):
        snapshot = server.directory / "dump.rdb"
        snapshot.mkdir()  # what a rename cannot replace
        server.cli().set("something", "1")
        server.cli().bgsave()
        until(lambda: server.cli().info()["rdb_last_bgsave_status"] == "err", 10, "the snapshot failed")

        fatal = store.fitness().fatal

    assert any("rdb_last_bgsave_status" in finding for finding in fatal)


def test_full_memory_is_no_finding() -> None:
    """A store that is full is fit: it drains."""
    with serving(appendonly=True) as (server, store):
        server.cli().config_set("maxmemory", "1")

        assert () == store.fitness().fatal


@pytest.mark.parametrize("where", ["in its place", "in the query"])
def test_password_is_never_shown(where: str) -> None:
    """A wrong password stops a worker, and is not told to whoever reads the error."""
    with RedisServer(password="right", unix_socket=True) as server:
        socket = server.directory / "socket"
        url = (
            f"redis://:wr0ng@127.0.0.1:{server.port}/0"
            if where == "in its place"
            else f"unix://{socket}?password=wr0ng"
        )
        store = RedisStore(url, NAMESPACE)

        with pytest.raises(StoreUnfit) as raised:
            store.fitness()

        told: BaseException | None = raised.value
        while told:
            assert "wr0ng" not in f"{told!s} {told!r}"
            told = told.__cause__ or told.__context__
        store.close()


def test_memory_is_fit() -> None:
    """The store in memory finds nothing wrong with itself."""
    assert Fitness(server="memory") == MemoryStore().fitness()
