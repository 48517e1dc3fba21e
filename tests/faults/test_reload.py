"""A worker takes new code without a gap: HUP, ``--reload``, and what goes wrong meanwhile."""

from __future__ import annotations

import signal
from itertools import count, islice
from pathlib import Path

import pytest

from taskbridge import Bridge, Settings
from taskbridge.announcement import announced

from ..servers import until
from .harness import PATIENCE_S, QUEUE, TASKS, Stage, Worker, lives, send

pytestmark = pytest.mark.service("redis")

#: ``once`` of the other tests, that tells which code ran it, beside all of those; ``more`` makes no two files the same
#: size.
CODE = """
import time
from taskbridge import task
from tests.faults.tasks import QUEUE, effect, note

@task(queue=QUEUE, name="tests.faults.tasks.told")
def told(n, seconds=0.01):
    note("start", n)
    time.sleep(seconds)
    effect(n)
    note("{version}", n)
    note("done", n)

{more}
"""

FRESH = """
@task(queue="fresh", name="tests.faults.tasks.fresh")
def fresh(n):
    note("done", n)
"""


class Code:
    """The module that the worker imports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.write("v1")

    def write(self, version: str, more: str = "") -> None:
        """Change it."""
        (self.folder / "changing.py").write_text(CODE.format(version=version, more=more))

    def worker(self, stage: Stage, *options: str) -> Worker:
        """A worker that serves it."""
        return stage.worker(tasks="changing", directory=self.folder, options=options)


@pytest.fixture
def code(tmp_path: Path) -> Code:
    return Code(tmp_path / "code")


def ran(stage: Stage, version: str) -> set[int]:
    """What this version of the code ran."""
    return stage.evidence.look().others.get(version, set())


def reloaded(worker: Worker, old: list[int]) -> bool:
    """Whether all children and templates are others than these."""
    return len(worker.templates()) == 1 and len(worker.children()) == 2 and not {*old} & {*worker.everyone()[1:]}


def children_at_once(worker: Worker) -> int:
    """How many children there are at one moment: a look takes a while, so two in a row have to be the same."""
    before, now = None, worker.children()
    while now != before:
        before, now = now, worker.children()
    return len(now)


def test_a_reload_in_the_middle_of_work_loses_and_doubles_nothing(stage: Stage, code: Code):
    """At every look some child is there; nothing runs twice, and what comes after it runs the new code."""
    producer, worker, numbers = stage.producer(), code.worker(stage), count()

    def feed() -> bool:
        if len(producer.sent - stage.evidence.ended()) < 400:
            producer.send_all("told", islice(numbers, 200), 0.01)
        return len(stage.evidence.ended()) > 50

    until(feed, PATIENCE_S, "it works")
    old, looks = worker.everyone()[1:], []
    code.write("version-2", FRESH)

    worker.reload()

    def over() -> bool:
        feed()
        looks.append(children_at_once(worker))
        return reloaded(worker, old)

    until(over, PATIENCE_S, "all children are of the new code")
    assert 1 <= min(looks)
    assert 2 >= max(looks)
    before = set(producer.sent)
    producer.send("told", range(100_000, 100_020))
    stage.until_done(producer.sent, producer.sent)
    tally = stage.evidence.tally(producer.sent, 0, producer.sent)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
    assert before & ran(stage, "version-2"), "there was work all the while"
    assert {*range(100_000, 100_020)} <= ran(stage, "version-2")
    assert producer.sent == ran(stage, "v1") ^ ran(stage, "version-2")


def test_new_tasks_and_queues_are_announced_and_served(stage: Stage, code: Code):
    """By one worker, when the old code has gone, which is withdrawn; the number of processes stays."""
    producer, worker = stage.producer(), code.worker(stage)
    store = producer.bridge.store
    until(lambda: [2] == [one.processes for one in announced(store)], PATIENCE_S, "it is announced")
    assert ["faults", "urgent"] == announced(store)[0].queues
    code.write("v2", FRESH)

    worker.reload()
    fresh = producer.bridge.external(f"{TASKS}.fresh", queue="fresh")
    fresh.enqueue(7)

    until(lambda: 7 in stage.evidence.ended(), PATIENCE_S, "the new task ran")
    queues = ["faults", "fresh", "urgent"]
    until(lambda: [queues] == [one.queues for one in announced(store)], PATIENCE_S, "by one worker")
    until(lambda: announced(store)[0].serving == dict.fromkeys(queues, 2), PATIENCE_S, "by all processes")
    assert f"{TASKS}.fresh" in announced(store)[0].tasks
    assert 2 == announced(store)[0].processes


def test_a_reload_takes_the_settings_too(stage: Stage, code: Code):
    """What runs meanwhile ends where it was begun, in the old store's namespace; the new code serves another."""
    producer, worker = stage.producer(), code.worker(stage)
    other = Bridge(Settings(backend=stage.engine, broker_url=stage.server.url(), namespace="other"))
    producer.send("held", [0])
    until(lambda: 0 in stage.evidence.look().starts, PATIENCE_S, "it runs")
    (code.folder / "pyproject.toml").write_text('[tool.taskbridge]\nnamespace = "other"\n')

    worker.reload()

    until(lambda: announced(other.store), PATIENCE_S, "it is announced in the other namespace")
    stage.evidence.let_go(0)
    until(lambda: not announced(producer.bridge.store), PATIENCE_S, "and no more in the first")
    assert {0} == stage.evidence.ended()
    assert [] == producer.bridge.store.messages.running()
    other.external(f"{TASKS}.told", queue=QUEUE, delay=0.1).enqueue(1)
    until(lambda: 1 in stage.evidence.ended(), PATIENCE_S, "its relay and its children serve the other store")
    other.close()


def test_code_that_does_not_import_leaves_the_old_serving(stage: Stage, code: Code):
    """The log says why, no child is touched; repaired and asked again it is taken."""
    producer, worker = stage.producer(), code.worker(stage)
    old = worker.everyone()
    code.write("v2", "import no_such_module")

    worker.reload()

    until(lambda: "not reloaded, the old code goes on" in worker.read(), PATIENCE_S, "the log says so")
    assert "No module named 'no_such_module'" in worker.read()
    until(lambda: len(worker.templates()) == 1, PATIENCE_S, "the template that cannot serve is gone")
    producer.send("told", range(10))
    stage.until_done(producer.sent)
    assert old == worker.everyone()
    assert {*range(10)} == ran(stage, "v1")

    code.write("v3", FRESH)
    worker.reload()
    until(lambda: reloaded(worker, old[1:]), PATIENCE_S, "all children are of the repaired code")
    producer.send("told", range(10, 20))
    stage.until_done(producer.sent)
    assert {*range(10, 20)} == ran(stage, "v3")


def test_a_task_over_the_grace_time_is_given_back(stage: Stage, code: Code):
    """It does not hold up the others: they run the new code long before; it runs again, and no crash is counted."""
    producer, worker = stage.producer(), code.worker(stage, "--grace", "8")
    producer.send("held", [0])
    until(lambda: 0 in stage.evidence.look().starts, PATIENCE_S, "it runs")
    code.write("v2", FRESH)

    worker.reload()

    producer.bridge.external(f"{TASKS}.fresh", queue="fresh").enqueue(1)
    until(lambda: 1 in stage.evidence.ended(), PATIENCE_S, "the new code serves")
    until(lambda: len(stage.evidence.look().starts[0]) == 2, PATIENCE_S, "it runs again")
    assert stage.evidence.ends[1][0] < stage.evidence.starts[0][1]
    (record,) = producer.bridge.store.messages.running()
    assert 0 == record.crashes


def test_reload_takes_changes_by_itself(stage: Stage, code: Code):
    """Every change of a Python file, and of nothing else."""
    producer, worker = stage.producer(), code.worker(stage, "--reload")
    old = worker.everyone()[1:]
    (code.folder / "notes.txt").write_text("no code")
    code.write("v2", FRESH)

    until(lambda: reloaded(worker, old), PATIENCE_S, "all children are of the new code")

    producer.send("told", range(5))
    stage.until_done(producer.sent)
    assert {*range(5)} == ran(stage, "v2")
    assert "notes.txt" not in worker.read()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to end"])
def test_the_end_in_the_middle_of_a_reload_leaves_no_orphan(stage: Stage, code: Code, how: signal.Signals):
    """The template that imports still goes too; when told, what runs ends first and the exit code is 0."""
    producer, worker = stage.producer(), code.worker(stage)
    producer.send("told", range(2), 1)
    until(lambda: len(stage.evidence.look().starts) == 2, PATIENCE_S, "both run")
    code.write("v2", "time.sleep(60)")
    worker.reload()
    until(lambda: len(worker.templates()) == 2, PATIENCE_S, "the next imports")
    everyone = worker.everyone()

    send([worker.pid], how)

    until(lambda: not any(map(lives, everyone)), PATIENCE_S, "all have gone")
    if how == signal.SIGTERM:
        assert 0 == worker.wait(PATIENCE_S)
        assert {0, 1} == stage.evidence.ended()


def test_the_end_while_children_make_room_drains_both_codes(stage: Stage, code: Code):
    """One of the old code that is at a task, one of the new: both end, nothing is lost, repeated or left behind."""
    producer, worker = stage.producer(), code.worker(stage)
    producer.send("held", [0])
    until(lambda: 0 in stage.evidence.look().starts, PATIENCE_S, "it runs")
    code.write("v2", FRESH)
    worker.reload()
    until(lambda: worker.read().count("serving") == 2, PATIENCE_S, "the new code is in charge")
    producer.send("told", range(1, 15), 0.1)
    until(lambda: ran(stage, "v2"), PATIENCE_S, "the new code serves")
    everyone = worker.everyone()

    send([worker.pid], signal.SIGTERM)

    until(lambda: "draining" in worker.read(), PATIENCE_S, "it drains")
    assert 0 not in stage.evidence.ended()
    stage.evidence.let_go(0)
    assert 0 == worker.wait(PATIENCE_S)
    until(lambda: not any(map(lives, everyone)), PATIENCE_S, "all have gone")
    assert 0 in stage.evidence.ended()
    code.worker(stage)
    stage.until_done(producer.sent, producer.sent)
    tally = stage.evidence.tally(producer.sent, 0, producer.sent)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
