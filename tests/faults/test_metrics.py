"""Metrics of real workers: what is served equals what ran, whatever happens to the processes that counted it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from ..conformance.running import bands_of, commands_of, running
from ..prometheus import Prometheus, Scraped
from ..servers import HOST, fastest, free_port, until
from .harness import PATIENCE_S, QUEUE, ROOT, Stage, Worker, send

pytestmark = pytest.mark.service("redis")

TASKS = "tests.faults.metric_tasks"

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


#: Enqueues, and has no task of its own.
PRODUCE = """
from taskbridge import external
task = external("{task}", queue="{queue}")
for call in {calls!r}:
    task.enqueue(*call)
"""


class Measured:
    """A worker that serves its metrics, and producers that count into the same folder."""

    def __init__(self, stage: Stage, folder: Path, *options: str, named: bool = True, tasks: str = TASKS) -> None:
        self.stage, self.folder = stage, folder
        folder.mkdir(exist_ok=True)
        self.address = f"{HOST}:{free_port()}"
        self.worker: Worker = stage.worker(
            tasks=tasks,
            options=["--metrics", self.address, *options],
            environment={FOLDER: str(folder)} if named else {},
        )

    def send(self, name: str, calls: Iterable[tuple[object, ...]]) -> None:
        """Enqueue from a process of its own."""
        code = PRODUCE.format(task=f"{TASKS}.{name}", queue=QUEUE, calls=list(calls))
        subprocess.run(
            [sys.executable, "-c", code], env=environment(self.stage, self.folder), cwd=ROOT, check=True, timeout=90
        )

    def scrape(self) -> Scraped:
        return Scraped(self.address)

    def replaced(self, reason: str) -> float:
        """How many children were."""
        return self.scrape()("taskbridge_worker_replaced_total", reason=reason)

    def replaced_all(self, old: Iterable[int]) -> bool:
        """Whether its two children are others than these."""
        children = self.worker.children()
        return len(children) == 2 and not {*old} & {*children}

    def until(self, **counts: int) -> Scraped:
        """Scrape until the sums of these series are so many, and return what is said then.

        A scrape reads one file after another, so what is counted beside these is there with the next.
        """

        def reached() -> bool:
            said = self.scrape()
            return {name: said(f"taskbridge_{name}_total") for name in counts} == counts

        until(reached, PATIENCE_S, f"{counts}; {self.scrape().families and self.worker.read()[-2000:]}")
        return self.scrape()

    def files(self) -> dict[str, int]:
        """The files of numbers, and their sizes; what only the living say comes and goes."""
        found = [path for path in self.folder.glob("*.db") if not path.name.startswith("gauge_live")]
        return {path.name: path.stat().st_size for path in found}


def environment(stage: Stage, folder: Path) -> dict[str, str]:
    """What a process is told that counts into this folder."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TASKBRIDGE_")}
    return inherited | {
        "TASKBRIDGE_BACKEND": stage.engine,
        "TASKBRIDGE_BROKER_URL": stage.server.url(),
        "TASKBRIDGE_OBSERVERS": "metrics",
        "FAULTS_EVIDENCE": str(stage.evidence.folder),
        "PYTHONPATH": str(ROOT),
        FOLDER: str(folder),
    }


def of(task: str, **more: str) -> Mapping[str, str]:
    return {"task": f"{TASKS}.{task}", **more}


def test_what_is_served_is_what_ran(stage: Stage, tmp_path: Path):
    """Sent by a producer, run by children, ended by the supervisor: one sum each, under the engine's name; and what the
    tasks' own module counts with prometheus_client is served beside it, from children that are killed, too."""
    here = Measured(stage, tmp_path / "metrics", tasks="tests.faults.metric_stuck")
    calls = [(n,) for n in range(40)]
    here.send("pays", calls)
    for name, count in (("broken", 3), ("looks", 4), ("useless", 2), ("stuck", 1)):
        here.send(name, calls[:count])

    said = here.until(sent=50, succeeded=44, failed=4, revoked=2, retried=3, rescheduled=4)

    shared = {"backend": stage.engine, "broker": "redis", "queue": QUEUE}
    assert (40, 40, 40) == tuple(
        said(f"taskbridge_{name}_total", **shared, **of("pays")) for name in ("sent", "started", "succeeded")
    )
    assert 3 == said("taskbridge_failed_total", **shared, **of("broken", exception="LookupError"))
    assert 3 == said("taskbridge_retried_total", **shared, **of("broken", exception="LookupError"))
    assert 1 == said("taskbridge_failed_total", **shared, **of("stuck", exception="HardTimeout"))
    assert 2 == said("taskbridge_revoked_total", **shared, **of("useless", how="dropped"))
    assert 57 == said("taskbridge_started_total") == said("taskbridge_queue_seconds_count")
    assert 57 - 2 == said("taskbridge_run_seconds_count")
    assert 0.3 <= said("taskbridge_run_seconds_sum", **of("stuck")) < 5
    assert said("taskbridge_store_trip_seconds_count") > 50
    until(lambda: here.replaced("hard_timeout") == 1, PATIENCE_S, "it was replaced")
    assert (200, 40) == (said("bank_paid_total", currency="EUR"), said("bank_opened_total"))


def test_a_child_that_is_killed_keeps_its_counts(stage: Stage, tmp_path: Path):
    """All of them: every attempt that was begun is counted, and every child that is gone, in files of no more seats."""
    here = Measured(stage, tmp_path / "metrics")
    here.send("pays", [(n,) for n in range(30)])
    here.until(sent=30, succeeded=30)
    living = here.scrape()("bank_living")

    children = here.worker.children()
    send(children, signal.SIGKILL)
    until(lambda: here.replaced_all(children), PATIENCE_S, "others")
    between = here.scrape()
    here.send("deadly", [(1,)])
    until(lambda: here.replaced("crash") == 5, PATIENCE_S, "it has crashed thrice")
    here.send("pays", [(n,) for n in range(30)])
    after = here.until(sent=61, succeeded=60)

    assert (30, 30) == (between("taskbridge_succeeded_total"), between("bank_opened_total"))
    assert 0 == between("bank_living") < living
    assert (63, 60) == (after("taskbridge_started_total"), after("bank_opened_total"))
    seats = {name.rpartition("-")[2] for name in here.files()}
    assert 5 >= len(seats), f"of two children, template, supervisor and producer at most: {seats}"


def test_children_that_are_replaced_leave_nothing_behind(stage: Stage, tmp_path: Path):
    """After five tasks each: the number of files and of series is that of the processes at one time."""
    here = Measured(stage, tmp_path / "metrics", "--max-tasks", "5")
    sent, files, series = 0, here.files(), dict[str, set[str]]()

    def leaves_nothing() -> bool:
        """Not at first: a child that others have kept from running has no files yet."""
        nonlocal sent, files, series
        here.send("pays", [(n,) for n in range(50)])
        sent += 50
        series_before, series = series, here.until(sent=sent, succeeded=sent).labels("taskbridge_", "bank_")
        files_before, files = files, here.files()
        return (files_before, series_before) == (files, series)

    until(leaves_nothing, PATIENCE_S, "children come and go, and leave nothing")
    until(lambda: here.replaced("max_tasks") >= sent // 5 * 2 // 3, PATIENCE_S, "they were counted")

    assert here.replaced("max_tasks") <= sent // 5
    assert all(re.fullmatch(r"[a-z_]+_(seat|taskbridge)-\d\.db", name) for name in files), files


def test_a_worker_says_how_busy_it_is(stage: Stage, tmp_path: Path):
    """Processes that there are to be, are there, and run; how long they had something to do; that its relay leads."""
    here = Measured(stage, tmp_path / "metrics", named=False)
    time.sleep(1.5)
    before, before_s = here.scrape(), time.monotonic()
    stage.producer().bridge.external(f"{TASKS}.sleeps", queue=QUEUE).enqueue(1, 300)
    until(lambda: here.scrape()("taskbridge_worker_active") == 1, PATIENCE_S, "one runs")

    def gained_s() -> float:
        now = here.scrape()
        return now("taskbridge_worker_busy_seconds_total") - before("taskbridge_worker_busy_seconds_total")

    until(lambda: gained_s() >= 1, PATIENCE_S, "it has been busy for a second")
    gained, took_s = gained_s(), time.monotonic() - before_s
    until(lambda: here.scrape()("taskbridge_relay_leads") == 1, PATIENCE_S, "the relay leads")
    within = here.scrape()

    assert gained <= took_s + 0.5, "one process of two had something to do"
    assert (2, 2) == tuple(within("taskbridge_worker_processes", state=state) for state in ("wanted", "alive"))
    assert 0 < within("taskbridge_worker_utilisation") < 1
    assert (1, 1) == (within("taskbridge_worker_up"), within("taskbridge_worker_active"))
    assert not os.listdir(here.folder)


def test_a_reload_goes_on_counting(stage: Stage, tmp_path: Path):
    """New children, another template and another keep: the sums go on, and the store is looked at by whoever serves."""
    here = Measured(stage, tmp_path / "metrics")
    here.send("pays", [(n,) for n in range(20)])
    here.until(sent=20, succeeded=20)
    old = here.worker.children()

    here.worker.reload()
    until(lambda: here.replaced_all(old), PATIENCE_S, "all are new")
    until(lambda: here.replaced("reload") == 2, PATIENCE_S, "they were replaced")
    here.send("pays", [(n,) for n in range(20)])
    said = here.until(sent=40, succeeded=40)

    assert 1 == said("taskbridge_worker_up")
    assert 40 == said("bank_opened_total")
    until(lambda: here.scrape()("taskbridge_store_up") == 1, PATIENCE_S, "the store is there")
    until(lambda: here.scrape()("taskbridge_relay_leads") == 1, PATIENCE_S, "the new relay leads")
    shown = "the new keep's gauges are shown"
    until(lambda: here.scrape()("taskbridge_queue_processes", queue=QUEUE) == 2, PATIENCE_S, shown)


def test_the_folder_of_a_worker_that_was_killed_is_removed_by_the_next(stage: Stage, tmp_path: Path):
    """Nobody else can: the one of a worker that lives is left alone."""
    places = tmp_path / "tmp"
    places.mkdir()
    options = [["--metrics", f"{HOST}:{free_port()}"] for _ in range(3)]
    killed, living = (stage.worker(options=one, environment={"TMPDIR": str(places)}) for one in options[:2])
    before = {*os.listdir(places)}
    killed.kill()

    stage.worker(options=options[2], environment={"TMPDIR": str(places)})

    assert 2 == len(before) == len(os.listdir(places))
    assert 1 == len(before & {*os.listdir(places)})
    assert 0 == living.stop()
    assert 1 == len(os.listdir(places))


def test_two_workers_that_serve_one_folder_are_told(stage: Stage, tmp_path: Path):
    """A restart may have two for a while; for longer, each count would be there twice."""
    first, second = (Measured(stage, tmp_path / "metrics") for _ in range(2))

    assert "another worker serves" not in first.worker.read()
    assert "another worker serves" in second.worker.read()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_scrape_is_answered_while_the_store_is_away(stage: Stage, tmp_path: Path, how: signal.Signals):
    """Gone or hung: what the processes count is served, and that the store is down, before Prometheus gives up."""
    here = Measured(stage, tmp_path / "metrics")
    here.send("pays", [(1,)])
    here.until(sent=1, succeeded=1)
    os.kill(stage.server.pid, how)

    def answered_s() -> float:
        began_s = time.monotonic()
        said = Scraped(here.address, PATIENCE_S)
        took_s = time.monotonic() - began_s
        assert (1, 1) == (said("taskbridge_succeeded_total"), said("taskbridge_worker_up"))
        assert {"taskbridge_store_up": set()} == said.labels("taskbridge_store_up")
        assert 0 == said("taskbridge_store_up")
        return took_s

    assert fastest(5, answered_s) < 5
    stage.server.resume()


def test_the_engines_own_command_counts_too(stage: Stage, tmp_path: Path):
    """Its processes have seats in the same folder; a worker of ours, with other queues, serves them."""
    here = Measured(stage, tmp_path / "metrics", "--queues", "elsewhere")
    commands = commands_of(stage.engine, "native", TASKS, bands_of(QUEUE))
    with running(commands[:1], environment(stage, here.folder), tmp_path / "native.log", ROOT):
        here.send("looks", [(n,) for n in range(3)])
        said = here.until(sent=3, succeeded=3, rescheduled=3)

    assert 6 == said("taskbridge_started_total", backend=stage.engine, **of("looks"))
    assert 6 == said("taskbridge_run_seconds_count", **of("looks"))
    assert any(name.startswith("counter_taskbridge-") for name in here.files())


@pytest.mark.service("prometheus")
def test_prometheus_scrapes_a_worker(stage: Stage, tmp_path: Path):
    """A real one finds our series and Celery's, and answers the questions of the documentation by them."""
    here = Measured(stage, tmp_path / "metrics", "--metrics-celery")
    here.send("pays", [(n,) for n in range(20)])
    with Prometheus(here.address) as prometheus:
        total = 'sum by (task, backend) (taskbridge_succeeded_total{task=~".*pays"})'
        key = (("backend", stage.engine), ("task", f"{TASKS}.pays"))
        until(lambda: prometheus.ask(total).get(key) == 20, PATIENCE_S, "all that ran is there")
        here.send("pays", [(n,) for n in range(20)])
        until(lambda: prometheus.ask(total).get(key) == 40, PATIENCE_S, "what ran since is there")
        celery = prometheus.ask(f'celery_task_succeeded_total{{name="{TASKS}.pays", queue_name="{QUEUE}"}}')
        until(lambda: [1] == list(prometheus.ask('up{job="taskbridge"}').values()), PATIENCE_S, "it is scraped")
        left = questions = documented()

        def answered() -> bool:
            """Of a few seconds: where others have the machine, a scrape comes too late, or nothing ran in them."""
            nonlocal left
            here.send("pays", [(1,)])
            left = [query for query in left if not prometheus.ask(query)]
            return not left

        until(answered, PATIENCE_S, f"answers to {left}")

    assert [40] == list(celery.values())
    assert len(questions) >= 6


def documented() -> list[str]:
    """The queries of docs/observing.md, over the few seconds that this test has."""
    text = (ROOT / "docs" / "observing.md").read_text("utf-8")
    blocks = re.findall(r"```promql\n(.*?)```", text, re.DOTALL)
    queries = [query for block in blocks for query in re.split(r"\n(?=\S)", re.sub(r"#.*", "", block).strip()) if query]
    return [re.sub(r"\[\d+[mhd]\]", "[10s]", query) for query in queries]
