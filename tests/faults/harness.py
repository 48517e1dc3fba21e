"""The stage of a fault test: a Redis, workers of one engine as real processes, producers, and the evidence.

Nothing here asks taskbridge what it did. A number is lost when its ``enqueue`` returned and it never came to an end;
repeated for each start beyond its first; doubled for each effect beyond its first.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field
from functools import partial, update_wrapper
from itertools import product
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil

from taskbridge import Bridge, Settings, Task, TaskbridgeError

from ..servers import LEASH, RedisServer, until

ROOT = Path(__file__).parent.parent.parent

ENGINES = ("celery", "dramatiq")

TASKS = "tests.faults.tasks"
QUEUE = "faults"

#: How long a worker may take to serve, and to go, seconds: two cores, shared.
START_S = 30.0
STOP_S = 30.0


@dataclass(slots=True)
class Tally:
    """What the evidence says of one run; ``more`` is what else the case counts."""

    sent: int
    lost: int
    repeated: int
    doubled: int
    seconds: float
    more: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        figures = {**asdict(self), **self.more}
        return ", ".join(f"{name} {value}" for name, value in figures.items() if name != "more")


S = TypeVar("S", bound="Stage")

#: What became of scenarios that were played at once: by name and engine.
Played = dict[tuple[str, str], Future[Tally]]


def named(name: str, scenario: Callable[..., Tally], **how: object) -> Callable[[Stage], Tally]:
    """A scenario with its figures filled in."""
    filled = update_wrapper(partial(scenario, **how), scenario)
    filled.__name__ = name
    return filled


class Evidence:
    """What the tasks wrote down, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.starts: dict[int, list[float]] = {}
        self.ends: dict[int, list[float]] = {}
        self.fails: dict[int, list[float]] = {}
        self.others: dict[str, set[int]] = {}
        self._read = 0
        self._lock = threading.Lock()
        with closing(sqlite3.connect(folder / "effects.sqlite3")) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE effects (n INTEGER NOT NULL)")
        (folder / "lines").touch()

    def look(self) -> Self:
        """Read what is new."""
        with self._lock, (self.folder / "lines").open("rb") as lines:
            lines.seek(self._read)
            new = lines.read()
            new = new[: new.rfind(b"\n") + 1]
            self._read += len(new)
            for line in new.splitlines():
                word, n, at = line.split()
                told = {b"start": self.starts, b"done": self.ends, b"fail": self.fails}.get(word)
                if told is None:
                    self.others.setdefault(word.decode(), set()).add(int(n))
                else:
                    told.setdefault(int(n), []).append(float(at))
        return self

    def ended(self) -> set[int]:
        """The numbers that came to an end."""
        return set(self.look().ends)

    def effects(self) -> Counter[int]:
        """How often each number had its effect."""
        with closing(sqlite3.connect(self.folder / "effects.sqlite3", timeout=30)) as database:
            return Counter(dict(database.execute("SELECT n, count(*) FROM effects GROUP BY n")))

    def tally(self, sent: Iterable[int], seconds: float, with_effect: Iterable[int] = (), **more: Any) -> Tally:
        """Count. ``with_effect`` are those whose end is their effect, not their last line."""
        effects, sent, inboxed = self.effects(), set(sent), set(with_effect)
        missing = {n for n in sent if (n not in effects if n in inboxed else n not in self.ended())}
        return Tally(
            sent=len(sent),
            lost=len(missing),
            repeated=sum(len(starts) - 1 for starts in self.look().starts.values()),
            doubled=sum(count - 1 for count in effects.values()),
            seconds=round(seconds, 1),
            more=more,
        )


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
        self._store_url = stage.server.url() if stage.apart else ""
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
        """SIGKILL to the supervisor; returns how many children it takes along."""
        everyone = self.everyone()
        send(everyone[:1], signal.SIGKILL)
        self.wait(STOP_S)
        until(lambda: not any(map(lives, everyone)), 2, f"no orphan of {everyone} is left")
        return len(everyone) - 2

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = STOP_S) -> int:
        """Ask it to end; returns the exit code when it has."""
        send([self.pid], how)
        return self.wait(seconds)

    def read(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

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

    def __init__(self, engine: str, url: str, store_url: str = "") -> None:
        self.bridge = Bridge(Settings(backend=engine, broker_url=url, store_url=store_url))
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

    def __enter__(self) -> Self:
        self._stack.enter_context(self.server)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def worker(self, **options: Any) -> Worker:
        """Start another worker; see ``Worker``."""
        worker = Worker(self, f"worker-{len(self.workers) + 1}", **options)
        self.workers.append(worker)
        self._stack.callback(worker.close)
        return worker.start()

    def producer(self, url: str = "", engine: str = "") -> Producer:
        """Make a producer."""
        store_url = self.server.url() if self.apart else ""
        producer = Producer(engine or self.engine, url or self.broker_url(), store_url)
        self._stack.callback(producer.bridge.close)
        return producer

    def until_done(self, numbers: Iterable[int], seconds: float, effects: Iterable[int] = ()) -> None:
        """Wait until all of these have ended and those have had their effect, or the time is over; the tally tells."""
        wanted, wanted_effects, deadline_s = set(numbers), set(effects), time.monotonic() + seconds

        def done() -> bool:
            over = time.monotonic() > deadline_s
            return over or (wanted <= self.evidence.ended() and wanted_effects <= self.evidence.effects().keys())

        until(done, seconds + 10, "the evidence is read")


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
