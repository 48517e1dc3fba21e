"""The relay's loop: one leads, duties are paced, and one that fails does not stop the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from threading import Event

import pytest

from taskbridge import Bridge
from taskbridge.errors import BrokerUnavailable, StoreUnavailable
from taskbridge.relay import relay_of
from taskbridge.relay.loop import LEAD_MS, Duty, Relay
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock
from tests.servers import until


class Counted:
    """A duty that says what it did, as told, and counts."""

    def __init__(self, *did: int | Exception) -> None:
        self.did = list(did)
        self.runs = 0

    def __call__(self) -> int:
        self.runs += 1
        did = self.did.pop(0) if self.did else 0
        if isinstance(did, Exception):
            raise did
        return did


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


def duty(run: Callable[[], int], every_s: float) -> Duty:
    return Duty(name=f"every {every_s}", run=run, every_s=every_s)


def test_duties_are_paced(store: MemoryStore, clock: FakeClock):
    """Each runs at once and then as often as it says; one without a pace runs each time."""
    always, often, seldom = Counted(), Counted(), Counted()
    relay = Relay("me", store, clock, [duty(always, 0), duty(often, 0.5), duty(seldom, 5)])

    for _ in range(100):
        relay.tick()
        clock.advance(0.125)

    assert (100, 25, 3) == (always.runs, often.runs, seldom.runs)


def test_a_relay_that_is_to_stop_begins_no_other_duty(store: MemoryStore, clock: FakeClock):
    """Where the store hangs each would take as long as one answer may, and nobody could wait for the end."""
    stopping, behind = Event(), Counted()

    def told_meanwhile() -> int:
        stopping.set()
        return 0

    Relay("me", store, clock, [duty(told_meanwhile, 0), duty(behind, 0)]).run(stopping)

    assert 0 == behind.runs


def test_a_duty_that_did_something_runs_again_at_once(store: MemoryStore, clock: FakeClock):
    """There may be more than one batch; when there is nothing left, the pace holds again."""
    busy = Counted(100, 100, 7)
    relay = Relay("me", store, clock, [duty(busy, 5)])

    assert [100, 100, 7, 0, 0] == [relay.tick() for _ in range(5)]
    assert 4 == busy.runs


@pytest.mark.parametrize("failure", [BrokerUnavailable("away"), KeyError("a bug of ours")])
def test_a_duty_that_fails_is_tried_again(
    store: MemoryStore, clock: FakeClock, failure: Exception, caplog: pytest.LogCaptureFixture
):
    """In its time; the others are done meanwhile, and the log says which one failed."""
    broken, fine = Counted(failure, 3), Counted(1)
    relay = Relay("me", store, clock, [duty(broken, 1), duty(fine, 1)])

    with caplog.at_level(logging.WARNING, "taskbridge.relay"):
        done = [relay.tick()]
    clock.advance(1)
    done.append(relay.tick())

    assert [1, 3] == done
    assert "the relay's duty 'every 1' failed and is tried again" in caplog.text


def test_one_relay_leads(store: MemoryStore, clock: FakeClock):
    """Of many, one; when it says nothing for a lease another does, and the first stands back."""
    relays = [Relay(f"relay-{n}", store, clock, []) for n in range(5)]

    assert [True, False, False, False, False] == [relay.lead() for relay in relays]
    clock.advance(LEAD_MS / 1000 - 0.001)
    assert [True, False, False, False, False] == [relay.lead() for relay in relays]
    clock.advance(LEAD_MS / 1000)
    assert [True, False, False, False] == [relay.lead() for relay in relays[1:]]
    assert not relays[0].lead()
    assert [False, True, False, False, False] == [relay.leads for relay in relays]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskbridge.relay.loop.PATIENCE_S", 0.01)


@pytest.mark.usefixtures("impatient")
def test_only_the_leader_works():
    """Others wait, and take over at once when it resigns at its end."""
    store, runs = MemoryStore(), [Counted(), Counted()]
    stopping = [Event(), Event()]
    relays = [Relay(f"relay-{n}", store, FakeClock(), [duty(runs[n], 0)]) for n in range(2)]
    threads = [threading.Thread(target=relays[n].run, args=(stopping[n],)) for n in range(2)]

    threads[0].start()
    until(lambda: runs[0].runs, 20, "the first one works")
    threads[1].start()
    before = runs[0].runs
    until(lambda: runs[0].runs > before + 5, 20, "it goes on working")
    assert 0 == runs[1].runs
    stopping[0].set()
    threads[0].join(20)
    until(lambda: runs[1].runs, 20, "the second one works")

    stopping[1].set()
    threads[1].join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert store.leader.hold("relay", "a third", 1_000)


@pytest.mark.usefixtures("impatient")
def test_a_relay_outlives_an_absent_store(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """It waits, does not think that it leads, says so once however often it asks, and goes on by itself."""
    store, work, away = MemoryStore(), Counted(), Counted(*[StoreUnavailable("gone fishing")] * 3)
    relay, stopping, hold = Relay("me", store, FakeClock(), [duty(work, 0)]), Event(), store.leader.hold

    def flaky(name: str, owner: str, lease_ms: int) -> bool:
        away()
        return hold(name, owner, lease_ms)

    monkeypatch.setattr(store.leader, "hold", flaky)
    thread = threading.Thread(target=relay.run, args=(stopping,))
    with caplog.at_level(logging.INFO, "taskbridge.relay"):
        thread.start()
        until(lambda: work.runs, 20, "it works")
        stopping.set()
        thread.join(20)

    said = ["the relay waits: gone fishing", "this relay leads (me)", "the relay goes on, after 3 failures"]
    assert said == caplog.messages


def test_a_relay_of_a_bridge_has_every_duty(bridge: Bridge):
    """What is due is published, what lapsed is swept, what is parked is released: by the engine of the settings."""
    task = bridge.task(name="t", queue="mail")(lambda: None)
    receipt = task.using(delay=60).enqueue()
    relay = relay_of(bridge.sender, "me")

    relay.tick()
    bridge.clock.sleep(60)
    relay.tick()

    assert [receipt.id] == [one.id for one in bridge.backend("memory").scan("mail", 10)]
