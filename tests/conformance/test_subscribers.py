"""Those who subscribe, in real processes: what they hear is exact, and what they do harms nothing."""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from taskbridge import Bridge, Settings, chain
from tests.servers import RedisServer, until

from .running import bands_of, commands_of, running

QUEUE = "mail"

COUNT = 1_000

TASKS = """
import os, threading, time
from pathlib import Path
from taskbridge import current, subscribe, task
from taskbridge.events import Event, Failed, Started, Succeeded

HERE = Path(__file__).parent

def write(name, *words):
    with open(HERE / name, "a") as file:
        print(*words, file=file)

@subscribe
def sleeps(event: Event) -> None:
    time.sleep(10)

@subscribe
def hangs(event: Event) -> None:
    threading.Event().wait()

@subscribe
def raises(event: Event) -> None:
    raise ValueError("the warehouse is away")

@subscribe(Started, Succeeded, Failed)
def hears(event: Started | Succeeded | Failed) -> None:
    write(f"heard-{os.getpid()}", type(event).__name__, event.id)

@task(queue="mail", retry=None)
def send(n: int) -> None:
    write(f"ran-{os.getpid()}", current().id)
    if n == 13:
        raise ValueError("unlucky")
"""


@dataclass(frozen=True, kw_only=True)
class Played:
    """What was seen: by process, what ran and what was heard, in order; how long the work and the end took."""

    sent: list[str]
    ran: dict[str, list[str]]
    heard: dict[str, list[list[str]]]
    worked_s: float
    ended_s: float
    log: str


def lines(folder: Path, what: str) -> dict[str, list[list[str]]]:
    """What was written, by process."""
    return {
        path.name.removeprefix(f"{what}-"): [line.split() for line in path.read_text().splitlines()]
        for path in folder.glob(f"{what}-*")
    }


def play(engine: str, kind: str, url: str, folder: Path) -> Played:
    """Run a thousand tasks with listeners that sleep, hang and raise; then end the worker."""
    (folder / "mail_tasks.py").write_text(TASKS)
    bridge = Bridge(Settings(backend=engine, broker_url=url))
    send = bridge.external("mail_tasks.send", queue=QUEUE)
    environment = os.environ | {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": url}
    commands, log = commands_of(engine, kind, "mail_tasks", bands_of(QUEUE), processes=2), folder / "log"

    def ran() -> int:
        return sum(len(ids) for ids in lines(folder, "ran").values())

    with closing(bridge):
        with running(commands, environment, log, folder):
            warm = send.enqueue(0).id
            until(lambda: ran() == 1, 60, "the worker to serve its first message")
            began_s = time.monotonic()
            sent = [send.enqueue(n).id for n in range(1, COUNT)]
            until(lambda: ran() == COUNT, 60, f"{COUNT} runs")
            until(lambda: not bridge.store.messages.running(), 10, "all to be settled")
            worked_s = time.monotonic() - began_s
            ending_s = time.monotonic()
        ended_s = time.monotonic() - ending_s
    return Played(
        sent=[warm, *sent],
        ran={pid: [id for (id,) in ids] for pid, ids in lines(folder, "ran").items()},
        heard=lines(folder, "heard"),
        worked_s=worked_s,
        ended_s=ended_s,
        log=log.read_text(),
    )


@pytest.fixture(scope="module")
def played(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Future[Played]]:
    """Two workers at a time: the machine is small."""
    redis_server.cli().flushall()
    cases = list(product(("celery", "dramatiq"), ("ours", "native")))
    with ThreadPoolExecutor(2) as pool:
        return {
            case: pool.submit(play, *case, redis_server.url(db=number), tmp_path_factory.mktemp("-".join(case)))
            for number, case in enumerate(cases)
        }


@pytest.mark.parametrize("kind", ["ours", "native"])
@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
class TestSubscribers:
    """The same on both engines, under our worker and under their own commands."""

    def test_slow_and_stuck_ones_slow_no_task(
        self, engine: str, kind: str, played: dict[tuple[str, str], Future[Played]]
    ):
        """A thousand tasks take less than one event takes a listener that sleeps for ten seconds, many times over."""
        seen = played[engine, kind].result()

        assert sorted(seen.sent) == sorted(id for ids in seen.ran.values() for id in ids)
        assert seen.worked_s < 60

    def test_stuck_ones_keep_no_process_from_ending(
        self, engine: str, kind: str, played: dict[tuple[str, str], Future[Played]]
    ):
        """It ends within seconds of being told to."""
        assert played[engine, kind].result().ended_s < 9

    def test_all_is_heard_once_in_order_by_the_process_that_ran_it(
        self, engine: str, kind: str, played: dict[tuple[str, str], Future[Played]]
    ):
        """Also what waited to be told when the process was told to end."""
        seen = played[engine, kind].result()

        unlucky = seen.sent[13]
        ended = {
            pid: [id for what, id in heard if what in ("Succeeded", "Failed")] for pid, heard in seen.heard.items()
        }
        assert seen.ran == ended
        assert {unlucky} == {id for heard in seen.heard.values() for what, id in heard if what == "Failed"}
        assert {2} == {count for heard in seen.heard.values() for count in Counter(id for _, id in heard).values()}

    def test_the_log_says_what_fails_and_what_was_missed(
        self, engine: str, kind: str, played: dict[tuple[str, str], Future[Played]]
    ):
        """Once a minute at most for each listener and process, and once at the end."""
        log = played[engine, kind].result().log

        assert 1 <= log.count("ValueError: the warehouse is away") <= 4
        for stuck in ("sleeps", "hangs"):
            assert 1 <= log.count(f"events are not told to <function {stuck}") <= 4


STUCK = """
import os, time
from pathlib import Path
from taskbridge import subscribe, task
from taskbridge.events import Event, Failed, Retried, Sent

HERE = Path(__file__).parent

@subscribe(Failed, Retried, Sent)
def hears(event: Event) -> None:
    kept = event.at_ms - time.time() * 1000
    with open(HERE / f"heard-{os.getpid()}", "a") as file:
        print(type(event).__name__, event.id, event.task, event.attempt, -60_000 < kept < 1_000, file=file)

@task(queue="mail", retry=None, hard_timeout=2)
def hangs() -> None:
    with open(HERE / f"ran-{os.getpid()}", "a") as file:
        print("hangs", file=file)
    time.sleep(60)

@task(queue="mail")
def first() -> int:
    return 7

@task(queue="mail")
def second(n: int) -> None: ...
"""


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_what_the_supervisor_tells_is_heard_in_a_child(engine: str, redis_server: RedisServer, tmp_path: Path):
    """A task that was ended at its hard timeout cannot tell; what the relay sends is sent in no child. Each once."""
    redis_server.cli().flushall()
    (tmp_path / "stuck_tasks.py").write_text(STUCK)
    bridge = Bridge(Settings(backend=engine, broker_url=redis_server.url()))
    environment = os.environ | {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": redis_server.url()}
    commands = commands_of(engine, "ours", "stuck_tasks", bands_of(QUEUE), processes=2)
    hangs = bridge.external("stuck_tasks.hangs", queue=QUEUE)
    first = bridge.task(name="stuck_tasks.first", queue=QUEUE)(lambda: 7)
    second = bridge.task(name="stuck_tasks.second", queue=QUEUE)(lambda n: None)

    def heard() -> list[list[str]]:
        return [words for written in lines(tmp_path, "heard").values() for words in written]

    with closing(bridge), running(commands, environment, tmp_path / "log", tmp_path):
        id = hangs.enqueue().id
        chain(first.s(), second.s()).enqueue()
        until(lambda: len(heard()) >= 2, 60, "both to be heard")
    (dead,) = lines(tmp_path, "ran")
    assert "Failed" not in [kind for kind, *_ in lines(tmp_path, "heard").get(dead, [])], "it was ended"
    assert ["Failed", id, "stuck_tasks.hangs", "1", "True"] in heard()
    assert [["Sent", "stuck_tasks.second"]] == [[kind, task] for kind, _, task, *_ in heard() if kind != "Failed"]
    assert 2 == len(heard())
