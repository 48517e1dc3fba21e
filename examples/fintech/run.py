"""One engine's run: an empty database, a worker, a producer; watched until all is done, then verified.

Worker and producer are processes of their own, told which engine by ``TASKBRIDGE_BACKEND``: nothing else differs.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from . import database, measure
from .brokers import Servers
from .database import Database
from .groups import GROUPS, MODULES, QUEUES
from .metrics import Counts, Scrapes, Told
from .moving import NEW, OLD, Mover
from .plain import Expected
from .process import Process, answer, started
from .reports import send_reports
from .server import free_port
from .tasks import hello, settle
from .verify import Verdict, verify
from .watch import POLL_S, Show, Watch, totals

GRACE_S = 10

#: Where the processes of a run write what they have counted; prometheus_client's own variable.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

#: How long after the last effect a poison row may still be on its way to the dead letters.
SETTLE_S = 20.0

#: How long a worker may take to meet what is seldom: its children are replaced meanwhile, seconds.
SELDOM_S = 60.0

#: Where a message can be while the store keeps it, the dead letters apart.
KEPT = ("ready", "delayed", "parked", "locked", "throttled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What every engine is given; ``mover`` moves it from one to the other meanwhile."""

    file: Path
    expected: Expected
    folder: Path
    processes: int
    database_url: str
    keep: bool
    metrics: bool = False
    mover: Callable[[Mapping[str, str], Path], Mover] | None = None


class Seen(NamedTuple):
    """What was seen from outside while a worker ran.

    ``night`` is the id of the run of the reports; ``told`` is what it told Prometheus, if it was asked.
    """

    seconds: float
    peak_mb: float
    dead: int
    left: int
    night: str
    told: Told | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one engine's run has come to."""

    backend: str
    tasks: int
    bookings: int
    transfers: int
    seconds: float
    measures: measure.Measures
    poison: int
    dead: int
    left: int
    peak_mb: float
    verdict: Verdict
    told: Told | None = None
    counts: Counts | None = None

    @property
    def good(self) -> bool:
        """Everything is done, once, to the cent; what cannot be is dead, and nothing is left on its way."""
        return not self.faults

    @property
    def faults(self) -> list[str]:
        """All that is wrong, in words."""
        left = [f"{self.left} messages are still on their way"] if self.left else []
        poison = [f"{self.poison} poison rows, {self.dead} dead letters"] if self.poison != self.dead else []
        told = self.told.faults(self.counts) if self.told and self.counts else []
        return [*left, *poison, *self.verdict.faults, *told]


def run(backend: str, workload: Workload, servers: Servers, show: Show) -> Result:
    """Run the whole workload on one engine.

    Raises:
        ProcessFailed: the worker or the producer did not get going, or died.
    """
    name = f"fintech-{backend}-{os.urandom(4).hex()}"
    folder = workload.folder / backend
    (folder / "measures").mkdir(parents=True)
    schema = name.replace("-", "_")
    url = database.fresh(workload.database_url, schema, folder)
    environment = _environment(backend, name, servers, url, folder / "measures")
    if workload.metrics:
        (folder / "metrics").mkdir()
        environment |= {FOLDER: str(folder / "metrics"), "TASKBRIDGE_OBSERVERS": "metrics"}
    try:
        seen = _import(workload, environment, folder, Database(url), show)
        return _result(backend, workload, folder, Database(url), seen)
    finally:
        if not workload.keep:
            database.remove(workload.database_url, schema)
        servers.forget(name)


def _import(workload: Workload, environment: Mapping[str, str], folder: Path, db: Database, show: Show) -> Seen:
    """Start, watch and stop."""
    address = f"127.0.0.1:{free_port()}" if workload.metrics else ""
    scrapes = Scrapes(address) if address else None
    worker_command = [
        *("taskbridge", "worker", *MODULES, "examples.fintech.measure"),
        *(*_groups(workload.processes), "--grace", str(GRACE_S)),
        *(["--metrics", address, "--metrics-celery"] if address else []),
        *(["--backends", f"{OLD},{NEW}"] if workload.mover else []),
    ]
    mover = workload.mover(environment, folder / "measures") if workload.mover else None
    producer_command = ["examples.fintech.produce", str(workload.file), "--wait"]
    try:
        with started(worker_command, environment, folder / "worker.out") as worker:
            if mover:
                mover.begin()
            with started(producer_command, environment, folder / "receipts.txt") as producer:
                shown = _both(mover or show, scrapes.during) if scrapes else mover or show
                watch = Watch(db, totals(workload.expected), worker, producer, shown)
                night = ""
                if watch.until_done("reconciled", "rows refused"):
                    night = _night(environment)
                    watch.until_done()
            dead, left = _settled(environment, len(workload.expected.refused))
            told = _told(scrapes, worker, environment) if scrapes else None
            if mover:
                mover.end()
            return Seen(watch.seconds, watch.peak_mb, dead, left, night, told)
    finally:
        db.close()


def _both(show: Show, look: Callable[[], None]) -> Show:
    """Return what is shown all and has a look each time, once the worker works."""

    def shown(counts: tuple[int, ...]) -> None:
        show(counts)
        if any(counts):
            look()

    return shown


def _told(scrapes: Scrapes, worker: Process, environment: Mapping[str, str]) -> Told:
    """Have the worker meet what the workload never does, and return what it tells then."""
    unknown = answer(["examples.fintech.seldom"], environment).strip()
    answer(["taskbridge", "control", "cancel", unknown], environment)
    worker.reload()
    return scrapes.end(time.monotonic() + SELDOM_S)


def _night(environment: Mapping[str, str]) -> str:
    """Let two o'clock come now: start the reports as their schedule does, and return the id of their run."""
    return str(
        json.loads(answer(["taskbridge", "schedules", "run-now", send_reports.name, "--json"], environment))["id"]
    )


def _groups(processes: int) -> Iterator[str]:
    """The options that share processes out: as many for each group, and what is over for the last ones."""
    for place, (name, queues) in enumerate(GROUPS.items()):
        yield from ("--group", f"{name}={(processes + place) // len(GROUPS)}:{','.join(queues)}")


def _settled(environment: Mapping[str, str], poison_rows: int) -> tuple[int, int]:
    """Wait until the poison rows are dead and nothing is left on its way; return how many are dead, and how many left.

    A second copy of a message would run by now, and its effect would be found.
    """
    deadline = time.monotonic() + SETTLE_S
    while True:
        left = _left(json.loads(answer(["taskbridge", "queues", "--json", "--queues", ",".join(QUEUES)], environment)))
        dead = int(json.loads(answer(["taskbridge", "dead", "list", "--json"], environment))["total"])
        if (not left and dead >= poison_rows) or time.monotonic() > deadline:
            return dead, left
        time.sleep(POLL_S)


def _left(depths: dict[str, Any]) -> int:
    """How many messages wait or run anywhere."""
    kept = sum(queue[state] for queue in depths["queues"] for state in KEPT)
    sides = [side for queue in depths["queues"] for side in queue["backends"].values()]
    return int(kept + sum((side["waiting"] or 0) + side["running"] for side in sides))


def _environment(backend: str, name: str, servers: Servers, database_url: str, measures: Path) -> dict[str, str]:
    """What the processes are told; no other setting of taskbridge reaches them."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TASKBRIDGE_")}
    return inherited | {
        "TASKBRIDGE_BACKEND": backend,
        "TASKBRIDGE_BROKER_URL": servers.broker_url,
        "TASKBRIDGE_STORE_URL": servers.store_url,
        "TASKBRIDGE_NAMESPACE": name,
        "TASKBRIDGE_QUEUE_PREFIX": f"{name}-",
        database.VARIABLE: database_url,
        measure.VARIABLE: str(measures),
    }


def _result(backend: str, workload: Workload, folder: Path, db: Database, seen: Seen) -> Result:
    """Read the evidence, now that nothing runs any more."""
    receipts = [*(folder / "receipts.txt").read_text("ascii").split(), *([seen.night] if seen.night else [])]
    ((ended,),) = db.rows("SELECT COUNT(DISTINCT message_id) FROM effects WHERE effect <> 'hello'")
    measures = measure.read(folder / "measures", leave_out=hello.name, polls=settle.name)
    counts = Counts(
        effective=int(ended),
        dead=seen.dead,
        retried=measures.retries,
        rescheduled=measures.rescheduled + measures.polls,
        locked=measures.locked,
        throttled=measures.throttled,
    )
    try:
        return Result(
            backend=backend,
            tasks=int(ended) + seen.dead,
            bookings=len(workload.expected.booked),
            transfers=len(workload.expected.settled),
            seconds=seen.seconds,
            measures=measures,
            poison=len(workload.expected.refused),
            dead=seen.dead,
            left=seen.left,
            peak_mb=seen.peak_mb,
            verdict=verify(db, workload.expected, receipts),
            told=seen.told,
            counts=counts,
        )
    finally:
        db.close()
