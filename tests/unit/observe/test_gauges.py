"""What stands in store and brokers, as gauges."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from threading import enumerate as enumerate_threads
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_parsed
from prometheus_client.parser import text_string_to_metric_families as parsed
from prometheus_client.registry import Collector

from taskbridge import Bridge, Settings
from taskbridge.announcement import Announcement, announce
from taskbridge.config import BackendSettings
from taskbridge.needs import NeedsLock, NeedsTokens
from taskbridge.observe import gauges as subject
from taskbridge.observe.exposition import registry_of, text_of
from taskbridge.observe.gauges import CELERY_GAUGES, GAUGES, NAMES_S, PATIENCE_S, Reader, StoreGauges
from taskbridge.testing import a_message
from taskbridge.testing.laws.chunks import a_run, goes_on, start
from taskbridge.testing.laws.steps import begin, run
from tests.servers import RedisServer, age, free_port, in_time, until

pytestmark = [pytest.mark.service("redis"), pytest.mark.usefixtures("standing")]

ENGINES = ("celery", "dramatiq")

#: How long a server that a law pauses is waited for, seconds: one that only has to wait for a busy machine answers.
BRIEF_S = 4.0

SLOW = NeedsTokens("slow", "slow", 3_600_000_000, 1)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers is waited for, however busy the machine is."""
    monkeypatch.setattr(subject, "PATIENCE_S", 20.0)
    monkeypatch.setattr(subject, "NAMES_S", 20.0)
    monkeypatch.setattr(subject, "LEAD_MS", 600_000)


@pytest.fixture
def bridge(redis_server: RedisServer) -> Iterator[Bridge]:
    """Of both engines."""
    redis_server.cli().flushall()
    made = Bridge(
        Settings(broker_url=redis_server.url(), backends={name: BackendSettings(engine=name) for name in ENGINES})
    )
    yield made
    made.close()


class Shown:
    """What a collector shows at one look: by name, then by the values of labels in the order of the gauge's own."""

    def __init__(self, collector: Collector) -> None:
        self.text = text_of(registry_of(collector)).decode()
        self.families = {family.name: family for family in parsed(self.text)}

    def __getitem__(self, name: str) -> dict[tuple[str, ...], float]:
        _, labels = (GAUGES | CELERY_GAUGES)[name]
        family = self.families.get(name)
        samples = family.samples if family else []
        return {tuple(sample.labels[label] for label in labels): sample.value for sample in samples}


@pytest.fixture
def looks() -> Iterator[Any]:
    """Makes collectors, and ends their threads."""
    made: list[StoreGauges] = []

    def look(bridge: Bridge, queues: Sequence[str] = (), **more: Any) -> StoreGauges:
        made.append(StoreGauges(bridge, queues, **more))
        return made[-1]

    yield look
    for one in made:
        one.close()


def full(bridge: Bridge, server: RedisServer) -> None:
    """Have something for each gauge to show."""
    store, now_ms = bridge.store, bridge.store.now_ms()
    for n, engine in enumerate(ENGINES):
        sent = [a_message(queue="emails", priority=p, enqueued_at_ms=now_ms - 30_000) for p in (0, 5, 9)[: n + 2]]
        bridge.backend(engine).publish(sent)
    goes_on(store, start(store, "c0", message=a_run(id="r1")), "c0")
    store.outbox.put([a_message(queue="emails")], 1_000)
    age(server.cli(), "taskbridge", 21_000)
    store.outbox.put([a_message(queue="emails") for _ in range(4)], 60_000)
    store.outbox.put([a_message(queue="emails")], 0)
    for n in range(3):
        begin(store, a_message(queue="emails"), f"host.1.ab.0.1:celery:{n}", locks=(NeedsLock("a"),))
        begin(store, a_message(queue="emails"), f"host.1.ab.0.1:dramatiq:{n}", rates=(SLOW,))
    run(store, a_message(queue="emails"), "p", "PARKED", due_ms=60_000, group="g")
    run(store, a_message(queue="emails"), "d", "DEAD", why="no")
    store.leader.hold("relay", "host.1.ab", 60_000)
    store.waiting.set_limit("slow", interval_us=100_000, burst=1)
    announce(
        store, Announcement(name="w", backends=["celery", "dramatiq"], queues=["emails"], processes=3, tasks={"t": []})
    )


def test_every_gauge_shows_what_there_is(bridge: Bridge, redis_server: RedisServer, looks: Any):
    """Exactly, with its labels, from both engines under the same names."""
    full(bridge, redis_server)

    shown = Shown(looks(bridge))

    assert set(GAUGES) == set(shown.families)
    at = [(engine, "redis", "emails") for engine in ENGINES]
    assert {(): 1} == shown["taskbridge_store_up"]
    assert {(engine, "redis"): 1 for engine in ENGINES} == shown["taskbridge_broker_up"]
    assert [2, 3] == [shown["taskbridge_queue_length"][one] for one in at]
    assert all(30 <= shown["taskbridge_queue_oldest_age_seconds"][one] < 60 for one in at)
    assert {at[0]: 1, at[1]: 1} == shown["taskbridge_running"]
    assert dict.fromkeys(at, 1) == shown["taskbridge_queue_workers"]
    assert dict.fromkeys(at, 3) == shown["taskbridge_queue_processes"]
    stored = ["delayed", "ready", "lock_waiting", "throttled", "release_waiting", "held", "dead"]
    assert [5, 1, 2, 2, 1, 0, 1] == [shown[f"taskbridge_{name}"]["emails",] for name in stored]
    alone = ["claims", "live_workers", "live_processes", "limit_keys", "batches_open"]
    assert [2, 1, 3, 1, 0] == [shown[f"taskbridge_{name}"][()] for name in alone]
    assert 20 <= shown["taskbridge_relay_lag_seconds"][()] < 30
    assert {("host.1.ab",): 1} == shown["taskbridge_relay_leader"]
    assert ({("slow",): 10}, {("slow",): 2}) == (
        shown["taskbridge_limit_per_second"],
        shown["taskbridge_limit_waiting"],
    )
    of_run = ("walks", "tests.walk", "r1")
    assert [10, 100, 0] == [shown[f"taskbridge_run_{name}"][of_run] for name in ("done", "total", "open")]
    assert {(*of_run, "running"): 1} == shown["taskbridge_run_state"]


def test_every_gauge_is_in_the_docs():
    """With its labels."""
    text = (Path(__file__).parents[3] / "docs" / "observing.md").read_text("utf-8").partition("## Gauges of")[2]
    rows = [row.split("|")[1:3] for row in text.splitlines() if row.startswith("| `taskbridge_")]

    told = {name: labels.strip() for names, labels in rows for name in re.findall(r"`(\w+)`", names)}

    assert {name: ", ".join(labels) for name, (_, labels) in GAUGES.items()} == told
    assert [] == [name for name in CELERY_GAUGES if f"`{name}`" not in text]


def test_dashboards_for_celery_find_their_names(bridge: Bridge, redis_server: RedisServer, looks: Any):
    """When asked: from both engines, with the label that they know, and backend and broker."""
    full(bridge, redis_server)

    shown = Shown(looks(bridge, celery=True))

    assert set(GAUGES) | set(CELERY_GAUGES) == set(shown.families)
    at = [("emails", engine, "redis") for engine in ENGINES]
    assert [2, 3] == [shown["celery_queue_length"][one] for one in at]
    assert dict.fromkeys(at, 1) == shown["celery_active_worker_count"]
    assert dict.fromkeys(at, 3) == shown["celery_active_process_count"] == shown["celery_active_consumer_count"]


def test_it_is_valid_in_both_formats(bridge: Bridge, redis_server: RedisServer, looks: Any):
    """Each name has its help and its type, and each sample is there once."""
    full(bridge, redis_server)
    registry: Any = registry_of(looks(bridge, celery=True))

    families = list(open_parsed(open_metrics(registry).decode()))

    assert {"gauge"} == {family.type for family in families}
    assert all(family.documentation.endswith(".") for family in families)
    samples = [(sample.name, *sorted(sample.labels.items())) for family in families for sample in family.samples]
    assert len(samples) == len(set(samples)) > 50


def test_names_that_are_taken_are_refused(bridge: Bridge, looks: Any):
    """A registry that shows something else under one of them says so at once."""
    registry = CollectorRegistry()
    Counter("taskbridge_delayed", "Something else.", registry=registry)

    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(looks(bridge))


def test_strange_names_are_shown_and_harm_nothing(bridge: Bridge, looks: Any):
    """Quotes, line ends, what moves a cursor, and thousands of letters; what looks the same then is one."""
    for queue in ('a"b\nc\\', "\x1b[2J", "x" * 5_000 + "1", "x" * 5_000 + "2"):
        run(bridge.store, a_message(queue=queue), "c", "DEAD", why="no")

    dead = Shown(looks(bridge))["taskbridge_dead"]

    assert {('a"b\\nc\\',): 1, ("\\x1b[2J",): 1, ("x" * 200,): 2} == dead


def test_nobody_leads_is_a_value(bridge: Bridge, looks: Any):
    """So that an alert can ask for it."""
    assert {("",): 0} == Shown(looks(bridge))["taskbridge_relay_leader"]


def test_a_store_that_is_away_is_down_and_brokers_are_shown(redis_server: RedisServer, looks: Any):
    """The queues that were asked for, and those that were known when it last answered; then all is back."""
    redis_server.cli().flushall()
    with RedisServer() as store:
        bridge = Bridge(Settings(broker_url=redis_server.url(), store_url=store.url()))
        bridge.store.outbox.put([a_message(queue="known")], 60_000)
        bridge.backend("celery").publish([a_message(queue="asked"), a_message(queue="known")])
        gauges = looks(bridge, ["asked"])
        assert {(): 1} == Shown(gauges)["taskbridge_store_up"]

        store.stop()
        shown = Shown(gauges)
        assert ({(): 0}, {("celery", "redis"): 1}) == (shown["taskbridge_store_up"], shown["taskbridge_broker_up"])
        assert {("celery", "redis", "asked"): 1, ("celery", "redis", "known"): 1} == shown["taskbridge_queue_length"]
        assert ({}, False) == (shown["taskbridge_dead"], gauges.all_up)

        store.start()
        assert {(): 1} == Shown(gauges)["taskbridge_store_up"]
        assert gauges.all_up
        bridge.close()


def test_a_broker_that_is_away_is_down_and_the_rest_is_shown(
    redis_server: RedisServer, looks: Any, caplog: pytest.LogCaptureFixture
):
    """Once in the log, without its password, however often it is scraped."""
    redis_server.cli().flushall()
    nowhere = f"redis://:hush@127.0.0.1:{free_port()}/0"
    settings = Settings(broker_url=redis_server.url(), backends={"old": _dramatiq(nowhere)})
    bridge = Bridge(settings)
    bridge.store.outbox.put([a_message(queue="emails")], 60_000)
    gauges = looks(bridge)

    with caplog.at_level(logging.WARNING):
        Shown(gauges)
        shown = Shown(gauges)

    assert {("celery", "redis"): 1, ("old", "redis"): 0} == shown["taskbridge_broker_up"]
    assert ({("emails",): 1}, {("celery", "redis", "emails"): 0}) == (
        shown["taskbridge_delayed"],
        shown["taskbridge_queue_length"],
    )
    assert 1 == len(caplog.records)
    assert "hush" not in shown.text + caplog.text
    bridge.close()


def test_a_broker_that_is_asked_for_no_queue_is_asked_all_the_same(looks: Any):
    """Where no queue is known, for the store is away as well, who does not answer is not up."""
    bridge = Bridge(Settings(broker_url=f"redis://127.0.0.1:{free_port()}/0"))

    shown = Shown(looks(bridge))

    assert ({(): 0}, {("celery", "redis"): 0}) == (shown["taskbridge_store_up"], shown["taskbridge_broker_up"])
    bridge.close()


def test_a_broker_without_queues_is_up_and_shows_none(redis_server: RedisServer, looks: Any):
    """What it is asked for then is not shown."""
    redis_server.cli().flushall()
    bridge = Bridge(Settings(broker_url=redis_server.url()))

    shown = Shown(looks(bridge))

    assert ({("celery", "redis"): 1}, {}) == (shown["taskbridge_broker_up"], shown["taskbridge_queue_length"])
    bridge.close()


def test_servers_that_hang_are_down_when_patience_ends(
    redis_server: RedisServer, looks: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """A scrape waits once for all of them; when they answer, all is back."""
    redis_server.cli().flushall()
    with RedisServer() as store, RedisServer() as broker:
        old = {"old": _dramatiq(broker.url())}
        bridge = Bridge(Settings(broker_url=redis_server.url(), store_url=store.url(), backends=old))
        gauges = looks(bridge, ["emails"])
        Shown(gauges)
        store.pause()
        broker.pause()
        monkeypatch.setattr(subject, "PATIENCE_S", BRIEF_S)
        monkeypatch.setattr(subject, "NAMES_S", BRIEF_S / 4)

        shown = in_time(lambda: Shown(gauges), 2 * BRIEF_S)

        assert ["no answer in time"] * 2 == [record.getMessage()[-17:] for record in caplog.records]
        assert {(): 0} == shown["taskbridge_store_up"]
        assert {("celery", "redis"): 1, ("old", "redis"): 0} == shown["taskbridge_broker_up"]
        store.resume()
        broker.resume()
        monkeypatch.setattr(subject, "PATIENCE_S", 20.0)
        until(lambda: Shown(gauges) and gauges.all_up, 20, "all is shown again")
        bridge.close()


def test_a_scrape_takes_four_seconds_when_all_hang(looks: Any, monkeypatch: pytest.MonkeyPatch):
    """Store and every broker: Prometheus, which waits ten by default, is told that they are down."""
    with RedisServer() as store, RedisServer() as broker, RedisServer() as other:
        bridge = Bridge(
            Settings(broker_url=broker.url(), store_url=store.url(), backends={"old": _dramatiq(other.url())})
        )
        gauges = looks(bridge, ["emails"])
        Shown(gauges)
        for server in (store, broker, other):
            server.pause()
        monkeypatch.setattr(subject, "PATIENCE_S", PATIENCE_S)
        monkeypatch.setattr(subject, "NAMES_S", NAMES_S)

        for _ in range(2):  # the second one while the looks of the first have not ended
            shown = in_time(lambda: Shown(gauges), 4.0)

        assert {(): 0} == shown["taskbridge_store_up"]
        assert {("celery", "redis"): 0, ("old", "redis"): 0} == shown["taskbridge_broker_up"]
        for server in (store, broker, other):
            server.resume()
        bridge.close()


def test_a_store_that_answers_late_is_shown(looks: Any, monkeypatch: pytest.MonkeyPatch):
    """The brokers are asked meanwhile, for the queues that were known; where another shows all, it still does."""
    monkeypatch.setattr(subject, "NAMES_S", 0.1)
    with RedisServer() as server, RedisServer() as store:
        bridge = Bridge(Settings(broker_url=server.url(), store_url=store.url()))
        bridge.backend("celery").publish([a_message(queue="known")])
        gauges, other = looks(bridge, ["known"], owner="one"), looks(bridge, ["known"], owner="two")
        Shown(gauges)
        look = StoreGauges._look

        def late(self: StoreGauges) -> Any:
            bridge.clock.sleep(0.5)
            return look(self)

        monkeypatch.setattr(StoreGauges, "_look", late)

        shown, not_shown = Shown(gauges), Shown(other)

        assert ({(): 1}, {("celery", "redis", "known"): 1}) == (
            shown["taskbridge_store_up"],
            shown["taskbridge_queue_length"],
        )
        assert "taskbridge_claims" in shown.families
        assert {"taskbridge_store_up"} == set(not_shown.families)
        bridge.close()


def test_a_look_that_has_not_ended_is_shared():
    """Scrapes of a server that hangs do not pile up."""
    reader, gate = Reader[bool]("it"), Event()
    first = reader.ask(gate.wait)

    again = reader.ask(gate.wait)

    gate.set()
    assert first is again
    assert (True, True) == reader.answer(first, 20)
    assert first is not reader.ask(gate.wait)
    reader.close()


def test_many_scrapes_leave_neither_threads_nor_connections(bridge: Bridge, redis_server: RedisServer, looks: Any):
    """Each from a thread of its own, as a server does; close ends what is left."""
    gauges = looks(bridge, ["emails"])
    Shown(gauges)
    threads, clients = {*enumerate_threads()}, _clients(redis_server)

    for _ in range(20):
        with ThreadPoolExecutor(4) as scrapers:
            assert [1.0] * 4 == list(scrapers.map(lambda _: Shown(gauges)["taskbridge_store_up"][()], range(4)))

    assert threads >= {*enumerate_threads()}
    until(lambda: _clients(redis_server) <= clients, 20, "their connections have ended")
    gauges.close()
    until(lambda: len({*enumerate_threads()}) < len(threads), 20, "its threads have ended")


def _dramatiq(url: str) -> BackendSettings:
    return BackendSettings(engine="dramatiq", broker_url=url)


def _clients(server: RedisServer) -> int:
    clients: Any = server.cli().client_list()
    return len(clients)


def test_of_many_processes_one_shows(bridge: Bridge, redis_server: RedisServer, looks: Any):
    """The first that is scraped, as long as it is; when it ends, or is scraped no more, another does."""
    one, two, three = (looks(bridge, ["emails"], owner=name) for name in ("one", "two", "three"))
    assert [True, False, True] == ["taskbridge_delayed" in Shown(gauges).families for gauges in (one, two, one)]
    assert {(): 1} == Shown(two)["taskbridge_store_up"]

    one.close()
    assert [True, False] == ["taskbridge_delayed" in Shown(gauges).families for gauges in (two, three)]

    age(redis_server.cli(), "taskbridge", subject.LEAD_MS)
    assert "taskbridge_delayed" in Shown(three).families
