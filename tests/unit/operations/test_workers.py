"""Who lives, what each runs, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskbridge import Bridge, Settings
from taskbridge.announcement import Announcement, Team, announce
from taskbridge.errors import ConfigError
from taskbridge.message import encode
from taskbridge.operations import workers as work
from taskbridge.operations.audit import audit
from taskbridge.orders import ORDERS
from taskbridge.store import Begin
from taskbridge.testing import a_message
from taskbridge.versioning import newest
from tests.servers import RedisServer


@pytest.fixture
def bridge(redis_server: RedisServer) -> Iterator[Bridge]:
    """Two workers live: both have a group high, and the second has low too; an old one has none."""
    redis_server.cli().flushall()
    made = Bridge(Settings(broker_url=redis_server.url()))
    lives(made, "a.1.aa", high=Team(2, ["urgent"]))
    lives(made, "b.1.bb", high=Team(1, ["urgent"]), low=Team(3, ["emails", "urgent"]))
    lives(made, "old.1.cc")
    yield made
    made.close()


def lives(bridge: Bridge, name: str, **groups: Team) -> None:
    queues = sorted({queue for team in groups.values() for queue in team.queues}) or ["slow"]
    processes = sum(team.processes for team in groups.values()) or 2
    told = Announcement(name=name, backends=["celery"], queues=queues, processes=processes, tasks={}, groups=groups)
    announce(bridge.store, told)


def test_workers_are_listed_with_what_they_run(bridge: Bridge):
    """By name; each message with its task, and since when."""
    message = a_message(task="app.pay", queue="urgent")
    bridge.store.claims.begin(Begin(message=message, body=encode(message), claim="b.1.bb.0.1:celery:7", max_crashes=5))

    first, second, old = work.workers(bridge)

    assert ("a.1.aa", [], 2) == (first.name, first.running, first.processes)
    assert {"high": Team(1, ["urgent"]), "low": Team(3, ["emails", "urgent"])} == second.groups
    (running,) = second.running
    assert (message.id, "app.pay", "urgent", "celery") == (running.id, running.task, running.queue, running.backend)
    assert running.since_ms
    assert ("old.1.cc", {}) == (old.name, old.groups)


def test_a_group_is_scaled_in_every_worker(bridge: Bridge):
    """Who asked is kept with it, and what stood before is told."""
    done = work.scale(bridge, "high", 5, who="ann@desk")

    assert {"a.1.aa": 2, "b.1.bb": 1} == done.before
    version, orders = newest(ORDERS, bridge.store)
    assert 5 == orders.size("high", ["a.1.aa"])
    assert ("ann@desk", "high: 5 processes") == (version.who, version.note)
    assert [{"high": 5}, {"high": 5}] == [one.asked for one in work.workers(bridge)[:2]]


def test_one_worker_is_scaled(bridge: Bridge):
    """The others stay as they are."""
    done = work.scale(bridge, "high", 5, worker="a.1.aa")

    assert ["a.1.aa"] == done.workers
    assert [{"high": 5}, {}] == [one.asked for one in work.workers(bridge)[:2]]


def test_what_nobody_serves_then_is_told(bridge: Bridge):
    """A queue that another group has is served; one that no other has is not."""
    work.scale(bridge, "high", 0)
    assert [] == work.scale(bridge, "high", 0).unserved

    assert ["emails"] == work.scale(bridge, "low", 0).unserved


def test_what_was_asked_is_taken_back(bridge: Bridge):
    """And where nothing was asked, that is said."""
    work.scale(bridge, "high", 5)
    work.scale(bridge, "low", 0)

    done = [work.reset(bridge, group) for group in ("high", "low")]

    assert [(None, []), (None, [])] == [(one.processes, one.unserved) for one in done]
    assert [{}, {}] == [one.asked for one in work.workers(bridge)[:2]]
    with pytest.raises(ConfigError, match="nothing was asked for the group 'high': it is as it was started"):
        work.reset(bridge, "high")


def test_workers_are_told_to_end(bridge: Bridge):
    """Only those."""
    assert ["a.1.aa"] == work.shutdown(bridge, ["a.1.aa", "a.1.aa"])

    assert [True, False, False] == [one.ends for one in work.workers(bridge)]


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (lambda bridge: work.scale(bridge, "hgih", 3), "no live worker has a group called 'hgih'.*did you mean 'high'"),
        (lambda bridge: work.scale(bridge, "high", -1), "expected a whole number of 0 to 1000, got -1"),
        (lambda bridge: work.scale(bridge, "high", 1001), "expected a whole number of 0 to 1000, got 1001"),
        (lambda bridge: work.scale(bridge, "low", 1, worker="a.1.aa"), "no live worker has a group called 'low'"),
        (lambda bridge: work.scale(bridge, "zzzz", 3), "has a group called 'zzzz'; known are [a-z, ]+$"),
        (lambda bridge: work.scale(bridge, "high", 1, worker="a.1.ab"), "no live worker is called 'a.1.ab'"),
        (lambda bridge: work.shutdown(bridge, ["nobody"]), "no live worker is called 'nobody'"),
        (lambda bridge: work.shutdown(bridge, ["old.1.cc"]), "is of a release that obeys no operator: send it SIGTERM"),
    ],
)
def test_what_cannot_be_is_refused(bridge: Bridge, refused, why: str):
    """Nothing is asked then, and the audit log has that it was tried."""
    with pytest.raises(ConfigError, match=why):
        refused(bridge)

    assert 0 == newest(ORDERS, bridge.store)[0].version
    assert audit(bridge.store)[0].detail.startswith("refused: ")


def test_what_is_asked_is_in_the_audit_log(bridge: Bridge):
    """Who, what, of whom."""
    work.scale(bridge, "high", 5, worker="a.1.aa", who="ann@desk")
    work.reset(bridge, "high", who="bob@desk")
    work.shutdown(bridge, ["a.1.aa"], who="cid@desk")

    assert [
        ("cid@desk", "workers shutdown", "a.1.aa", ""),
        ("bob@desk", "workers reset", "high", ""),
        ("ann@desk", "workers scale", "high", "processes=5, worker=a.1.aa"),
    ] == [(one.who, one.verb, one.subject, one.detail) for one in audit(bridge.store)]
