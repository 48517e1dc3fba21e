"""What reaches Sentry, from real workers over HTTP: one report per final failure, joined to who has sent the task."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from celery import Celery
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from taskbridge import Bridge, Settings, chain
from tests.envelopes import Envelopes, Nowhere
from tests.servers import RedisServer, until

from .running import bands_of, commands_of, running

pytestmark = pytest.mark.service("redis")

HERE = "tests.conformance"
TASKS = f"{HERE}.reported"
QUEUE = "reported"

ENGINES = ("celery", "dramatiq")


def own(engine: str) -> list[list[str]]:
    """The engine's own command on the application that has tasks of both kinds, and a relay."""
    bands = [f"{QUEUE}-high", QUEUE, f"{QUEUE}-low"]
    command = {
        "celery": f"celery -A {HERE}.reported_celery worker -c 1 --without-mingle -Q {','.join(bands)}",
        "dramatiq": f"dramatiq {HERE}.reported_dramatiq:broker -p 1 -t 1 -Q {' '.join(bands)}",
    }
    return [command[engine].split(), ["taskbridge", "relay"]]


class Stage:
    """A producer with a client of its own, which samples nothing, and what the workers' Sentry was told."""

    def __init__(self, engine: str, url: str, told: Envelopes, log: Path) -> None:
        self.told = told
        self.log = log
        self.url = url
        self.processes: list[subprocess.Popen[bytes]] = []
        self.bridge = Bridge(Settings(backend=engine, broker_url=url, observers=("sentry",)))

    @property
    def trace(self) -> str:
        """The trace that goes on here."""
        return (sentry_sdk.get_traceparent() or "").partition("-")[0]

    def send(self, name: str, *args: Any, **kwargs: Any) -> str:
        return self.bridge.external(f"reported.{name}", queue=QUEUE).enqueue(*args, **kwargs).id

    def until_reported(self, count: int = 1) -> None:
        """Wait until so much was told."""
        try:
            until(
                lambda: count <= len(self.told.items("event")), 60, f"{count} reports; there are {self.told.messages}"
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-5000:]}") from None

    def until_done(self, id: str) -> None:
        """Wait until this message has come to its end."""

        def done() -> bool:
            record = self.bridge.store.messages.look(id)
            return record is not None and record.state == "DONE"

        until(done, 60, f"{id} is done")

    def settled(self, word: str = "after") -> None:
        """Wait until all that was sent before has been told of: one process takes one after the other."""
        self.send("word", word)
        self.told.until_told(word)


@contextmanager
def staged(
    engine: str,
    commands: list[list[str]],
    url: str,
    log: Path,
    answer: Callable[[], object] = lambda: None,
    **environment: str,
) -> Iterator[Stage]:
    """Workers that tell a server of ours; when the block is left they have ended, and all they had is there."""
    with Envelopes(answer) as told:
        words = {name: value for name, value in os.environ.items() if not name.startswith(("TASKBRIDGE_", "SENTRY_"))}
        words |= {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": url, "TASKBRIDGE_OBSERVERS": "sentry"}
        words |= {"PYTHONPATH": str(Path(__file__).parent.parent.parent), "REPORTED_DSN": told.dsn, **environment}
        words = {name: value.replace("{dsn}", told.dsn) for name, value in words.items() if value}
        sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", default_integrations=False, transport=Nowhere)
        stage = Stage(engine, url, told, log)
        try:
            with sentry_sdk.isolation_scope() as scope, running(commands, words, log) as stage.processes:
                scope.set_new_propagation_context()
                yield stage
        finally:
            stage.bridge.close()
            sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    redis_server.cli().flushall()
    return redis_server.url()


#: By engine, command, whether the SDK's integration for the engine is on, and whether traces are taken. Where none is,
#: one command of each engine is enough each time.
CASES = [
    *product(ENGINES, ("ours", "own command"), ("on", "off"), ("on",)),
    ("celery", "ours", "on", "off"),
    ("dramatiq", "own command", "on", "off"),
    pytest.param("celery", "own command", "on", "off", marks=pytest.mark.soak),
    pytest.param("dramatiq", "ours", "on", "off", marks=pytest.mark.soak),
]


@pytest.mark.parametrize(("engine", "kind", "native", "traces"), CASES)
def test_a_failing_task_is_one_report_in_the_trace_of_its_producer(
    engine: str, kind: str, native: str, traces: str, url: str, log: Path
):
    """On either engine, under either command, whether the SDK's integration for the engine is on or off.

    And one transaction per attempt where there are any; what is no failure is no report.
    """
    commands = commands_of(engine, "ours", TASKS, bands_of(QUEUE)) if kind == "ours" else own(engine)

    with staged(engine, commands, url, log, REPORTED_NATIVE=native, REPORTED_TRACES=traces) as stage:
        theirs = stage.trace
        id = stage.send("fails", 7, password="hunter2")
        stage.until_reported()
        stage.send("drops")
        stage.until_done(stage.send("later"))
        stage.settled()

    (error,) = stage.told.errors
    about = {"task": "reported.fails", "queue": QUEUE, "backend": engine, "attempt": "2", "message_id": id}
    assert about | {"of_attempt": "2"} == {name: error["tags"].get(name) for name in (*about, "of_attempt")}
    assert theirs == error["contexts"]["trace"]["trace_id"]
    assert {"account": 7, "password": "[Filtered]"} == error["contexts"]["taskbridge"]["arguments"]
    assert "hunter2" not in str(stage.told.items("event"))
    (value,) = error["exception"]["values"]
    assert ("ValueError", "no account 7", "taskbridge") == (value["type"], value["value"], value["mechanism"]["type"])
    assert "attempt 1 failed" in error["breadcrumbs"]["values"][0]["message"]
    runs = [(one["transaction"], one["contexts"]["trace"]["op"]) for one in stage.told.items("transaction")]
    names = ["drops", "fails", "fails", "later", "later", "word"]
    assert ([(f"reported.{name}", "queue.task") for name in names] if traces == "on" else []) == sorted(runs)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_task_of_the_engines_own_keeps_the_report_of_the_sdk(engine: str, url: str, log: Path):
    """It runs in the same process as ours, between two of ours that fail; we tell nothing of it."""
    with staged(engine, own(engine), url, log, REPORTED_NATIVE="on") as stage:
        for n in range(2):
            stage.send("fails", 1, password="x")
            stage.until_reported(2 * n + 1)
            if engine == "celery":
                Celery("native", broker=url, set_as_current=False).send_task("bare", queue=QUEUE)
            else:
                RedisBroker(url=url).enqueue(Message(QUEUE, "bare", (), {}, {}))
            stage.until_reported(2 * n + 2)
        stage.settled()

    native = {"celery": "celery", "dramatiq": "logging"}[engine]  # Dramatiq's log is before the SDK's middleware
    told = [(one["exception"]["values"][-1]["type"], mechanism(one)) for one in stage.told.errors]
    assert [("RuntimeError", native)] * 2 + [("ValueError", "taskbridge")] * 2 == sorted(told)
    assert all("taskbridge" not in one["contexts"] for one in stage.told.errors if mechanism(one) == native)


@pytest.mark.parametrize("kind", ["ours", "own command"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_native_producers_trace_goes_on(engine: str, kind: str, url: str, log: Path):
    """A plain Celery or Dramatiq application with the SDK's integration calls one of our tasks by its name."""
    commands = commands_of(engine, "ours", TASKS, bands_of(QUEUE)) if kind == "ours" else own(engine)
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"sentry-trace": f"{trace}-b7ad6b7169203331", "baggage": f"sentry-trace_id={trace}"}

    with staged(engine, commands, url, log) as stage:
        call = {"account": 7, "password": "x"}
        if engine == "celery":  # as the integration does: around a fault of Celery's, in both places
            more = {"headers": {**headers, "headers": headers}, "queue": QUEUE}
            Celery("native", broker=url, set_as_current=False).send_task("reported.fails", kwargs=call, **more)
        else:
            options = {"_sentry_headers": headers}
            RedisBroker(url=url).enqueue(Message(QUEUE, "reported.fails", (), call, options))
        stage.until_reported()

    (error,) = stage.told.errors
    assert (trace, "2") == (error["contexts"]["trace"]["trace_id"], error["tags"]["attempt"])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_later_link_of_a_chain_fails_in_the_trace_of_the_chains_producer(engine: str, url: str, log: Path):
    """Though another worker process has sent it on its way, and after a delay."""
    with staged(engine, commands_of(engine, "ours", TASKS, bands_of(QUEUE), processes=2), url, log) as stage:
        first, second = (stage.bridge.task(name=f"reported.{name}", queue=QUEUE)(link) for name in ("first", "second"))
        theirs = stage.trace
        chain(first.s(5), second.using(delay=0.5).s()).enqueue()
        stage.until_reported()

    (error,) = stage.told.errors
    assert ("reported.second", theirs) == (error["tags"]["task"], error["contexts"]["trace"]["trace_id"])
    assert {"n": 5} == error["contexts"]["taskbridge"]["arguments"]


@pytest.mark.parametrize("client", ["of the application", "of the environment"])
@pytest.mark.parametrize("engine", ENGINES)
def test_what_only_the_supervisor_sees_fail_is_reported_too(engine: str, client: str, url: str, log: Path):
    """A hard timeout and a lost worker: in the trace of the producer, by the client that the template handed over."""
    words = {} if client == "of the application" else {"REPORTED_DSN": "", "SENTRY_DSN": "{dsn}"}

    with staged(
        engine, commands_of(engine, "ours", TASKS, bands_of(QUEUE)), url, log, REPORTED_TIMED="1", **words
    ) as stage:
        theirs = stage.trace
        slow, dies = stage.send("slow"), stage.send("dies")
        stage.until_reported(2)
        stage.settled()

    timeout, lost, _ = stage.told.items("event")
    assert {theirs} == {one["contexts"]["trace"]["trace_id"] for one in (timeout, lost)}
    assert (slow, "HardTimeout") == (timeout["tags"]["message_id"], timeout["exception"]["values"][-1]["type"])
    assert (dies, "reported.dies", engine) == tuple(lost["tags"][name] for name in ("message_id", "task", "backend"))
    assert "WorkerLost: its worker died or was away 1 times while running it" == lost["logentry"]["params"][-1]


@pytest.mark.parametrize("engine", ENGINES)
def test_children_of_a_template_that_has_sent_something_send_too(engine: str, url: str, log: Path):
    """Each by a thread of its own, though threads do not live through a fork."""
    with staged(
        engine, commands_of(engine, "ours", TASKS, bands_of(QUEUE), processes=2), url, log, REPORTED_EARLY="1"
    ) as stage:
        for n in range(4):
            stage.settled(f"word {n}")

    assert ["imported", *(f"word {n}" for n in range(4))] == stage.told.messages


@pytest.mark.parametrize("kind", ["ours", "own command"])
@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_held_at_the_end_is_sent(engine: str, kind: str, url: str, log: Path):
    """A worker that is told to end right after a failure, while Sentry is slow to answer: all of it arrives."""
    commands = commands_of(engine, "ours", TASKS, bands_of(QUEUE)) if kind == "ours" else own(engine)

    with staged(engine, commands, url, log, answer=partial(time.sleep, 0.1)) as stage:
        sent = [stage.send("word", str(n)) for n in range(5)]
        until(lambda: stage.told.messages, 60, "the first")
        for id in sent:  # what an engine's worker has fetched and not begun, it gives back
            stage.until_done(id)

    assert [str(n) for n in range(5)] == stage.told.messages


@pytest.mark.parametrize("engine", ENGINES)
def test_a_sentry_that_does_not_answer_costs_no_work(engine: str, url: str, log: Path):
    """Two hundred failures while nobody answers: each is dead as soon as ever, and the worker ends in time."""
    never = threading.Event()

    with staged(
        engine, commands_of(engine, "ours", TASKS, bands_of(QUEUE)), url, log, answer=partial(never.wait, 60)
    ) as stage:
        task = stage.bridge.external("reported.fails", queue=QUEUE)
        task.enqueue_many([(n, "x") for n in range(200)])
        until(lambda: 200 == len(stage.bridge.store.dead.list(500)), 60, "all are dead")
        ending_s = time.monotonic()
    never.set()

    assert 8 > time.monotonic() - ending_s
    assert "Traceback" not in [line[:9] for line in log.read_text().splitlines() if "sentry" in line]


@pytest.mark.parametrize("kind", ["ours", "own command"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_does_not_start_with_a_wrong_dsn(engine: str, kind: str, url: str, log: Path):
    """And says what is wrong with it."""
    commands = commands_of(engine, "ours", TASKS, bands_of(QUEUE)) if kind == "ours" else own(engine)
    words = {"REPORTED_DSN": "", "SENTRY_DSN": "https://sentry.test/1"}

    with staged(engine, commands[:1], url, log, **words) as stage:
        code = stage.processes[0].wait(timeout=60)

    assert code, log.read_text()
    assert "SENTRY_DSN: expected a DSN such as" in log.read_text()
    assert "Missing public key" in log.read_text()


def link(n: int) -> int:
    """What both links look like to whoever chains them."""
    return n


def mechanism(error: Any) -> str:
    """Who has told of it."""
    return str(error["exception"]["values"][-1]["mechanism"]["type"])
