"""The watch: one look for all who ask at once, and numbers that one dashboard of many takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident

import pytest

from taskbridge import Bridge, Settings
from taskbridge.clock import SystemClock
from taskbridge.dashboard import Dashboard
from taskbridge.dashboard.watch import PATIENCE_S, Watch
from taskbridge.operations.moments import moments
from taskbridge.operations.overview import Overview
from tests.servers import RedisServer, until

from .conftest import Browser


@pytest.fixture
def watches(bridge: Bridge) -> Iterator[tuple[Watch, Watch]]:
    """Of two dashboards; neither takes numbers by itself."""
    made = Watch(bridge, every_s=0, fresh_s=60), Watch(bridge, every_s=0)
    yield made
    for watch in made:
        watch.close()


def test_look_is_shared_while_it_is_fresh(watches: tuple[Watch, Watch], bridge: Bridge) -> None:
    """Ten browsers cost no more than one."""
    watch, _ = watches

    assert watch.look() is watch.look()

    stale = Watch(bridge, every_s=0, fresh_s=0)
    assert stale.look() is not stale.look()
    stale.close()


class Asked(SystemClock):
    """The machine's time, and who has asked for it."""

    def __init__(self) -> None:
        super().__init__()
        self.by = set[int]()

    def monotonic_s(self) -> float:
        self.by.add(get_ident())
        return super().monotonic_s()


def test_who_asks_while_a_look_is_under_way_shares_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that hangs holds up each for as long as one look takes, and not for those of all before it."""
    with RedisServer() as server:
        bridge = Bridge(Settings(broker_url=server.url()))
        bridge.clock = asked = Asked()
        watch = Watch(bridge, every_s=0, fresh_s=0)
        watch.look()
        looks, look = [], watch._lookout.look

        def once_all_have_asked() -> Overview:
            looks.append(1)
            until(lambda: len(asked.by) == 6, 20, "six to have asked")
            return look()

        monkeypatch.setattr(watch._lookout, "look", once_all_have_asked)
        monkeypatch.setattr(watch._lookout, "_patience_s", PATIENCE_S)
        asked.by.clear()

        server.pause()
        with ThreadPoolExecutor(6) as browsers:
            seen = [one.result() for one in [browsers.submit(watch.look) for _ in range(6)]]
        server.resume()
        watch.close()
        bridge.close()

    assert 1 == len(looks) == len({id(one) for one in seen})
    assert all("store" in one.old for one in seen)


def test_one_of_many_takes_the_numbers(watches: tuple[Watch, Watch], bridge: Bridge) -> None:
    """Who has the lease; another goes on when it closes."""
    yours, mine = watches

    until(mine.sample, 60, "the store tells its numbers in time")
    assert not yours.sample()
    assert not bridge.store.leader.hold("dashboard", "somebody", 1_000)
    mine.close()

    assert bridge.store.leader.hold("dashboard", "somebody", 1_000)
    assert 1 == len(moments(bridge.store, bridge.store.now_ms()))


def test_numbers_are_taken_from_the_first_look_on(bridge: Bridge) -> None:
    """By a thread, which ends with the dashboard."""
    watch = Watch(bridge, every_s=0.02)
    assert [] == moments(bridge.store, bridge.store.now_ms())

    watch.look()

    until(lambda: moments(bridge.store, bridge.store.now_ms()), 20, "numbers are taken")
    watch.close()


def test_numbers_are_taken_where_nobody_looks(bridge: Bridge) -> None:
    """By a process that is a dashboard and nothing else: whoever opens it at night has the hours before."""
    dashboard = Dashboard(bridge)

    dashboard.keep()

    until(lambda: moments(bridge.store, bridge.store.now_ms()), 20, "numbers are taken")
    dashboard.close()


def test_child_of_a_fork_watches_by_itself(bridge: Bridge) -> None:
    """With threads of its own: those of its parent are not there."""
    watch = Watch(bridge, every_s=0, fresh_s=0)
    watch.look()

    pid = os.fork()
    if not pid:
        os._exit(1 if watch.look().problems else 0)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    watch.close()


def test_store_that_is_away_is_told_and_comes_back(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a page is open: every page that needs the store is a 503, and is shown again when it answers."""
    with RedisServer() as server:
        elsewhere = Bridge(Settings(broker_url=server.url()))
        dashboard = Dashboard(elsewhere)
        browser = Browser(dashboard)
        paths = ("/", "/queues", "/dead", "/locks", "/limits", "/runs", "/schedules", "/migration", "/tasks")
        assert [200] * len(paths) == [browser.get(path).status_code for path in paths]

        server.stop()
        assert "is away" in until(lambda: browser.get("/").text, 20, "the page says so")
        monkeypatch.setattr("taskbridge.dashboard.pages.standing.OLDEST_S", 0.0)
        until(lambda: browser.get("/queues").status_code == 503, 20, "what was seen before is too old")
        away = [browser.get(path) for path in paths]
        server.start()

        assert [(503, True)] * len(paths) == [(one.status_code, "data-recovers" in one.text) for one in away]
        until(lambda: [browser.get(path).status_code for path in paths] == [200] * len(paths), 20, "it is back")
        dashboard.close()
        elsewhere.close()
