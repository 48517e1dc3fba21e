"""What is gathered in real processes: the store's counts are what ran, on both engines, under our worker and theirs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from taskbridge.events import Succeeded
from taskbridge.evidence import Sample
from tests.servers import RedisServer, until

from .running import bands_of, commands_of, running

pytestmark = pytest.mark.service("redis")

ENGINES = ("celery", "dramatiq")

QUEUE = "mail"
COUNT = 300

#: How long a worker may take to begin beside seven others, seconds.
START_S = 60.0

#: Which of them fail once, and which always.
ONCE, ALWAYS = 7, 50

TASKS = """
import os, time
from pathlib import Path
from taskbridge import Backoff, Reschedule, current, subscribe, task

HERE = Path(__file__).parent
TWICE = Backoff(max_retries=1, base=0.1)

def write(n, what):
    with open(HERE / f"ran-{os.getpid()}", "a") as file:
        print(n, what, file=file)

@subscribe
def hears(event):
    pass

def both_work():
    # whoever is first waits for the other, which a busy machine may start much later
    until_s = time.monotonic() + 30
    while len(list(HERE.glob("ran-*"))) < 2 and time.monotonic() < until_s:
        time.sleep(0.01)

def work(n):
    write(n, "begun")
    both_work()
    time.sleep(0.002)
    if n % 50 == 0 or n % 7 == 0 and current().attempt == 1:
        write(n, "failed")
        raise ValueError("unlucky")
    if n % 11 == 0 and not (HERE / f"asked-{n}").exists():
        (HERE / f"asked-{n}").touch()
        write(n, "rescheduled")
        raise Reschedule(0.05)
    write(n, "succeeded")

@task(queue="mail", retry=TWICE)
def watched(n: int) -> None:
    work(n)

@task(queue="mail", retry=TWICE)
def other(n: int) -> None:
    write(n, "other")

@task(queue="mail", retry=TWICE, hard_timeout=1)
def hangs() -> None:
    write(0, "hangs")
    time.sleep(60)
"""


@contextmanager
def stage(engine: str, kind: str, url: str, folder: Path, tasks: str = TASKS) -> Iterator[Bridge]:
    """A worker of two processes that runs these tasks; all of them are watched but ``other``."""
    if kind == "native":
        tasks = tasks.replace(", hard_timeout=1", "")  # theirs keep none
    (folder / "evident_tasks.py").write_text(tasks)
    environment = os.environ | {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": url}
    commands = commands_of(engine, kind, "evident_tasks", bands_of(QUEUE), processes=2)
    bridge = Bridge(Settings(backend=engine, broker_url=url))
    with closing(bridge):
        until_ms = bridge.store.now_ms() + 600_000
        bridge.store.evidence.watch({f"evident_tasks.{name}": until_ms for name in ("watched", "hangs")})
        with running(commands, environment, folder / "log", folder):
            yield bridge


def ran(folder: Path) -> Counter[str]:
    """How many attempts ended how, by what the tasks wrote."""
    return Counter(line.split()[1] for path in folder.glob("ran-*") for line in path.read_text().splitlines())


def gathered(bridge: Bridge, task: str) -> Sample:
    """What the store knows of a task."""
    name = f"evident_tasks.{task}"
    return Sample.of(bridge.store.evidence.read(name, bridge.settings.backend_names, 0, bridge.store.now_ms() + 1))


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What tasks wrote, in how many processes, and what the store knew of them in the end."""

    written: Counter[str]
    processes: int
    known: dict[str, Sample]


def seen(engine: str, url: str, folder: Path) -> Seen:
    """Look when the worker has ended."""
    with closing(Bridge(Settings(backend=engine, broker_url=url))) as told:
        known = {name: gathered(told, name) for name in ("watched", "other", "hangs")}
    return Seen(written=ran(folder), processes=len(list(folder.glob("ran-*"))), known=known)


def work(engine: str, kind: str, url: str, folder: Path) -> Seen:
    """Run many, of which some fail and some ask to be run again."""
    with stage(engine, kind, url, folder) as bridge:
        watched = bridge.external("evident_tasks.watched", queue=QUEUE)
        other = bridge.external("evident_tasks.other", queue=QUEUE)
        for n in range(1, COUNT + 1):
            watched.enqueue(n)
            if n % 10 == 0:
                other.enqueue(n)
        until(lambda: ran(folder)["succeeded"] == COUNT - COUNT // ALWAYS, 120, "all to have succeeded")
        until(lambda: ran(folder)["other"] == COUNT // 10, 30, "the others to have run")
        until(lambda: len(bridge.store.dead.list(100)) == COUNT // ALWAYS, 30, "the rest to be dead")
        until(lambda: not bridge.store.messages.running(), 10, "all to be settled")
    return seen(engine, url, folder)


def hang(engine: str, kind: str, url: str, folder: Path) -> Seen:
    """Run one that has to be ended."""
    with stage(engine, kind, url, folder) as bridge:
        bridge.external("evident_tasks.hangs", queue=QUEUE).enqueue()
        until(lambda: bridge.store.dead.list(10), 60, "it to be dead")
    return seen(engine, url, folder)


def tell(engine: str, kind: str, url: str, folder: Path) -> None:
    """See what the store is told while the worker runs."""
    with stage(engine, kind, url, folder) as bridge:
        watched = bridge.external("evident_tasks.watched", queue=QUEUE)
        other = bridge.external("evident_tasks.other", queue=QUEUE)
        begun_ms = bridge.store.now_ms()
        for n in range(1, 7):
            watched.enqueue(n)
            other.enqueue(n)
        until(lambda: ran(folder)["succeeded"] == 6, START_S, "six to have run")
        until(lambda: gathered(bridge, "watched").all.succeeded == 6, 15, "the store to be told of six")
        assert Sample() == gathered(bridge, "other")

        bridge.store.evidence.watch({"evident_tasks.other": bridge.store.now_ms() + 600_000})

        def known() -> bool:
            other.enqueue(1)
            bridge.clock.sleep(0.1)
            return gathered(bridge, "other").all.succeeded > 0

        until(known, 15, "the store to be told of the other")
        slices = bridge.store.evidence.read("evident_tasks.watched", [engine], 0, bridge.store.now_ms() + 1)
        assert all(begun_ms - 10_000 < one.at_ms <= bridge.store.now_ms() for one in slices)
        assert {0} == {one.at_ms % 10_000 for one in slices}


#: What is played: what is done, by which engine, under whose command.
CASES = [*product([work], ENGINES, ["ours", "native"]), *product([hang, tell], ENGINES, ["ours"])]


@pytest.fixture(scope="module")
def played(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Future[Any]]:
    """All workers at the same time, for each mostly waits."""
    redis_server.cli().flushall()
    with ThreadPoolExecutor(len(CASES)) as pool:
        return {
            (scenario, engine, kind): pool.submit(
                scenario, engine, kind, redis_server.url(db=number), tmp_path_factory.mktemp(f"{engine}-{kind}")
            )
            for number, (scenario, engine, kind) in enumerate(CASES)
        }


@pytest.mark.parametrize("kind", ["ours", "native"])
@pytest.mark.parametrize("engine", ENGINES)
def test_counts_are_what_ran(engine: str, kind: str, played: dict[Any, Future[Seen]]):
    """Each attempt once, the retried ones too; what has ended is told when the process ends, without waiting for it."""
    seen = played[work, engine, kind].result()
    written, found, others = seen.written, seen.known["watched"].all, seen.known["other"]

    assert (written["succeeded"], written["failed"]) == (found.succeeded, found.failed)
    assert found.failed >= COUNT // ONCE
    assert written["succeeded"] + written["failed"] == sum(found.ran.values())
    assert written["succeeded"] + written["failed"] + written["rescheduled"] == sum(found.waited.values())
    assert 2 == seen.processes, "both processes were to run some"
    assert Sample() == others
    assert (COUNT - COUNT // ALWAYS, COUNT // 10) == (written["succeeded"], written["other"])


@pytest.mark.parametrize("engine", ENGINES)
def test_store_is_told_while_the_worker_runs(engine: str, played: dict[Any, Future[None]]):
    """Within ten seconds, also of who was not watched when the worker began; in slices of ten seconds of its clock."""
    played[tell, engine, "ours"].result()


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_ended_at_its_hard_timeout_failed_once(engine: str, played: dict[Any, Future[Seen]]):
    """The supervisor counts it, whose children hear of it too: each of two attempts is one."""
    seen = played[hang, engine, "ours"].result()
    found = seen.known["hangs"].all

    assert 2 == seen.written["hangs"]
    assert (0, 2) == (found.succeeded, found.failed)
    assert 2 == sum(found.ran.values())


def test_fork_counts_its_own(redis_server: RedisServer):
    """What its parent has not told is the parent's; both tell by threads of their own."""
    redis_server.cli().flushall()
    bridge = Bridge(Settings(backend="celery", broker_url=redis_server.url()))

    def emit(times: int) -> None:
        for _ in range(times):
            bridge.events.emit(Succeeded(id="1", task="evident_tasks.book", queue=QUEUE, backend="celery"))

    with closing(bridge):
        bridge.store.evidence.watch({"evident_tasks.book": bridge.store.now_ms() + 600_000})
        bridge.gather()
        emit(1)
        pid = os.fork()
        if not pid:
            emit(2)
            bridge.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        assert 2 == gathered(bridge, "book").all.succeeded
        emit(4)
        bridge.flush()

        assert 7 == gathered(bridge, "book").all.succeeded
