"""The worker for tests: the real loop and relay, in this process."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from taskbridge import Backoff, Bridge, Reschedule, Settings, SoftTimeout, current
from taskbridge.config import BackendSettings, Share
from taskbridge.errors import ConfigError, NotSupported
from taskbridge.message import Message
from taskbridge.relay.due import ROUND_S
from taskbridge.testing.worker import Worker
from tests.servers import until

from ..conftest import BridgeClock


def test_it_runs_all_that_is_due_and_what_that_leads_to(bridge: Bridge):
    """Tasks that tasks enqueue, retries without a wait, on every queue; what is not due yet stays."""
    ran: list[str] = []

    @bridge.task(queue="first")
    def first(n: int) -> None:
        ran.append(f"first {n}")
        second.enqueue(n)
        second.using(delay=60).enqueue(n + 100)

    @bridge.task(queue="second", retry=Backoff(base=0, cap=0))
    def second(n: int) -> None:
        ran.append(f"second {n} {current().attempt}")
        if current().attempt < 3:
            raise OSError

    first.enqueue_many([(1,), (2,)])

    served = Worker(bridge).run_pending()

    assert {f"second {n} {attempt}" for n in (1, 2) for attempt in (1, 2, 3)} | {"first 1", "first 2"} == set(ran)
    assert 8 == len(ran) == served
    assert 0 == Worker(bridge).run_pending()


def test_time_is_the_tests(bridge: Bridge):
    """On a clock that moves when told, delays of days take none."""
    ran: list[float] = []

    @bridge.task(queue="later")
    def later() -> None:
        ran.append(bridge.clock.monotonic_s())
        if len(ran) < 3:
            raise Reschedule(86_400)

    later.using(delay=3_600).enqueue()
    worker = Worker(bridge)

    for _ in range(4):
        worker.run_pending()
        bridge.clock.sleep(3_600)
    for _ in range(3):
        bridge.clock.sleep(86_400)
        worker.run_pending()

    assert [3_600.0, 3_600 * 4 + 86_400, 3_600 * 4 + 2 * 86_400] == ran


def test_timeouts_that_are_not_kept_are_refused_unless_ignored(bridge: Bridge):
    """Hard ones nowhere, soft ones not in threads; a test that lets tasks take their time says so."""
    bridge.task(name="slow", queue="q", timeout=30)(lambda: None)
    Worker(bridge).run_pending()
    with pytest.raises(NotSupported, match="cannot keep the timeout of 30 s of slow"), Worker(bridge):
        pass

    task = bridge.task(name="slower", queue="q", hard_timeout=30)(ran := [].append)  # type: ignore[var-annotated]
    task.enqueue(1)
    with pytest.raises(NotSupported, match="cannot keep the hard_timeout of 30 s of slower"):
        Worker(bridge).run_pending()

    assert ran
    assert 1 == Worker(bridge, timeouts="ignore").run_pending()
    with pytest.raises(ConfigError, match="timeouts: expected keep or ignore, got 'no'"):
        Worker(bridge, timeouts="no")  # type: ignore[arg-type]


def test_a_soft_timeout_is_kept_in_the_main_thread(bridge: Bridge):
    """By ``run_pending``: the real one, and judged as any failure."""
    met: list[str] = []

    @bridge.task(name="slow", queue="q", timeout=0.05, retry=None)
    def slow() -> None:
        try:
            time.sleep(30)
        except SoftTimeout as error:
            met.append(str(error))
            raise

    slow.enqueue()
    Worker(bridge).run_pending()

    assert ["soft timeout after 0.05 s"] == met
    assert ["failed 1 times: SoftTimeout: soft timeout after 0.05 s"] == [one.why for one in bridge.store.dead.list(9)]


def test_a_broker_that_takes_its_time_is_waited_for(clock: BridgeClock, monkeypatch: pytest.MonkeyPatch):
    """Also beside another: what is due there is run before ``run_pending`` returns, on however busy a machine."""
    backends = {name: BackendSettings(engine="memory") for name in ("here", "there")}
    bridge = Bridge(Settings(backend="here", backends=backends, shares={"other": Share(to={"there": 100})}))
    bridge.clock = clock
    bridge.external("other", queue="q").using(delay=1).enqueue()
    ran: list[int] = []
    bridge.task(name="mine", queue="q")(ran.append).using(delay=1).enqueue(1)
    here = bridge.backend("here")
    publish = here.publish

    def slowly(messages: Sequence[Message], **more: bool) -> None:
        time.sleep(2 * ROUND_S)
        publish(messages, **more)

    monkeypatch.setattr(here, "publish", slowly)
    clock.advance(1)

    assert 1 == Worker(bridge).run_pending()

    assert [1] == ran
    bridge.close()


def test_in_a_block_it_runs_beside():
    """In threads, until the block is left."""
    bridge, ran = Bridge(Settings(backend="memory")), []
    task = bridge.task(name="beside", queue="q")(ran.append)

    with Worker(bridge):
        task.enqueue_many([(n,) for n in range(20)])
        task.using(delay=0.05).enqueue(20)
        until(lambda: len(ran) == 21, 20, "all have run")

    task.enqueue(21)
    assert list(range(21)) == ran
    bridge.close()
