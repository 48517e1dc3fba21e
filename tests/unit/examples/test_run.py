"""A run of the demo: who serves what, what is still on its way, what was measured, and how it ends."""

import json
import re
import subprocess
import sys
from math import ceil
from pathlib import Path

import pytest

from examples.fintech import clearing, generate, groups, imports, moving, reports, rules, run, tasks
from examples.fintech.measure import Measures, percentile, read
from examples.fintech.plain import expect
from examples.fintech.process import ROOT
from taskbridge.operations.depths import Depth
from taskbridge.task import Task

from .providers import answers

#: Of the generated file: enough for each kind of answer that a provider has.
ROWS = 1_500


@pytest.mark.parametrize(
    ("processes", "shares"), [(2, {"money": 1, "rest": 1}), (3, {"money": 1, "rest": 2}), (8, {"money": 4, "rest": 4})]
)
def test_every_queue_has_a_group_and_every_process_one(processes: int, shares: dict[str, int]):
    """The groups' processes are those that were asked for, and no task's queue is left out."""
    options = list(run._groups(processes))

    found = {name: int(count) for name, count in re.findall(r"(\w+)=(\d+):", " ".join(options))}
    served = {queue for queues in groups.GROUPS.values() for queue in queues}
    declared = [one for module in (tasks, imports, reports) for one in vars(module).values() if isinstance(one, Task)]
    asked = {one.options.queue for one in declared}
    assert shares == found
    assert asked == served == set(groups.QUEUES)


@pytest.mark.parametrize("state", ["ready", "delayed", "parked", "locked", "throttled", "waiting", "running"])
def test_a_message_anywhere_is_left(state: str):
    """Whatever it waits for, it is still on its way; a dead one is not."""
    side = {"waiting": None, "running": 0, "processes": 2}
    depth = {**dict.fromkeys(Depth.__slots__, 0), "queue": "bookings", "dead": 1, "backends": {"celery": side}}
    assert 0 == run._left({"queues": [depth]})

    (side if state in side else depth)[state] = 3

    assert 3 == run._left({"queues": [depth]})


def test_measures_leave_the_greeting_out(tmp_path: Path):
    """Spans of all processes come together; one task is not counted."""
    (tmp_path / "1").write_text("waited a.hello 900.000 celery\nwaited a.book 10.000 celery\nran a.book 2.000 celery\n")
    (tmp_path / "2").write_text(
        "waited a.book 30.000 celery\nretried a.book 4.000 celery\nrescheduled a.book 1.000 celery\n"
    )
    (tmp_path / "4").write_text("rescheduled a.settle 3.000 celery\n")
    (tmp_path / "3").write_text(
        "locked a.book 0.000 celery\nthrottled a.book 0.000 celery\nthrottled a.book 0.000 celery\n"
    )

    assert Measures(
        queue_ms=[10, 30], run_ms=[2, 4, 1, 3], retries=1, rescheduled=1, polls=1, throttled=2, locked=1
    ) == read(tmp_path, leave_out="a.hello", polls="a.settle")


def test_percentiles_are_values_that_were_seen():
    """The nearest rank: no value is made up."""
    assert [50, 95, 100] == [percentile(range(100, 0, -1), percent) for percent in (50, 95, 100)]
    assert 0 == percentile([], 95)
    assert 7 == percentile([7], 50)


@pytest.mark.usefixtures("redis")
@pytest.mark.service("redis")
@pytest.mark.parametrize("backend", ["celery", "dramatiq"])
@pytest.mark.parametrize(
    "broker", ["redis", *(pytest.param(name, marks=pytest.mark.soak) for name in ("rabbitmq", "sqs"))]
)
@pytest.mark.timeout(300)
def test_the_demo_ends_well(tmp_path: Path, broker: str, backend: str):
    """With a server of its own and a worker of each engine: all is done, once, to the cent; one row is dead.

    Refreshes are shared on the way, each 429 that the providers have for this file was met, and each transfer was
    looked after exactly as often as the clearing house wants. Each account was reconciled and reported; chunks of
    reports have waited for those before them, and were no more than the accounts make. What the worker has told
    Prometheus is what the workload has counted.
    """
    output = tmp_path / "demo.json"
    command = [sys.executable, "-m", "examples.fintech.demo", "--rows", str(ROWS), "--backends", backend, "--metrics"]
    command += ["--broker", broker]

    done = subprocess.run(
        [*command, "--output", str(output)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=270,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    report = json.loads(output.read_text("utf-8"))
    assert report["exact"] is True
    (result,) = report["runs"]
    assert (0, 0, 1) == (result["lost"], result["doubled"], result["dead"])
    assert backend == result["backend"]
    said = re.search(
        r": ([\d,]+) refreshes for 1,500 bookings; .*429s: (\d+); (\d+) polls for (\d+) transfers", done.stdout
    )
    assert said is not None, done.stdout
    assert 0 < int(said[1].replace(",", "")) < ROWS
    generate.write(tmp_path / "export.csv", ROWS)
    must = expect(tmp_path / "export.csv")
    busy = [answers(name, rules.provider_of(name), 1, 1) for name in must.notifications].count("429")
    looks = sum(clearing.looks(row) for row in must.settled)
    assert (busy, looks, len(must.settled)) == (int(said[2]), int(said[3]), int(said[4]))
    assert busy > 0
    closed = re.search(
        r"(\d+) accounts reconciled, refused rows: 1; at night (\d+) reports in (\d+) chunks, at most (\d+)",
        done.stdout,
    )
    assert closed is not None, done.stdout
    accounts = len(must.accounts)
    chunks = ceil(accounts / reports.ACCOUNTS_A_CHUNK)
    assert (accounts, accounts, chunks) == (int(closed[1]), int(closed[2]), int(closed[3]))
    assert int(closed[4]) <= reports.MOST_REPORTS
    succeeded = re.search(r"^taskbridge_succeeded_total +([\d,]+)$", done.stdout, re.MULTILINE)
    assert succeeded is not None, done.stdout
    assert result["tasks"] + 1 == int(succeeded[1].replace(",", ""))  # two chunks without effect, one dead letter


@pytest.mark.usefixtures("redis")
@pytest.mark.service("redis")
@pytest.mark.timeout(300)
def test_the_demo_moves_from_one_engine_to_the_other(tmp_path: Path):
    """There and back, and there for good, by the commands of an operator; each engine has run some of it."""
    output = tmp_path / "demo.json"
    command = [sys.executable, "-m", "examples.fintech.demo", "--rows", "800", "--migrate", "--output", str(output)]

    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=270)

    assert 0 == done.returncode, done.stdout + done.stderr
    (result,) = json.loads(output.read_text("utf-8"))["runs"]
    assert ("both", 0, 0, 1) == (result["backend"], result["lost"], result["doubled"], result["dead"])
    commands = [line for line in done.stdout.splitlines() if line.startswith("$ ")]
    shares = [f"$ taskbridge migrate share {share}" for _, share in moving.STEPS]
    start = "$ taskbridge migrate start --from celery --to dramatiq"
    assert [start, *shares, "$ taskbridge migrate finish"] == commands
    ran = re.search(r"^celery has run ([\d,]+), dramatiq ([\d,]+)$", done.stdout, re.MULTILINE)
    assert ran is not None, done.stdout
    each = [int(number.replace(",", "")) for number in ran.groups()]
    assert min(each) > 20
    assert result["tasks"] <= sum(each) <= result["tasks"] + result["retries"] + 5


def test_sides_are_counted_line_by_line(tmp_path: Path):
    """Of files that grow, and end in the middle of a line; the greeting is no work."""
    sides = moving.Sides(tmp_path)
    (tmp_path / "1").write_text("ran a.book 2.000 celery\nran examples.fintech.tasks.hello 1.0 celery\nran a.book 2.0")
    (tmp_path / "2").write_text("waited a.book 2.000 dramatiq\n")

    assert {"celery": 1, "dramatiq": 0} == sides.ran()

    with (tmp_path / "1").open("a") as file:
        file.write("00 dramatiq\nran a.book 1.000 celery\n")
    assert {"celery": 2, "dramatiq": 1} == sides.ran()
