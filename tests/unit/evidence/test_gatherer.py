"""The gatherer counts each attempt of a watched task once, tells the store from its own thread, and harms nothing."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from taskbridge import Bridge
from taskbridge.errors import StoreUnavailable, StoreUnfit
from taskbridge.events import Dropped, Event, Failed, Received, Repeated, Retried, Sent, Started, Succeeded
from taskbridge.evidence import gatherer
from taskbridge.evidence.buckets import bucket_of
from taskbridge.evidence.gatherer import REST_S
from taskbridge.store.evidence import SLICE_MS, Evidence, Slice
from tests.servers import until

from ..conftest import BridgeClock

HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the store told a hundred times a second; at the end a busy machine may take its time."""
    monkeypatch.setattr(gatherer, "EVERY_S", 0.01)
    monkeypatch.setattr(gatherer, "REST_S", 20.0)


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the store told at the end only."""
    monkeypatch.setattr(gatherer, "EVERY_S", 3_600)


class Telling:
    """The evidence of a bridge, seen: what was asked and told. ``fails`` comes before it is done, ``lost`` after."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.asked = 0
        self.added: list[tuple[int, int]] = []
        self.fails: Callable[[], object] = lambda: None
        self.lost: Callable[[], object] = lambda: None

    def watched(self) -> dict[str, int]:
        self.asked += 1
        self.fails()
        return self._evidence.watched()

    def add(self, slices: Sequence[Slice], *, teller: str, turn: int) -> None:
        self.fails()
        self._evidence.add(slices, teller=teller, turn=turn)
        self.added.append((turn, len(slices)))
        self.lost()


@pytest.fixture
def telling(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> Telling:
    """Watches ``book``, and gathers."""
    bridge.store.evidence.watch({"book": bridge.clock.now_ms() + HOUR_MS})
    seen = Telling(bridge.store.evidence)
    made = gatherer.Gatherer(bridge.events, lambda: bridge.clock, lambda: cast("Evidence", seen))
    monkeypatch.setitem(bridge.__dict__, "_gatherer", made)
    return seen


def emit(bridge: Bridge, kind: type[Event] = Succeeded, task: str = "book", backend: str = "old", **more: Any) -> None:
    """Tell of an event."""
    bridge.events.emit(kind(id="1", task=task, queue="ledger", backend=backend, **more))


def read(bridge: Bridge, task: str = "book") -> list[Slice]:
    """All that the store has of a task."""
    return bridge.store.evidence.read(task, ["old", "new"], 0, bridge.clock.now_ms() + HOUR_MS)


def succeeded(bridge: Bridge, task: str = "book") -> int:
    """How many attempts of a task the store knows of."""
    return sum(one.succeeded for one in read(bridge, task))


def raises(error: Exception) -> Callable[[], object]:
    """What raises it."""

    def call() -> None:
        raise error

    return call


@pytest.fixture
def threads() -> Callable[[], int]:
    """Returns how many threads tell, beside those of other tests."""
    others = set(threading.enumerate())
    return lambda: sum(thread.name == "evidence" for thread in set(threading.enumerate()) - others)


def test_each_attempt_is_counted_once_where_it_ends(bridge: Bridge, telling: Telling):
    """Those that fail and are made again, too; what asks for a later run, drops itself or never began is neither."""
    emit(bridge, Sent)
    emit(bridge, Received)
    emit(bridge, Started, waited_ms=7)
    emit(bridge, Succeeded, ran_ms=20.5)
    emit(bridge, Started, waited_ms=8_000)
    emit(bridge, Retried, ran_ms=1.5)
    emit(bridge, Retried, counted=False, ran_ms=3)
    emit(bridge, Failed, ran_ms=0.01)
    emit(bridge, Failed)
    emit(bridge, Dropped, how="dropped")
    emit(bridge, Repeated, verdict="busy")
    bridge.flush()

    expected = Slice(
        task="book",
        backend="old",
        at_ms=bridge.clock.now_ms() // SLICE_MS * SLICE_MS,
        succeeded=1,
        failed=3,
        ran={bucket_of(20.5): 1, bucket_of(1.5): 1, 0: 1},
        waited={bucket_of(7): 1, bucket_of(8_000): 1},
    )
    assert [expected] == read(bridge)


def test_sides_and_instants_are_kept_apart(bridge: Bridge, telling: Telling, clock: BridgeClock):
    """By the backend that ran it, and the ten seconds in which it ended."""
    for backend in ("old", "new", "new"):
        emit(bridge, backend=backend)
    clock.advance(SLICE_MS / 1000)
    emit(bridge)
    bridge.flush()

    first_ms = clock.now_ms() // SLICE_MS * SLICE_MS - SLICE_MS
    assert [(first_ms, "new", 2), (first_ms, "old", 1), (first_ms + SLICE_MS, "old", 1)] == [
        (one.at_ms, one.backend, one.succeeded) for one in read(bridge)
    ]


def test_store_is_told_while_the_process_lives(bridge: Bridge, telling: Telling):
    """Every few seconds: whoever looks meanwhile sees it; nothing is told twice."""
    for n in range(1, 30):
        emit(bridge)
        until(lambda n=n: succeeded(bridge) == n, 20, f"{n} to be told")


def test_others_are_not_told_of(bridge: Bridge, telling: Telling):
    """Neither before the first answer nor after it."""
    for _ in range(2):
        emit(bridge, task="send")
        emit(bridge)
        until(lambda: telling.asked, 20, "the store to be asked")
    bridge.flush()

    assert 2 == succeeded(bridge)
    assert {1} == {slices for _, slices in telling.added}
    bridge.store.evidence.watch({"send": bridge.clock.now_ms() + HOUR_MS})
    assert [] == read(bridge, "send")


@pytest.mark.usefixtures("seldom")
def test_beginning_is_not_missed(bridge: Bridge, telling: Telling):
    """What happens before the store was asked is told after it was."""
    for _ in range(100):
        emit(bridge)
    assert 0 == telling.asked

    bridge.flush()

    assert 100 == succeeded(bridge)


def test_where_nothing_happens_nothing_is_asked(bridge: Bridge, telling: Telling):
    """And where it happens again, those are counted who are watched since then, from the first on."""
    emit(bridge)
    until(lambda: succeeded(bridge), 20, "it to be told")
    asked = telling.asked
    assert not threading.Event().wait(0.1)
    assert asked == telling.asked

    bridge.store.evidence.watch({"send": bridge.clock.now_ms() + HOUR_MS})
    emit(bridge, task="send")
    until(lambda: succeeded(bridge, "send"), 20, "it to be told, too")


def test_absent_store_is_told_later(bridge: Bridge, telling: Telling, caplog: pytest.LogCaptureFixture):
    """All that happened meanwhile; the log says it once."""
    telling.fails = raises(StoreUnavailable("the store is away"))
    for _ in range(50):
        emit(bridge)
        threading.Event().wait(0.002)
    until(lambda: telling.asked > 3, 20, "it to have been tried")
    telling.fails = lambda: None

    until(lambda: succeeded(bridge) == 50, 20, "all to be told")
    assert 1 == caplog.text.count("told later: the store is away")


def test_lost_answer_counts_nothing_twice(bridge: Bridge, telling: Telling):
    """The store has added it and its answer was lost: the same is told again, under the same turn, before the next."""
    telling.lost = raises(StoreUnavailable("cut"))
    emit(bridge)
    until(lambda: len(telling.added) >= 3, 20, "the same to be told again")
    emit(bridge)
    emit(bridge)
    telling.lost = lambda: None
    until(lambda: succeeded(bridge) >= 3, 20, "all to be told")
    bridge.flush()

    assert 3 == succeeded(bridge)
    assert {1} == {turn for turn, _ in telling.added[:3]}
    assert 2 == telling.added[-1][0]


@pytest.mark.usefixtures("seldom")
def test_what_waits_for_the_store_is_bounded(
    bridge: Bridge, telling: Telling, clock: BridgeClock, monkeypatch: pytest.MonkeyPatch
):
    """The newest slices are kept; they are told in trips of a bounded size."""
    monkeypatch.setattr(gatherer, "MOST", 10)
    monkeypatch.setattr(gatherer, "TRIP", 4)
    for _ in range(25):
        clock.advance(SLICE_MS / 1000)
        emit(bridge)
    bridge.flush()

    found, newest_ms = read(bridge), clock.now_ms() // SLICE_MS * SLICE_MS
    assert [newest_ms - n * SLICE_MS for n in reversed(range(10))] == [one.at_ms for one in found]
    assert [(1, 4), (2, 4), (3, 2)] == telling.added


def test_denied_access_harms_nothing(bridge: Bridge, telling: Telling, caplog: pytest.LogCaptureFixture):
    """Nor does a fault of ours: it goes on, and the log says it."""
    for error in (StoreUnfit("denied"), ZeroDivisionError("ours")):
        telling.fails = raises(error)
        asked = telling.asked
        emit(bridge)
        until(lambda asked=asked: telling.asked > asked, 20, "it to be tried")
    telling.fails = lambda: None
    emit(bridge)

    until(lambda: succeeded(bridge) == 3, 20, "all to be told")
    assert "told later: denied" in caplog.text
    assert "ZeroDivisionError: ours" in caplog.text


def test_stuck_store_holds_up_neither_work_nor_end(
    bridge: Bridge, telling: Telling, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """Events are counted while it does not answer, and a process that ends waits for a second."""
    monkeypatch.setattr(gatherer, "REST_S", REST_S)
    gate = threading.Event()
    telling.fails = gate.wait
    emit(bridge)
    until(lambda: telling.asked, 20, "it to be stuck")
    for _ in range(1_000):
        emit(bridge)
    too_late = threading.Timer(60, gate.set)
    too_late.start()

    bridge.flush()

    assert not gate.is_set(), "it waited for the store"
    too_late.cancel()
    gate.set()
    until(lambda: succeeded(bridge) == 1_001, 20, "the rest to be told after all")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_who_runs_nothing_has_no_thread(bridge: Bridge, telling: Telling, threads: Callable[[], int]):
    """A producer, an idle worker; once a process rests there is none any more, and what comes then begins anew."""
    emit(bridge, Sent)
    assert 0 == threads()
    for count in (1, 2):
        emit(bridge)
        assert 1 == threads()
        bridge.flush()
        assert 0 == threads()
        assert count == succeeded(bridge)


def test_many_threads_lose_nothing(
    bridge: Bridge, telling: Telling, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """An engine's own worker may run tasks in threads: one teller counts for all, while it tells."""
    monkeypatch.setattr(gatherer, "EVERY_S", 0.0001)
    interval_s, workers = sys.getswitchinterval(), 8
    start = threading.Barrier(workers)

    def run() -> None:
        start.wait()
        for _ in range(50):
            emit(bridge, ran_ms=1)

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(workers) as pool:
            for _ in range(20):
                list(pool.map(lambda _: run(), range(workers)))
                bridge.flush()
    finally:
        sys.setswitchinterval(interval_s)

    (found,) = read(bridge)
    assert (8_000, {bucket_of(1): 8_000}) == (found.succeeded, found.ran)
    assert "" == caplog.text


def test_what_another_process_tells_is_its_own(bridge: Bridge, telling: Telling):
    """A child hears by its subscribers what its supervisor has told the store already."""
    bridge.subscribers.tell(Succeeded(id="1", task="book", queue="ledger", backend="old"))
    emit(bridge)
    bridge.flush()

    assert 1 == succeeded(bridge)


def test_who_runs_tasks_gathers(bridge: Bridge):
    """By itself; to ask for it again counts nothing twice."""
    bridge.store.evidence.watch({"book": bridge.clock.now_ms() + HOUR_MS})
    assert bridge.runtime
    for count in (1, 2):
        emit(bridge)
        bridge.flush()
        assert count == succeeded(bridge)
        bridge.gather()
