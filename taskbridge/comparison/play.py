"""One run: a ground, a producer that is ready, a worker that serves; then the workload, until nothing is left of it.

The worker is ``taskbridge worker`` as anyone starts it, but for the observer that writes records.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from ..announcement import announced
from ..clock import SystemClock, milliseconds
from ..config import PREFIX, Settings
from ..errors import ConfigError
from . import records
from .family import CAN_LOOK, Meter, usage
from .follow import Follower, Show
from .ground import Ground, ground
from .measures import Run, curves_of, values_of
from .processes import GRACE_S, ComparisonFailed, Process, started
from .producer import Enqueuing, Order, Ready, Refused, Word
from .sides import Side

T = TypeVar("T", Ready, Enqueuing)

POLL_S = 0.1

#: How long a worker or a producer may take to come up, seconds.
START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every side is given. ``settings`` are the user's own."""

    order: Order
    processes: int
    timeout_s: float
    settings: Settings


def play(plan: Plan, side: Side, name: str, number: int, show: Show) -> Run:
    """Run the workload once on one side, in the namespace ``name``, as its round ``number``.

    Raises:
        ConfigError: the namespace is in use, or the workload is none.
        StoreUnavailable, BrokerUnavailable: no answer.
        ComparisonFailed: a process died, or messages have not ended in time.
    """
    with (
        tempfile.TemporaryDirectory(prefix="taskbridge-compare-") as folder,
        ground(name, side, plan.settings) as place,
    ):
        place.refuse_used()
        try:
            return Scene(plan, side, place, Path(folder), show).play(number)
        finally:
            place.remove()


class Scene:
    """The processes of a run, and who follows them."""

    def __init__(self, plan: Plan, side: Side, place: Ground, folder: Path, show: Show) -> None:
        self._plan = plan
        self._side = side
        self._place = place
        self._folder = folder
        self._clock = SystemClock()
        self._follower = Follower(place.bridge, place.queues, folder, self._clock, show)
        self._environment = environment_of(place.bridge.settings, folder)

    def play(self, number: int) -> Run:
        """Start, enqueue, follow until nothing is left, stop; returns what was measured."""
        load, tally = os.getloadavg()[0], self._follower.tally
        order = msgspec.json.encode(self._plan.order).decode()
        log = self._folder / "producer.log"
        with started(["taskbridge.comparison.producer", order], self._environment, log, talks=True) as producer:
            self._place.take(self._hear(producer, Ready).queues)
            with started(["taskbridge", *self._worker()], self._environment, self._folder / "worker.log") as worker:
                self._until_it_serves(worker)
                meter = Meter(worker.pid, self._clock.monotonic_s)
                producer.tell(b"go")
                calls = self._follow(producer, worker, meter)
        self._follower.look()
        lost = self._follower.lost()
        values = values_of(tally, lost=lost, cpu_s=meter.cpu_s, peak_mb=meter.peak_mb, grown_mb=meter.grown_mb)
        return Run(side=self._side.name, round=number, load=load, calls=calls, values=values, curves=curves_of(tally))

    def _worker(self) -> list[str]:
        order = self._plan.order
        return [
            *("worker", *order.modules, "--chdir", order.directory),
            *("--processes", str(self._plan.processes), "--grace", str(GRACE_S)),
        ]

    def _until_it_serves(self, worker: Process) -> None:
        """Wait until all its processes are there: the supervisor and the template, and those that run tasks."""
        wanted, deadline_s = self._plan.processes + 2, self._clock.monotonic_s() + START_S
        store = self._place.bridge.store
        while not (announced(store) and (not CAN_LOOK or usage(worker.pid).processes >= wanted)):
            if worker.ended() or self._clock.monotonic_s() > deadline_s:
                raise ComparisonFailed(f"the worker does not serve after {START_S:.0f} s; {worker.last_words()}")
            self._clock.sleep(POLL_S)

    def _follow(self, producer: Process, worker: Process, meter: Meter) -> int:
        """Look again and again until the workload has returned and nothing is left; returns how many calls it made."""
        calls, deadline_s = 0, self._clock.monotonic_s() + self._plan.timeout_s
        while True:
            self._follower.look()
            meter.look()
            if not calls:
                calls = sum(said.calls for said in heard(producer, Enqueuing))
            elif self._follower.nothing_is_left():
                meter.look(at_once=True)
                return self._seen(calls)
            if worker.ended():
                raise ComparisonFailed(f"the worker has ended by itself; {worker.last_words()}")
            if self._clock.monotonic_s() > deadline_s:
                still = "" if calls else "the workload is still enqueuing, and "
                after = f"after {self._plan.timeout_s:g} s on {self._side.name}"
                raise ComparisonFailed(f"{after}: {still}{self._follower.missing()}")
            self._clock.sleep(POLL_S)

    def _seen(self, calls: int) -> int:
        if not self._follower.tally.lives:
            raise ConfigError(
                f"the workload says that it has enqueued {calls:,} calls, and none was seen on its bridge: "
                "enqueue on the one that it is given, or name the right one by --module"
            )
        return calls

    def _hear(self, producer: Process, kind: type[T]) -> T:
        deadline_s = self._clock.monotonic_s() + START_S
        while not (words := heard(producer, kind)):
            if producer.ended() or self._clock.monotonic_s() > deadline_s:
                raise ComparisonFailed(f"the workload was not ready after {START_S:.0f} s; {producer.last_words()}")
            self._clock.sleep(POLL_S)
        return words[0]


def heard(producer: Process, kind: type[T]) -> list[T]:
    """Return what a producer has said, without waiting; whether it has died is asked before.

    Raises:
        ConfigError: it refuses.
        ComparisonFailed: it has died.
    """
    ended, words = producer.ended(), []
    for line in producer.said():
        word = msgspec.json.decode(line, type=Word)
        if isinstance(word, Refused):
            raise ConfigError(word.why)
        if isinstance(word, kind):
            words.append(word)
    if ended and not words:
        raise ComparisonFailed(f"the workload has ended without a word; {producer.last_words()}")
    return words


def environment_of(settings: Settings, folder: Path) -> dict[str, str]:
    """What the processes are told; no other setting of taskbridge reaches them, not even one of a file."""
    nothing = folder / "nothing.toml"
    nothing.touch()
    words = ("backend", "broker_url", "store_url", "namespace", "queue_prefix", "max_payload", "store_wait")
    told = {name: str(getattr(settings, name)) for name in words} | {"config": str(nothing), "observers": records.NAME}
    timeouts_ms = {"timeout": settings.timeouts.soft_ms, "hard_timeout": settings.timeouts.hard_ms}
    timeouts_ms["store_wait_timeout"] = milliseconds(settings.store_wait_timeout)
    told |= {name: str(ms / 1000) for name, ms in timeouts_ms.items() if ms}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    ours = {f"{PREFIX}{name.upper()}": value for name, value in told.items()}
    return inherited | ours | {records.VARIABLE: str(folder)}
