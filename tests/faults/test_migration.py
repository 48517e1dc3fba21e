"""A migration moves its share up and down under kills and restarts; what began on one engine ends on the other."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from taskbridge import Task, chain
from taskbridge.announcement import announced
from taskbridge.errors import BrokerUnavailable, StoreUnavailable
from taskbridge.operations import migration
from taskbridge.routing.router import LONGEST_PAUSE_S, TTL_S
from taskbridge.routing.rules import place_of_key
from tests.servers import until

from .evidence import Tally
from .harness import ENGINES, PATIENCE_S, QUEUE, Producer, Stage, Worker
from .test_kills import VISIBILITY
from .test_limits import BURST, RATE, most_over
from .test_locks import COUNTERS, overwritten, prepare
from .test_routes import in_force

pytestmark = pytest.mark.service("redis")

MODULE = "tests.faults.migration_tasks"

#: The numbers of the chunked run begin here, and those of its chunks; as the tasks have them.
RUN, CHUNKS = 10_000_000, 20_000_000

#: The shares that a migration goes through.
SHARES = (0, 1, 10, 50, 100, 50, 0, 100)

#: Each number is of one of so many users, which shares are sticky by.
USERS = 1_000

T = TypeVar("T")


@dataclass
class Sent:
    """What was sent: the numbers, and of plain ones when (unix ms) ``enqueue`` began and had returned."""

    numbers: set[int] = field(default_factory=set)
    effects: set[int] = field(default_factory=set)
    paced: set[int] = field(default_factory=set)
    counted: set[int] = field(default_factory=set)
    plain: dict[int, tuple[int, int]] = field(default_factory=dict)

    def __or__(self, other: Sent) -> Sent:
        return Sent(
            self.numbers | other.numbers,
            self.effects | other.effects,
            self.paced | other.paced,
            self.counted | other.counted,
            self.plain | other.plain,
        )


def linked_of(producer: Producer) -> Task[..., Any]:
    """A task that may stand in the middle of a chain; the producer knows of it what it must."""

    def linked(n: int, user_id: int, seconds: float = 0.003) -> int:
        raise NotImplementedError("it runs in workers")

    return producer.bridge.task(name=f"{MODULE}.linked", queue=QUEUE)(linked)


def produce(producer: Producer, numbers: Iterable[int], pace_s: float, sent: Sent) -> None:
    """Send numbers of all kinds, one after another; what raises is nobody's promise."""
    external = partial(producer.bridge.external, queue=QUEUE)
    moved, failing = external(f"{MODULE}.moved"), external(f"{MODULE}.failing")
    linked = linked_of(producer)
    counted, paced = producer.task("counted"), producer.task("paced")
    next_s = time.monotonic()
    for n in numbers:
        kind, user = n % 20, n % USERS
        began_ms = time.time_ns() // 1_000_000
        try:
            if kind == 0:
                moved.using(delay=random.uniform(0.5, 8)).enqueue(n, user_id=user)
            elif kind == 1:
                failing.enqueue(n, user_id=user)
            elif kind == 2:
                counted.enqueue(n, n // 20 % COUNTERS, 0.002)
            elif kind == 3:
                paced.enqueue(n)
            elif kind == 4:
                chain(linked.s(n, user_id=user), linked.s(user_id=user)).enqueue()
                sent.numbers.add(n + 1)
                sent.effects.add(n + 1)
            elif kind != 5:  # that is the second link of the chain
                moved.enqueue(n, user_id=user)
                sent.plain[n] = began_ms, time.time_ns() // 1_000_000 + 1
        except (BrokerUnavailable, StoreUnavailable):
            continue
        if kind != 5:
            sent.numbers.add(n)
        {2: sent.counted, 3: sent.paced, 5: set()}.get(kind, sent.effects).add(n)
        next_s += pace_s
        time.sleep(max(0.0, next_s - time.monotonic()))


def insist(step: Callable[[], T]) -> T:
    """Take a step although the store may be away just now."""

    def taken() -> T | None:
        try:
            return step()
        except StoreUnavailable:
            return None

    done = until(taken, 60, "a step of the migration")
    assert done is not None
    return done


@dataclass
class Trouble:
    """Kills a child each second, restarts each worker once and the store twice; counts what it did, and keeps from when
    to when (unix ms) producers may have gone by the last table they saw.

    All in one thread, which lives on: a process on its leash ends with the thread that started it.
    """

    stage: Stage
    workers: list[Worker]
    kills: int = 0
    restarts: int = 0
    stores: int = 0
    blind: list[tuple[float, float]] = field(default_factory=list)

    def plan(self, seconds: float) -> list[tuple[float, Callable[[], object]]]:
        """What is restarted, and after how many of so many seconds."""
        stores = [(seconds * part, self._restart_store) for part in (0.3, 0.7)]
        workers = [(seconds * (n + 1) / 3.5, partial(self._restart, one)) for n, one in enumerate(self.workers)]
        return [*stores, *workers]

    def kill(self) -> None:
        self.kills += random.choice(self.workers).kill_a_child()

    def _restart(self, worker: Worker) -> None:
        worker.stop()
        worker.start()
        self.restarts += 1

    def _restart_store(self) -> None:
        began_s = time.time()
        self.stage.server.stop(signal.SIGTERM)
        self.stage.server.start()
        self.stores += 1
        self.blind.append((began_s * 1000, (time.time() + LONGEST_PAUSE_S) * 1000))


def migrated(folder: Path, count: int, pace_s: float, patience_s: float) -> Tally:
    """So many tasks of all kinds from two producers, while the share steps there and back, with trouble."""
    chunked = count // 20
    with Stage("celery", folder, appendfsync="always") as stage:
        prepare(stage.evidence.folder)
        options = {"tasks": MODULE, "constants": VISIBILITY, "environment": {"FAULTS_TOTAL": str(chunked)}}
        workers = [stage.worker(engine=engine, processes=2, **options) for engine in ENGINES]
        producers = [stage.producer(engine="celery") for _ in range(2)]
        bridge, store = producers[0].bridge, producers[0].bridge.store
        served = "both are served"
        until(lambda: {name for one in announced(store) for name in one.backends} >= {*ENGINES}, PATIENCE_S, served)
        migration.start(bridge, origin="celery", target="dramatiq", key="{user_id}", force=True)
        bridge.external(f"{MODULE}.generate", queue=QUEUE).enqueue(pause_s=0.05)

        began_s, seconds, parts = time.monotonic(), count * pace_s / 2, [Sent(), Sent()]
        trouble = Trouble(stage, workers)
        steps = [
            (seconds * n / len(SHARES), partial(insist, partial(migration.share, bridge, share, force=True)))
            for n, share in enumerate(SHARES)
        ]
        due = sorted([*steps, *trouble.plan(seconds)], key=lambda one: one[0])
        sending = []
        with ThreadPoolExecutor(2) as threads:
            for n, producer in enumerate(producers):
                sending.append(threads.submit(produce, producer, range(n, count, 2), pace_s, parts[n]))
            while due:
                stage.evidence.look()  # it says how far it is
                time.sleep(max(0.0, min(1.0, began_s + due[0][0] - time.monotonic())))
                if time.monotonic() >= began_s + due[0][0]:
                    due.pop(0)[1]()
                else:
                    trouble.kill()
            for one in sending:
                one.result()
        sent = parts[0] | parts[1]
        run = set(range(RUN, RUN + chunked))
        stage.until_done(sent.numbers | run, sent.effects | run, quiet_s=patience_s)
        changes = [(one.at_ms, share_of(one.document)) for one in insist(lambda: store.routes.history(100))[::-1]]
        tally = stage.evidence.tally(sent.numbers | run, time.monotonic() - began_s, sent.effects | run)
        starts, sides = stage.evidence.starts, stage.evidence.others
        tally.more |= {"kills": trouble.kills, "restarts": trouble.restarts, "store restarts": trouble.stores}
        tally.more |= judged(sent, sides, changes, trouble.blind)
        paced = sorted(at for n in sent.paced for at in starts.get(n, ()))
        tally.more["over the limit"] = round(most_over(paced, RATE), 2)
        tally.more["overwritten"] = overwritten(stage.evidence.folder)
    return tally


def share_of(document: bytes) -> float:
    """The share of the migration's rule in a version of the routes."""
    return float(json.loads(document)["rules"][0]["share"])


def judged(
    sent: Sent, sides: dict[str, set[int]], changes: list[tuple[int, float]], blind: list[tuple[float, float]]
) -> dict[str, Any]:
    """Count the plain messages that were sent while one share held, and those of them that were on the other side.

    What the store has handed out anew was routed anew; who could not read the table goes by the last one.
    """
    judged, wrong, again, rerouted = 0, 0, sides.get("again", set()), sides.get("rerouted", set())
    for n, (began_ms, over_ms) in sent.plain.items():
        held = in_force(changes, began_ms - TTL_S * 1000, over_ms)
        saw = all(over_ms < from_ms or began_ms > until_ms for from_ms, until_ms in blind)
        if len(held) == 1 and saw and n not in rerouted:
            judged += 1
            on = "dramatiq" if place_of_key(str(n % USERS)) < held.pop() else "celery"
            wrong += n not in sides.get(on, set())
    return {"judged": judged, "wrong": wrong, "on both": len(sides["celery"] & sides["dramatiq"] - again)}


def check(tally: Tally, count: int, figures: Callable[[Tally], None]) -> None:
    figures(tally)
    more = tally.more
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert (0, 0, 0) == (more["wrong"], more["on both"], more["overwritten"]), tally
    assert more["over the limit"] <= BURST + 0.1, tally
    assert more["judged"] > count // 4, tally
    assert (2, 2) == (more["restarts"], more["store restarts"]), tally
    assert more["kills"] > 5, tally


def begun(producer: Producer, first: int) -> dict[str, list[int]]:
    """Send work of every kind that takes some seconds; returns its numbers by kind, in their order."""
    external = partial(producer.bridge.external, queue=QUEUE)
    moved, failing, limited = (external(f"{MODULE}.{name}") for name in ("moved", "failing", "limited"))
    linked = linked_of(producer)
    many = {"delayed": 60, "retried": 60, "parked": 400, "chained": 40}
    kinds = {kind: [first + 1_000 * n + m for m in range(many[kind])] for n, kind in enumerate(many)}
    for n in kinds["delayed"]:
        moved.using(delay=0.5 + 0.5 * (n % 100)).enqueue(n, user_id=n)
    for n in kinds["retried"]:
        failing.enqueue(n, user_id=n)
    limited.enqueue_many({"n": n, "user_id": n} for n in kinds["parked"])
    head, *links = kinds["chained"]
    chain(linked.s(head, user_id=head, seconds=0.5), *(linked.s(user_id=n, seconds=0.5) for n in links)).enqueue()
    external(f"{MODULE}.generate").enqueue(pause_s=0.2)
    return kinds


def in_hand(stage: Stage, backend: str) -> bool:
    """Whether some process of this backend's workers has taken what it has not settled."""
    return any(stage.server.cli().scan_iter(f"*:held:{backend}:*"))


@pytest.mark.parametrize(("default", "other"), [ENGINES, ENGINES[::-1]])
def test_work_that_began_on_one_engine_ends_on_the_other(tmp_path: Path, default: str, other: str):
    """Delayed, retried, parked, chained and chunked: what leaves the store after the switch goes where traffic goes.

    From the second after the switch on nothing more is sent to the engine that was left: when it has begun what was
    sent there before, it begins no more.
    """
    total = 1_000
    with Stage(default, tmp_path / "stage") as stage:
        options = {"tasks": MODULE, "environment": {"FAULTS_TOTAL": str(total)}}
        for engine in ENGINES:
            stage.worker(engine=engine, processes=2, **options)
        producer = stage.producer()
        bridge = producer.bridge
        served = "both are served"
        until(
            lambda: {name for one in announced(bridge.store) for name in one.backends} >= {*ENGINES}, PATIENCE_S, served
        )
        migration.start(bridge, origin=default, target=other)
        kinds = begun(producer, 0)

        def runs() -> bool:
            on = stage.evidence.look().others.get(default, set())
            begun_kinds = all(on & {*kinds[kind]} for kind in ("chained", "parked"))
            return len(on) > 20 and begun_kinds and max(on) >= CHUNKS

        until(runs, PATIENCE_S, "some of it runs")

        migration.share(bridge, 100)
        time.sleep(TTL_S + 0.5)
        left = bridge.backend(default).depth
        settled = "what was sent there before to be begun, and over"
        until(lambda: not left(QUEUE) and not in_hand(stage, default), PATIENCE_S, settled)
        switched_s = time.time()
        run = range(RUN, RUN + total)
        numbers = {n for all_of_one in kinds.values() for n in all_of_one} | set(run)
        stage.until_done(numbers, set(numbers))
        tally = stage.evidence.tally(numbers, 0, numbers)
        sides, starts = stage.evidence.others, stage.evidence.starts

    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
    late = {n for n, ats in starts.items() if ats[0] > switched_s}
    assert set() == late & sides[default]
    chunks = [n for n in starts if n >= CHUNKS]
    for kind, all_of_one in (kinds | {"chunks": chunks, "chunked": list(run)}).items():
        assert late & set(all_of_one), f"{kind} is over before the switch"
        assert set(all_of_one) & sides[other], kind
    for kind in ("chained", "parked"):
        assert set(kinds[kind]) & sides[default], f"{kind} began after the switch"
    assert set(chunks) & sides[default]


@pytest.mark.timeout(900)
def test_share_steps_there_and_back_under_trouble(tmp_path: Path, figures: Callable[[Tally], None]):
    """Nothing is lost or doubled, locks and limits hold over both engines, and each user is on the side of his share:
    while children are killed each second, workers of both engines are restarted, and the store is, twice."""
    check(migrated(tmp_path / "stage", 4_000, 0.02, 180), 4_000, figures)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_share_steps_there_and_back_for_long(tmp_path: Path, figures: Callable[[Tally], None]):
    """The same with 200,000 tasks."""
    check(migrated(tmp_path / "stage", 200_000, 0.006, 900), 200_000, figures)
