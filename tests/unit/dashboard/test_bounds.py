"""A page costs the same however many messages there are: the trips to the store, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import Any, cast

import pytest

from taskbridge import Bridge
from taskbridge.dashboard import Dashboard
from taskbridge.operations import browse, gauges, limits, lookout, runs, workers
from taskbridge.redis.server import Server
from taskbridge.store.redis import RedisStore
from taskbridge.testing import a_message
from taskbridge.testing.laws.browsing import tokens
from taskbridge.testing.laws.steps import begin
from tests.crowd import QUEUES, SHARES, TASKS, fill
from tests.servers import RedisServer

from .conftest import Browser

#: Few and many: of the few, too, there are more than a page looks at, in this test.
FEW, MANY = 500, 1_500

#: How much is looked at, at most.
MOST = 20

PAGES = (
    "/?limit=1",
    "/queues",
    f"/queue?name={QUEUES[3]}",
    "/tasks",
    *(f"/messages?shelf={shelf}&limit=10" for shelf in ("ready", "delayed", "running", "parked")),
    f"/messages?shelf=delayed&limit=10&queue={QUEUES[3]}",
    "/messages?shelf=delayed&limit=10&task=none",
    "/messages?shelf=delayed&limit=10&offset=100",
    "/dead?limit=10",
    "/dead?limit=10&offset=50",
    f"/dead?limit=10&task={TASKS[1]}&why=bank",
    f"/message?id=d{5:031x}",
    f"/message?id=t{5:031x}",
    f"/message?id=l{5:031x}",
    "/locks?limit=10",
    "/locks?limit=10&offset=20",
    "/lock?key=account:3&limit=1",
    "/limits?limit=5",
    "/limit?key=provider:3&limit=1",
    "/runs?limit=1",
    f"/run?id=run{0:029x}",
    "/batches?limit=1",
    "/chains",
    "/schedules",
    "/routes",
    "/migration",
    "/workers",
    "/paused",
    "/audit",
)


class Meter:
    """Counts round trips, and the values that come back."""

    def __init__(self) -> None:
        self.trips = self.values = 0
        self._lock = Lock()

    def add(self, answers: list[Any]) -> None:
        with self._lock:
            self.trips += 1
            self.values += _count(answers)


def _count(answer: Any) -> int:
    return sum(map(_count, answer)) if isinstance(answer, list) else 1


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Meter:
    """Looks at what goes over every connection."""
    made, real = Meter(), Server._exchange

    def metered(self: Server, packed: bytes, replies: int) -> list[Any]:
        answers = real(self, packed, replies)
        made.add(answers)
        return answers

    monkeypatch.setattr(Server, "_exchange", metered)
    return made


@pytest.fixture
def looked_at_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few hundred messages are more than are looked at."""
    monkeypatch.setattr(browse, "LOOKED_AT", MOST)
    monkeypatch.setattr(browse, "WINDOW", MOST // 2)
    monkeypatch.setattr(gauges, "LOOKED_AT", MOST)
    monkeypatch.setattr(lookout, "MOST", 5)
    monkeypatch.setattr(limits, "LOOKED_AT", 5)
    monkeypatch.setattr(runs, "LOOKED_AT", 1)
    monkeypatch.setattr(workers, "LOOKED_AT", MOST)


def costs(bridge: Bridge, meter: Meter) -> Iterator[tuple[str, tuple[int, int]]]:
    """What each page takes, on a dashboard that has looked at nothing yet."""
    for path in PAGES:
        dashboard = Dashboard(bridge)
        meter.trips = meter.values = 0
        shown = Browser(dashboard).get(path)
        assert 200 == shown.status_code, shown.text
        yield path, (meter.trips, meter.values)
        dashboard.close()


def least(bridge: Bridge, meter: Meter) -> dict[str, tuple[int, int]]:
    """Of two rounds: in the first one scripts are loaded, and a thread that ends late is counted with another page."""
    rounds = [dict(costs(bridge, meter)) for _ in range(2)]
    return {path: min(one[path] for one in rounds) for path in PAGES}


@pytest.mark.usefixtures("looked_at_less")
def test_page_costs_the_same_of_few_and_of_many(bridge: Bridge, redis_server: RedisServer, meter: Meter) -> None:
    """Trips and values, page by page; what is counted by queue or by limit does not grow with messages."""
    store = cast("RedisStore", bridge.store)
    fill(store, FEW, keys=8, flows=2)
    few = least(bridge, meter)
    redis_server.cli().flushall()
    fill(store, MANY, keys=8, flows=2)

    many = least(bridge, meter)

    assert {path: (few[path], cost) for path, cost in many.items() if cost != few[path]} == {}


@pytest.mark.usefixtures("looked_at_less")
def test_limits_cost_the_same_at_few_keys_and_at_many(bridge: Bridge, meter: Meter) -> None:
    """So many keys are counted, and so many are shown."""
    found = []
    for first, last in ((0, 10), (10, 40)):
        for n in range(first, last):
            for turn in ("a", "b"):
                begin(bridge.store, a_message(), f"{turn}{n}", rates=(tokens(f"slow:{n}"),))
        dashboard = Dashboard(bridge)
        Browser(dashboard).get("/limits?limit=5")
        meter.trips = meter.values = 0
        Browser(dashboard).get("/limits?limit=5")
        found.append((meter.trips, meter.values))
        dashboard.close()

    assert found[0] == found[1]


def test_crowd_is_what_it_says(bridge: Bridge) -> None:
    """Of a hundred messages so many are in each state; runs and batches beside."""
    store = cast("RedisStore", bridge.store)

    fill(store, 2_000, keys=8, flows=2)

    counted: dict[str, int] = {}
    for (_, state), number in store.messages.counts().items():
        counted[state] = counted.get(state, 0) + number
    assert {state: 20 * share for state, share in SHARES.items()} | {"DELAYED": 802} == counted
    assert (2, 2) == (len(store.runs.newest(9)), len(store.batches.newest(9)))
