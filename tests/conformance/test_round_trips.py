"""What a task costs in round trips: two where nothing waits, whatever its policies."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import sentry_sdk

from taskbridge import Bridge, Lock, RateLimit, Settings
from taskbridge.backend import Delivery
from taskbridge.events import Event, Succeeded
from taskbridge.evidence.gatherer import Teller
from taskbridge.observe.logs import log_event
from taskbridge.relay import relay_of
from taskbridge.routing import Rule, Table
from taskbridge.routing.table import encode
from taskbridge.testing import FakeClock
from taskbridge.worker.loop import Loop, Source
from taskbridge.worker.slots import SLOT_SIZE, Slot
from tests.envelopes import Nowhere
from tests.servers import RedisServer

pytestmark = pytest.mark.service("redis")

COUNT = 20

POLICIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "lock": {"lock": Lock("user:{user}")},
    "rate_limit": {"rate_limit": RateLimit("1000/s", key="{user}")},
    "unique": {"unique": "until_started"},
    "timeout": {"timeout": 30},
    "all": {
        "lock": [Lock("user:{user}"), Lock("account:{user}")],
        "rate_limit": [RateLimit("1000/s", key="{user}"), RateLimit("10000/s", name="all")],
        "unique": "until_done",
        "timeout": 30,
    },
}


def trips(
    server: RedisServer,
    engine: str,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    observe: Callable[[Bridge], object] = lambda bridge: None,
) -> int:
    """Run so many tasks one by one; returns how many scripts the child has called meanwhile, but for its fetches."""
    server.cli().flushall()
    bridge = Bridge(Settings(backend=engine, broker_url=server.url()))
    observe(bridge)

    @bridge.task(name="t", queue="mail", **options)
    def task(user: int) -> None: ...

    for user in range(COUNT):
        task.enqueue(user)
    relay = relay_of(msgspec.structs.replace(bridge.sender, clock=FakeClock()), "here")  # no duty comes twice
    relay.lead()
    while relay.tick():
        pass
    backend = bridge.backend(engine)
    fetches = 0
    consumer = backend.consumer(["mail"], "here", bridge.store)
    fetch = consumer.fetch

    def counted(limit: int) -> list[Delivery]:
        nonlocal fetches
        fetches += 1
        return fetch(COUNT)  # how much is taken ahead hangs on how long the last ones took

    monkeypatch.setattr(consumer, "fetch", counted)
    source = Source(backend=engine, consumer=consumer, runner=backend.runner(bridge.definitions))
    loop = Loop("here", [source], bridge.runtime, Slot(mmap.mmap(-1, SLOT_SIZE), 0), lambda *_: None, lambda: None)
    before = commands(server)
    while loop.step():
        pass
    sent = commands(server) - before - fetches
    assert not backend.depth("mail")
    assert not bridge.store.messages.counts()
    bridge.close()
    return sent


def commands(server: RedisServer) -> int:
    """How many scripts clients have called; a child calls nothing else."""
    stats: Any = server.cli().info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


def all_commands(server: RedisServer) -> dict[str, int]:
    """How often each command was called, but for this one, and for the look at the routes once a second."""
    stats: Any = server.cli().info("commandstats")
    apart = [f"cmdstat_{name}" for name in ("info", "config|resetstat", "config", "lindex", "lrange")]
    return {name: told["calls"] for name, told in stats.items() if name not in apart}


@pytest.fixture(autouse=True)
def _no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the thread out that tells of watched tasks: it asks every five seconds and at the end, whatever ran."""
    for name in ("begin", "rest"):
        monkeypatch.setattr(Teller, name, lambda teller: None)


@pytest.fixture
def observe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Bridge], None]]:
    """Turns all on that can be told of a bridge: metrics, traces to Sentry and OpenTelemetry, the log, a subscriber."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    nowhere = Nowhere({"dsn": "http://key@127.0.0.1:9/1"})
    sentry_sdk.init("http://key@127.0.0.1:9/1", transport=nowhere, default_integrations=False, traces_sample_rate=1.0)

    def turn_on(bridge: Bridge) -> None:
        bridge.observe("metrics", "sentry", "opentelemetry")
        bridge.events.subscribe(log_event)
        bridge.subscribe(lambda event: None)

    yield turn_on
    sentry_sdk.get_global_scope().set_client(None)


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_to_be_seen_costs_no_trip(
    redis_server: RedisServer, engine: str, monkeypatch: pytest.MonkeyPatch, observe: Callable[[Bridge], None]
):
    """With metrics, Sentry, OpenTelemetry, the log and a subscriber, store and broker are asked what they were asked
    without: command for command, from enqueue to the acknowledgement."""
    trips(redis_server, engine, {}, monkeypatch)
    told: list[Event] = []

    def both(bridge: Bridge) -> None:
        observe(bridge)
        bridge.events.subscribe(told.append, Succeeded)

    asked = []
    for chosen in (lambda bridge: None, both):
        redis_server.cli().config_resetstat()
        trips(redis_server, engine, POLICIES["all"], monkeypatch, chosen)
        asked.append(all_commands(redis_server))

    assert asked[0] == asked[1]
    assert COUNT == len(told)


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_what_is_not_shadowed_pays_nothing(redis_server: RedisServer, engine: str, monkeypatch: pytest.MonkeyPatch):
    """A task that may be shadowed, while another one is, costs what it costs without: command for command."""
    trips(redis_server, engine, {}, monkeypatch)
    shadow = Rule(id="s1", to={"celery": "dramatiq", "dramatiq": "celery"}[engine], task="another")

    asked = []
    for table in (Table(), Table(shadows=(shadow,))):

        def set_up(bridge: Bridge, table: Table = table) -> None:
            bridge.store.routes.write(0, encode(table), who="me", note="")
            redis_server.cli().config_resetstat()

        trips(redis_server, engine, {"shadow_safe": True}, monkeypatch, set_up)
        asked.append(all_commands(redis_server))

    assert asked[0] == asked[1]


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_policies_cost_no_trip(redis_server: RedisServer, engine: str, monkeypatch: pytest.MonkeyPatch):
    """A task with locks, limits and uniqueness makes as many calls as one without, begin and finish for each."""
    trips(redis_server, engine, {}, monkeypatch)  # the server knows the scripts after that

    sent = {name: trips(redis_server, engine, options, monkeypatch) for name, options in POLICIES.items()}

    assert dict.fromkeys(POLICIES, 2 * COUNT) == sent
