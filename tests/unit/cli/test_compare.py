"""``taskbridge compare``: real workers of both engines on a real Redis, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from taskbridge import Bridge
from taskbridge.comparison import follow
from taskbridge.comparison.family import CAN_LOOK
from tests.rabbitmq import SomeRabbit
from tests.servers import RedisServer, until
from tests.sqs import SqsServer

from .conftest import Cli

BOTH = ("--backends", "celery+redis,dramatiq+redis", "--processes", "1")

TASKS = """
import os
import time
from pathlib import Path

from taskbridge import Backoff, current, every, task

FOLDER = Path(os.environ.get("COMPARISON_FOLDER", "."))


@task(queue="emails", retry=Backoff(max_retries=1, base=0.01, cap=0.01))
def send(n: int) -> None:
    if n % 10 == 0 and current().attempt == 1:
        raise OSError("busy")
    if n == 7:
        raise ValueError("never")


@task(queue="slow", schedule=every(seconds=1))
def tick() -> None:
    raise AssertionError("it ticked")


@task(queue="slow")
def sleep(seconds: float) -> None:
    time.sleep(seconds)


def workload(bridge):
    print("this is no word of the protocol")
    return send.enqueue_many((n,) for n in range(30))


def paced(bridge):
    for n in range(1, 6):
        yield send.enqueue(n)
        time.sleep(0.3)


def nothing(bridge):
    return []


def nobodys(bridge):
    return 3


def unserved(bridge):
    send.enqueue(1)
    return send.using(queue="elsewhere").enqueue_many((n,) for n in range(4)).created


def endless(bridge):
    sleep.enqueue(60)
    return 1


def broken(bridge):
    raise RuntimeError("the data base is away")


def vanishing(bridge):
    send.enqueue_many((n,) for n in range(1, 4))
    bridge.backend(bridge.settings.backend).broker.remove(["lost"])
    from taskbridge.events import Sent
    bridge.events.emit(Sent(id="GONE", task="app.send", queue="emails"))
    return 4
"""


@pytest.fixture
def cli(cli: Cli) -> Cli:
    cli.write("app.py", TASKS)
    return cli


def test_each_side_is_measured_by_what_its_processes_have_seen(cli: Cli, redis_server: RedisServer):
    """Every task, retry and dead letter of every round; and nothing is left in Redis but what was there."""
    redis_server.cli().set("production", 1)

    found = cli.json("compare", "app:workload", *BOTH, "--rounds", "2")

    assert [b"production"] == redis_server.cli().keys()
    assert ["celery+redis", "dramatiq+redis"] == [side["name"] for side in found["sides"]]
    for side in found["sides"]:
        assert [1, 2] == [run["round"] for run in side["runs"]]
        for run in side["runs"]:
            counts = {key: run[key] for key in ("calls", "tasks", "retries", "dead", "lost", "twice")}
            assert {"calls": 30, "tasks": 30, "retries": 4, "dead": 1, "lost": 0, "twice": 0} == counts
            assert 0 < run["throughput"] < 10_000
            assert 0 < run["run_p50_ms"] <= run["run_p95_ms"] < 5_000
            assert 0 < run["end_p50_ms"] <= run["end_p95_ms"] < 30_000
            if CAN_LOOK:
                assert 0 <= run["cpu_s"] < 300
                assert 20 < run["peak_mb"] < 1_000


@pytest.mark.service("sqs")
@pytest.mark.service("rabbitmq")
def test_sides_are_compared_over_all_brokers(cli: Cli, sqs_server: SqsServer, rabbit: SomeRabbit):
    """The same workload on each: all of it ends, once, and nothing is left on any broker."""
    sqs_server.reset()
    words = ("--backends", "celery+redis,dramatiq+sqs,celery+rabbitmq", "--processes", "1", "--rounds", "1")

    found = cli.json("compare", "app:workload", *words, "--sqs", sqs_server.url(), "--rabbitmq", rabbit.url())

    assert ["celery+redis", "dramatiq+sqs", "celery+rabbitmq"] == [side["name"] for side in found["sides"]]
    runs = [run for side in found["sides"] for run in side["runs"]]
    counted = [{name: run[name] for name in ("tasks", "retries", "dead", "lost", "twice")} for run in runs]
    assert [{"tasks": 30, "retries": 4, "dead": 1, "lost": 0, "twice": 0}] * 3 == counted
    assert [] == sqs_server.client().list_queues().get("QueueUrls", [])


def test_figures_are_a_table_and_a_page(cli: Cli, tmp_path: Path):
    """A generator's items are counted, and no tick of a schedule; the page is one file."""
    result = cli("compare", "app:paced", "--backends", "dramatiq", "--rounds", "1", "--html", "page.html")

    assert 0 == result.exit_code, result.output
    assert re.search(r"^throughput, tasks/s +[\d.,]+", result.stdout, re.MULTILINE)
    assert re.search(r"^tasks +5", result.stdout, re.MULTILINE)
    assert "one round says nothing of how far figures stray" in result.stdout
    assert "dramatiq+redis" in (tmp_path / "page.html").read_text("utf-8")


def test_what_is_lost_is_counted_and_no_success(cli: Cli, engine: str, monkeypatch: pytest.MonkeyPatch):
    """A message that was sent, has no end, and is nowhere: exit code 1."""
    monkeypatch.setattr(follow, "LOST_S", 5.0)

    found = cli.json("compare", "app:vanishing", "--backends", engine, "--rounds", "1", code=1)

    ((run,),) = (side["runs"] for side in found["sides"])
    assert (3, 1, 0) == (run["tasks"], run["lost"], run["twice"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("app:workload", "--backends", "celeryy"), "no backend is called 'celeryy'; did you mean 'celery'?"),
        (("app:workload", "--backends", "celery+sqs"), "say --sqs URL"),
        (("app:workload", "--backends", "celery", "--html", "no/such/page.html"), "--html: there is no folder"),
        (("app:workloud", "--backends", "celery"), "app has no function 'workloud'; did you mean 'workload'?"),
        (("nowhere:workload", "--backends", "celery"), "the module 'nowhere' does not import"),
        (("app:nothing", "--backends", "celery"), "the workload has enqueued nothing: it returned []"),
        (("app:nobodys", "--backends", "celery"), "says that it has enqueued 3 calls, and none was seen on its bridge"),
        (("app:broken", "--backends", "celery"), "RuntimeError: the data base is away"),
        (("app", "--backends", "celery"), "expected MODULE:WORKLOAD such as app.load:workload, got 'app'"),
    ],
)
def test_what_cannot_be_compared_is_said(cli: Cli, redis_server: RedisServer, words: tuple[str, ...], why: str):
    """With what to do; nothing is left of it."""
    result = cli("compare", *words, "--rounds", "1", "--processes", "1")

    assert result.exit_code in (1, 2)
    assert why.lower() in " ".join(result.stderr.split()).lower()
    assert [] == redis_server.cli().keys()


@pytest.mark.parametrize(
    ("workload", "missing"),
    [
        (
            "unserved",
            ["4 of 5 messages have not ended", "4 of app.send in elsewhere", "4 waiting; no process serves it"],
        ),
        ("endless", ["1 of 1 messages have not ended", "1 of app.sleep in slow", "queue slow: 1 running"]),
    ],
)
def test_what_does_not_end_is_named(
    cli: Cli, redis_server: RedisServer, engine: str, workload: str, missing: list[str]
):
    """After the timeout: which tasks, in which queue, and where they are. The worker is ended, and nothing is left."""
    result = cli("compare", f"app:{workload}", "--backends", engine, "--processes", "1", "--timeout", "10")

    assert 1 == result.exit_code
    for said in (f"after 10 s on {engine}+redis", *missing):
        assert said in result.stderr
    assert [] == redis_server.cli().keys()


def test_a_broker_that_is_away_is_said(cli: Cli, nowhere: str):
    """Without its password, before anything is started."""
    result = cli("compare", "app:workload", "--backends", "celery", "--redis", nowhere)

    assert 1 == result.exit_code
    assert "is away" in result.stderr
    assert "hush" not in result.stderr


def test_a_namespace_in_use_is_refused(cli: Cli, bridge: Bridge, redis_server: RedisServer):
    """It stays as it is."""
    redis_server.cli().set("{mine-1-1}:schema", "3")

    result = cli("compare", "app:workload", "--backends", "celery", "--namespace", "mine")

    assert 1 == result.exit_code
    assert "the namespace 'mine-1-1' is in use" in result.stderr
    assert [b"{mine-1-1}:schema"] == redis_server.cli().keys()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_ended_and_leaves_nothing(
    cli: Cli, redis_server: RedisServer, engine: str, number: signal.Signals, tmp_path: Path
):
    """Ctrl-C in the middle, and again while it cleans up: no process, no queue, no key."""
    command = [sys.executable, "-m", "taskbridge", "compare", "app:endless", "--backends", engine, "--processes", "1"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            bridges = psutil.Process(process.pid)
            until(lambda: len(bridges.children(recursive=True)) >= 4, 90, "producer, supervisor, template and child")
            until(lambda: _runs(redis_server), 90, "the task runs")
            family = bridges.children(recursive=True)
            process.send_signal(number)
            time.sleep(0.2)
            process.send_signal(number)
            _, said = process.communicate(timeout=90)
        except BaseException:
            process.kill()  # else it would be waited for
            raise

    assert process.returncode != 0
    assert "are being removed" in said
    assert [] == [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert [] == redis_server.cli().keys()


def _runs(server: RedisServer) -> bool:
    return any(server.cli().zcard(key) for key in server.cli().keys("*:leases"))


def test_the_page_repeats_the_command_without_passwords(cli: Cli, tmp_path: Path, redis_server: RedisServer):
    """Whoever gets the page can do it again."""
    command = ["compare", "app:workload", "--backends", "celery", "--rounds", "1", "--processes", "1", "--json"]
    url = redis_server.url().replace("redis://", "redis://default:hush@")
    redis_server.cli().acl_setuser("default", enabled=True, nopass=True)

    done = subprocess.run(
        [sys.executable, "-m", "taskbridge", *command, "--redis", url],
        cwd=tmp_path, check=False, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip

    assert 0 == done.returncode, done.stderr
    told = json.loads(done.stdout)["command"]
    assert told.startswith("taskbridge compare app:workload --backends celery --rounds 1")
    assert "hush" not in done.stdout + done.stderr
