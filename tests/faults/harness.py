"""The stage of a fault test: a Redis, workers of one engine as real processes, producers, and the evidence."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial, update_wrapper
from itertools import product
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil

from taskbridge import Bridge, Settings, Task, TaskbridgeError

from ..servers import LEASH, RedisServer, until
from .evidence import Evidence, Tally

ROOT = Path(__file__).parent.parent.parent

ENGINES = ("celery", "dramatiq")

TASKS = "tests.faults.tasks"
QUEUE = "faults"

#: How long a worker may take to serve, and to go, seconds: two cores, shared.
START_S = 120.0
STOP_S = 60.0

#: How long what is only waited for may take, seconds: much longer than a busy machine needs. What is to be in time is
#: measured, and ``servers.fastest`` measures it again.
PATIENCE_S = 90.0

#: How often the evidence is read while a test waits for it, seconds.
LOOK_S = 0.05

#: What the log of a worker says when what a process ran runs again only because its lease has lapsed.
LAPSED = "lapsed: it runs again"


S = TypeVar("S", bound="Stage")

#: What became of scenarios that were played at once: by name and engine.
Played = dict[tuple[str, str], Future[Tally]]


def named(name: str, scenario: Callable[..., Tally], **how: object) -> Callable[[Stage], Tally]:
    """A scenario with its figures filled in."""
    filled = update_wrapper(partial(scenario, **how), scenario)
    filled.__name__ = name
    return filled


class Worker:
    """``taskbridge worker`` in a session of its own; its log is kept over restarts.

    Args:
        stage: what it serves.
        name: of its log.
        engine: its default backend.
        url: its broker. Defaults to the stage's.
        processes: how many children.
        groups: their groups, as the command has them; ``processes`` is how many they are together.
        tasks: the module of its tasks, which is imported from ``directory``.
        options: further arguments of the command.
        constants: see ``launch``.
        environment: more variables.
    """

    def __init__(
        self,
        stage: Stage,
        name: str,
        *,
        engine: str = "",
        url: str = "",
        processes: int = 2,
        groups: Iterable[str] = (),
        tasks: str = TASKS,
        directory: Path = ROOT,
        options: Iterable[str] = (),
        constants: Mapping[str, float] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = stage.folder / f"{name}.log"
        self.engine = engine or stage.engine
        self._url = url or stage.broker_url()
        self._store_url = stage.store_url()
        self._evidence = stage.evidence.folder
        self._processes = processes
        many = [f"--group={group}" for group in groups] or ["--processes", str(processes)]
        self._arguments = ["worker", tasks, "--chdir", str(directory), *many, *options]
        self._constants = dict(constants or {})
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it; returns when all its children are there."""
        command = [sys.executable, "-m", "tests.faults.launch", json.dumps(self._constants), *self._arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TASKBRIDGE_")} | {
            "TASKBRIDGE_BACKEND": self.engine,
            "TASKBRIDGE_BROKER_URL": self._url,
            "TASKBRIDGE_STORE_URL": self._store_url,
            "FAULTS_EVIDENCE": str(self._evidence),
            "PYTHONPATH": str(ROOT),
            **self._environment,
        }
        leashed = [sys.executable, "-I", "-S", "-c", LEASH, str(os.getpid()), *command]
        said = len(self.read())
        with self.log.open("ab") as out:
            nothing = subprocess.DEVNULL
            self._process = subprocess.Popen(
                leashed, cwd=ROOT, env=environment, stdin=nothing, stdout=out, stderr=out, start_new_session=True
            )
        until(lambda: self.lives() and "serving" in self.read()[said:], START_S, f"{self} serves")
        until(lambda: self.lives() and len(self.children()) == self._processes, START_S, f"{self} has its children")
        return self

    @property
    def pid(self) -> int:
        """The supervisor's."""
        assert self._process, "it does not run"
        return self._process.pid

    def lives(self) -> bool:
        """Whether the supervisor does; it is a failure when it ended by itself with an error."""
        code = self._process.poll() if self._process else 0
        assert not code, f"the worker ended with {code}: {self.read()[-3000:]}"
        return code is None

    def templates(self) -> list[int]:
        """The templates' pids, the oldest first; during a reload there are several."""
        return [one.pid for one in _below(self.pid) if _runs(one) and "taskbridge.worker.template" in _command(one)]

    def template(self) -> int:
        """The template's pid; 0 when there is none."""
        return next(iter(self.templates()), 0)

    def children(self) -> list[int]:
        """The pids of the children that run."""
        return [one.pid for template in self.templates() for one in _below(template) if _runs(one)]

    def everyone(self) -> list[int]:
        """All its pids, the supervisor's first."""
        return [self.pid, *self.templates(), *self.children()]

    def reload(self) -> None:
        """Ask for new code."""
        send([self.pid], signal.SIGHUP)

    def kill_a_child(self) -> int:
        """SIGKILL to a random child; returns how many were hit."""
        children = self.children()
        return send([random.choice(children)], signal.SIGKILL) if children else 0

    def kill(self) -> int:
        """SIGKILL to the supervisor; returns how many children it takes along. None comes while they are counted."""
        send([self.pid], signal.SIGSTOP)
        send(self.templates(), signal.SIGSTOP)
        everyone = self.everyone()
        send(everyone[:1], signal.SIGKILL)
        self.wait(STOP_S)
        until(lambda: not any(map(lives, everyone)), PATIENCE_S, f"no orphan of {everyone} is left")
        return len(everyone) - 2

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = STOP_S) -> int:
        """Ask it to end; returns the exit code when it has."""
        send([self.pid], how)
        return self.wait(seconds)

    def read(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def complaints(self) -> list[str]:
        """The lines of its log that do not tell what went well."""
        return [line for line in self.read().splitlines() if " INFO " not in line]

    def close(self) -> None:
        """End whatever of it is left."""
        if self._process is None or self._process.poll() is not None:
            return
        everyone = self.everyone()
        send(everyone, signal.SIGKILL)
        self.wait(STOP_S)

    def wait(self, seconds: float) -> int:
        """Wait until it has ended; returns the exit code."""
        assert self._process
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"expected {self} to end within {seconds} s: {self.read()[-3000:]}") from None

    def __repr__(self) -> str:
        return f"worker {self.log.stem} ({self.engine})"


class Producer:
    """Enqueues, and keeps the numbers whose ``enqueue`` returned; ``unsure`` are those whose ``enqueue`` raised."""

    def __init__(self, engine: str, url: str, store_url: str = "", **settings: Any) -> None:
        self.bridge = Bridge(Settings(backend=engine, broker_url=url, store_url=store_url, **settings))
        self.sent: set[int] = set()
        self.unsure: set[int] = set()

    def task(self, name: str, **options: Any) -> Task[..., Any]:
        """A task of ``tasks.py``."""
        return self.bridge.external(f"{TASKS}.{name}", queue=QUEUE, **options)

    def send(self, name: str, numbers: Iterable[int], *args: Any, **options: Any) -> None:
        """Enqueue a task once for each number; what raises is nobody's promise."""
        task = self.task(name, **options)
        for n in numbers:
            try:
                task.enqueue(n, *args)
            except TaskbridgeError:
                self.unsure.add(n)
            else:
                self.sent.add(n)

    def send_all(self, name: str, numbers: Iterable[int], *args: Any, **options: Any) -> None:
        """Enqueue in bulk; all of it or an error."""
        numbers = list(numbers)
        assert len(numbers) == self.task(name, **options).enqueue_many((n, *args) for n in numbers).created
        self.sent.update(numbers)


class Stage:
    """Everything of one test and one engine; all ends with it.

    Args:
        engine: celery or dramatiq.
        folder: where evidence and logs lie.
        broker: says where the broker is. Defaults to the Redis that is the store, too.
        redis: see ``RedisServer``.
    """

    def __init__(self, engine: str, folder: Path, *, broker: Callable[[], str] | None = None, **redis: Any) -> None:
        self.engine = engine
        self.folder = folder
        (folder / "evidence").mkdir(parents=True)
        self.evidence = Evidence(folder / "evidence")
        self.server = RedisServer(**({"appendonly": True} | redis))
        self.apart = broker is not None
        self.broker_url = broker or self.server.url
        self.workers: list[Worker] = []
        self.kills = 0
        self._stack = ExitStack()
        self._left = False

    def __enter__(self) -> Self:
        self._stack.enter_context(self.server)
        return self

    def __exit__(self, *_: object) -> None:
        self._left = True  # after Ctrl-C a scenario's thread may wait yet
        self._stack.close()

    def worker(self, **options: Any) -> Worker:
        """Start another worker; see ``Worker``."""
        worker = Worker(self, f"worker-{len(self.workers) + 1}", **options)
        self.workers.append(worker)
        self._stack.callback(worker.close)
        return worker.start()

    def store_url(self) -> str:
        """Where the store is; empty where it is the broker."""
        return self.server.url() if self.apart else ""

    def producer(self, url: str = "", engine: str = "", **settings: Any) -> Producer:
        """Make a producer, with more settings."""
        producer = Producer(engine or self.engine, url or self.broker_url(), self.store_url(), **settings)
        self._stack.callback(producer.bridge.close)
        return producer

    def until_done(self, numbers: Iterable[int], effects: Iterable[int] = (), *, quiet_s: float = PATIENCE_S) -> None:
        """Wait until all of these have ended and those have had their effect; the tally tells.

        Given up where none of them has moved for ``quiet_s``; what the workers said is printed then.
        """
        wanted, wanted_effects = set(numbers), set(effects)
        left, moved_s = -1, time.monotonic()
        while not self._left and (missing := self._missing(wanted, wanted_effects)):
            if missing != left:
                left, moved_s = missing, time.monotonic()
            if time.monotonic() > moved_s + quiet_s:
                print(f"{missing} are missing, and nothing has moved for {quiet_s} s", *self._complaints(), sep="\n")
                return
            time.sleep(LOOK_S)

    def _missing(self, numbers: set[int], effects: set[int]) -> int:
        """How many of them have not ended, or have had no effect yet."""
        if missing := len(numbers - self.evidence.ended()):
            return missing
        return len(effects - self.evidence.effects().keys())

    def _complaints(self) -> list[str]:
        """The last of what each worker said of what went wrong."""
        return [f"{worker}: {line}" for worker in self.workers for line in worker.complaints()[-50:]]


def at_once(
    folder: Path,
    *scenarios: Callable[[Stage], Tally],
    broker: Callable[[str], Callable[[], str]] | None = None,
    **redis: Any,
) -> Played:
    """Play scenarios that mostly wait, each on both engines and on stages of their own, all at the same time.

    ``broker`` gives a stage of this name one; it is the stage's Redis otherwise.
    """
    with ExitStack() as stack:
        stages = {}
        for scenario, engine in product(scenarios, ENGINES):
            url = broker(f"{scenario.__name__}-{engine}") if broker else None
            stage = Stage(engine, folder / scenario.__name__ / engine, broker=url, **redis)
            stages[scenario, engine] = stack.enter_context(stage)
        with ThreadPoolExecutor(len(stages)) as pool:
            return {(one.__name__, engine): pool.submit(one, stage) for (one, engine), stage in stages.items()}


def play(folder: Path, kind: type[S], *scenarios: Callable[[S], Tally], **redis: Any) -> Played:
    """The same on stages of another kind."""
    with ExitStack() as stack:
        stages = {
            (scenario, engine): stack.enter_context(kind(engine, folder / scenario.__name__ / engine, **redis))
            for scenario in scenarios
            for engine in ENGINES
        }
        with ThreadPoolExecutor(len(stages)) as pool:
            return {(one.__name__, engine): pool.submit(one, stage) for (one, engine), stage in stages.items()}


def send(pids: Iterable[int], how: signal.Signals) -> int:
    """Send a signal to processes; returns how many were there."""
    hit = 0
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, how)
            hit += 1
    return hit


def lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _below(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _runs(process: psutil.Process) -> bool:
    return lives(process.pid)
