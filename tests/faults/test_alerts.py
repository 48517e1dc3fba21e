"""Alerts and dashboards of a real Prometheus that scrapes a real worker of both engines, and ``taskbridge metrics``."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskbridge.monitoring.alerts import ALERTS, RECORDS
from taskbridge.monitoring.one_task import one_task
from taskbridge.monitoring.overview import overview
from taskbridge.monitoring.rules import text_of_rules
from taskbridge.monitoring.thresholds import Bound, Thresholds

from ..conformance.running import running
from ..prometheus import Prometheus
from ..servers import HOST, free_port, until
from .harness import ENGINES, QUEUE, ROOT, Stage, send
from .test_metrics import TASKS, Measured, environment

pytestmark = [pytest.mark.service("redis"), pytest.mark.service("prometheus")]

#: A minute of the rules takes 0.6 s.
RULES = text_of_rules(RECORDS, ALERTS, Thresholds(spans=0.01, oldest_age=Bound(1), failure_attempts=5))

#: What needs more than tasks that fail and tasks that do not: locks, limits, runs, another week, children replaced.
ELSEWHERE = re.compile(
    r"week|locks and limits|Put aside|rate limit|runs|Runs|without a result|Repeats|Too late|replaced"
)


#: What is provoked, by name and backend: by a task that fails, and by a worker that is killed.
FAILING = {(f"Taskbridge{name}", engine) for name in ("FailureRatio", "AttemptsFailing") for engine in ENGINES}
FAILING |= {("TaskbridgeDeadLettersGrowing", "")}
GONE = {("TaskbridgeWorkerGone", ""), ("TaskbridgeNoWorkers", ""), ("TaskbridgeOldestMessageTooOld", "celery")}

#: How long each step may take where much else runs on the machine, seconds; alone it is a few.
PATIENCE_S = 90.0


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Of both engines; what is sent without a name goes to Celery."""
    with Stage("celery", tmp_path / "stage") as stage:
        yield stage


class Watched:
    """A worker that Prometheus watches, and tasks for both engines."""

    def __init__(self, stage: Stage, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._fired: set[tuple[str, str]] = set()
        self._bridges = {engine: stage.producer(engine=engine).bridge for engine in ENGINES}

    def send(self, name: str, *engines: str) -> None:
        """Enqueue a task once on each of these engines."""
        for engine in engines:
            self._bridges[engine].external(f"{TASKS}.{name}", queue=QUEUE).enqueue(1)

    def firing(self) -> set[tuple[str, str]]:
        """The alerts that fire, by name and backend."""
        time.sleep(0.1)  # rules are evaluated twice a second
        return {_named(alert["labels"]) for alert in self._prometheus.firing()}

    def fails(self) -> bool:
        """Send what fails and what does not, a few a second, over several scrapes; whether each alert of it has fired.

        On a busy machine a scrape comes too late, and one of them may have ended when another begins.
        """
        self.send("broken", *ENGINES)  # what is made again goes to Celery
        self.send("hopeless", *ENGINES)
        self.send("pays", *ENGINES)
        self._fired |= self.firing()
        return FAILING <= self._fired

    def empty(self) -> list[tuple[str, str]]:
        """Send on until every panel has found what it asks for, or the time is over; returns those that have not."""
        left = [*((title, query) for title, query in panels() if not ELSEWHERE.search(title)), *values()]
        until_s = time.monotonic() + PATIENCE_S
        while left and time.monotonic() < until_s:
            self.fails()
            left = [(title, query) for title, query in left if not self._prometheus.ask(query)]
        return left


def test_alerts_fire_when_they_are_provoked(stage: Stage, tmp_path: Path):
    """None while all is well; then for a task that fails on either engine, its dead letters, the worker that is killed
    and what waits for it. Meanwhile every panel of the dashboards finds what it asks for, and so does each value that
    is picked out."""
    address = f"{HOST}:{free_port()}"
    command = ["taskbridge", "metrics", "--queues", QUEUE, "--listen", address]
    with running([command], environment(stage, tmp_path), tmp_path / "metrics.log", ROOT):
        both = Measured(stage, tmp_path / "metrics", "--backends", ",".join(ENGINES))
        both.send("pays", [(1,), (2,)])
        with Prometheus(both.address, address, rules=RULES) as prometheus:
            watched = Watched(stage, prometheus)
            up = "sum(up) == 2"
            until(
                lambda: prometheus.ask(up) and not prometheus.firing(), PATIENCE_S, "both are scraped, and all is well"
            )
            until(watched.fails, PATIENCE_S, "both engines' failures are alerts")
            empty = watched.empty()

            send([both.worker.pid], signal.SIGKILL)
            watched.send("pays", "celery")
            until(lambda: GONE <= watched.firing(), PATIENCE_S, "the worker is missed, and what waits for it")
            alerts = prometheus.firing()

    assert [] == empty
    assert both.address in {alert["labels"]["instance"] for alert in alerts if "instance" in alert["labels"]}
    said = " ".join(text for alert in alerts for text in alert["annotations"].values())
    assert not re.search(r"<no value>|error|\$|{{", said), said


def panels() -> Iterator[tuple[str, str]]:
    """What each panel asks for, with what a viewer has chosen, over the few seconds that there are."""
    chosen = {"$__rate_interval": "5s", "$__range": "5s", "[5m]": "[5s]", "[10m]": "[5s]", "[1h]": "[5s]"}
    chosen |= {"$namespace": "taskbridge", "$task": f"{TASKS}.(broken|pays)"}
    for dashboard in (overview("job"), one_task("job")):
        for panel in (panel for row in dashboard.rows for panel in row.panels):
            for query in panel.queries:
                text = query.text
                for name, value in chosen.items():
                    text = text.replace(name, value)
                yield f"{dashboard.title}: {panel.title}", re.sub(r"\$(backend|queue)", ".*", text)


def values() -> Iterator[tuple[str, str]]:
    """A question for each value of a label that a panel or a rule picks out: one that nobody has would hide much."""
    text = RULES + "".join(query for _, query in panels())
    for label, pattern in sorted({*re.findall(r'(outcome|state|alertstate)=~?"([\w|]+)"', text)}):
        for value in pattern.split("|"):
            yield f"{label} {value}", f'count({{{label}="{value}"}})'


def _named(labels: dict[str, str]) -> tuple[str, str]:
    return labels["alertname"], labels.get("backend", "")
