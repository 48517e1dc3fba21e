"""A start hook that fails, in real processes: no message is lost, none is begun, and all run when it succeeds."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from taskbridge import Bridge, Settings
from taskbridge.store import Record
from tests.servers import RedisServer, until

from .running import bands_of, commands_of, running

QUEUE = "late"

TASKS = """
import os
from pathlib import Path
from taskbridge import current, on_worker_start, task

HERE = Path(__file__).parent

def write(name, *words):
    with open(HERE / name, "a") as file:
        print(*words, file=file)

@on_worker_start
def connect():
    write("starts", os.getpid())
    if not (HERE / "database").exists():
        raise ConnectionError("the database is away")

if os.environ["TASKBRIDGE_BACKEND"] == "celery":
    from celery import signals

    def hears(name):
        getattr(signals, name).connect(lambda **_: write("signals", os.getpid(), name), weak=False)

    for name in ("worker_init", "worker_process_init", "worker_shutdown"):
        hears(name)

@task(queue="late", retry=None)
def book(n: int) -> None:
    write("runs", n, current().attempt, current().starts, os.getpid())
"""


def words(file: Path) -> list[list[str]]:
    """What was written, by line."""
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


@dataclass(frozen=True, kw_only=True)
class Waited:
    """What was seen while the start hook failed, and after it."""

    begun: list[Record | None]
    in_queue: int
    starts: list[str]
    runs: list[list[str]]
    signals: list[list[str]]
    log: str


def play(engine: str, kind: str, url: str, folder: Path) -> Waited:
    """Send three messages to a worker that cannot start; let it start when it has tried three times."""
    (folder / "ledger_tasks.py").write_text(TASKS)
    bridge = Bridge(Settings(backend=engine, broker_url=url))
    book = bridge.external("ledger_tasks.book", queue=QUEUE)
    environment = os.environ | {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": url}
    starts, runs, log = folder / "starts", folder / "runs", folder / "log"
    with closing(bridge), running(commands_of(engine, kind, "ledger_tasks", bands_of(QUEUE)), environment, log, folder):
        sent = [book.enqueue(n).id for n in range(3)]
        until(lambda: len(words(starts)) >= 3, 120, "three starts")
        begun = [bridge.store.messages.look(id) for id in sent]
        in_queue = bridge.backend(engine).depth(QUEUE)
        (folder / "database").touch()
        until(lambda: len(words(runs)) == 3, 60, "three runs")
    pids = [pid for (pid,) in words(starts)]
    heard = words(folder / "signals")
    return Waited(begun=begun, in_queue=in_queue, starts=pids, runs=words(runs), signals=heard, log=log.read_text())


@pytest.fixture(scope="module")
def played(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Future[Waited]]:
    """All workers at the same time, for each mostly waits."""
    redis_server.cli().flushall()
    cases = list(product(("celery", "dramatiq"), ("ours", "native")))
    with ThreadPoolExecutor(len(cases)) as pool:
        return {
            case: pool.submit(play, *case, redis_server.url(db=number), tmp_path_factory.mktemp("-".join(case)))
            for number, case in enumerate(cases)
        }


@pytest.mark.parametrize("kind", ["ours", "native"])
@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_nothing_is_begun_while_a_start_hook_fails(
    engine: str, kind: str, played: dict[tuple[str, str], Future[Waited]]
):
    """The messages run once it succeeds, in the process that has started: no attempt was spent, none is lost."""
    waited = played[engine, kind].result()

    assert [None] * 3 == waited.begun
    assert [["0", "1", "1"], ["1", "1", "1"], ["2", "1", "1"]] == sorted(words[:3] for words in waited.runs)
    assert {waited.starts[-1]} == {pid for *_, pid in waited.runs}
    assert "ConnectionError: the database is away" in waited.log


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_our_child_that_cannot_start_is_followed_by_another(engine: str, played: dict[tuple[str, str], Future[Waited]]):
    """It has taken nothing from the queue, and says why it ended; each start is a new process."""
    waited = played[engine, "ours"].result()

    assert 3 == waited.in_queue
    assert len(waited.starts) == len(set(waited.starts))
    assert "on_worker_start failed: this child ends having taken nothing, and another is started" in waited.log


def test_celerys_own_signals_are_sent_in_each_child(played: dict[tuple[str, str], Future[Waited]]):
    """Its start-up signals before our hooks, and its shut-down signal also when a child could not start."""
    waited = played["celery", "ours"].result()

    heard = {pid: [name for of, name in waited.signals if of == pid] for pid in waited.starts}

    assert {pid: ["worker_init", "worker_process_init", "worker_shutdown"] for pid in waited.starts} == heard


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_process_of_an_engine_tries_again(engine: str, played: dict[tuple[str, str], Future[Waited]]):
    """The engine would start no other, or give up altogether; so the same process waits."""
    waited = played[engine, "native"].result()

    assert 1 == len(set(waited.starts))
    assert "on_worker_start failed; nothing is begun in this process, trying again in" in waited.log
