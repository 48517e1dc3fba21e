"""Lines that wait for one another: none is late, lost at the end, out of order, or written twice."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskbridge.events import Dropped, Event, Succeeded
from taskbridge.observe.formats import JsonFormatter, PlainFormatter
from taskbridge.observe.logs import log
from taskbridge.observe.wording import fields_of, line_of

#: What a program begins with: a worker's child whose log has just been busy, so that lines wait.
BEGIN = """
import logging, os, sys, time
from taskbridge.events import Failed, Retried, Started, Succeeded
from taskbridge.observe.logs import gather, log, log_event, set_up_logs
set_up_logs("INFO", "json")
gather(logging.getLogger().handlers)
who = dict(task="bank.book", queue="ledger", backend="new", attempt=2)

def ends(*names):
    for name in names:
        log_event(Succeeded(id=name, **who, ran_ms=1.5))
"""

#: Lines wait 20 ms; in so long, a process that does not sleep has begun and ended on a busy machine.
PATIENCE_S = 60.0


@contextmanager
def running(program: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as error:
        process = subprocess.Popen(
            [sys.executable, "-c", BEGIN + textwrap.dedent(program)], stderr=error, stdin=subprocess.PIPE
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(program: str, folder: Path) -> list[Any]:
    """Run a program to its end; returns the entries of its log."""
    with running(program, folder / "log") as process:
        assert 0 == process.wait(PATIENCE_S), (folder / "log").read_text("utf-8")
    return entries(folder / "log")


def entries(log: Path) -> list[Any]:
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


def ids(found: list[Any]) -> list[str]:
    return [one["message_id"] for one in found]


def test_lines_are_there_in_a_moment(tmp_path: Path):
    """While the next task runs for long, and nobody calls the log."""
    log = tmp_path / "log"
    with running("ends('a', 'b', 'c'); sys.stdin.read()", log) as process:
        deadline_s = time.monotonic() + PATIENCE_S
        while len(entries(log)) < 3:
            assert time.monotonic() < deadline_s, log.read_text("utf-8")
            time.sleep(0.01)
        assert process.poll() is None

    assert ["a", "b", "c"] == ids(entries(log))


def test_lines_wait_for_one_another(tmp_path: Path):
    """Those of many tasks in a moment are written by a few calls of the system, in order, with their own times."""
    found = run(
        """
        calls, write = [], os.write
        os.write = lambda *told: calls.append(1) or write(*told)
        ends(*map(str, range(2_000)))
        logging.shutdown()
        assert len(calls) < 200, len(calls)
        """,
        tmp_path,
    )

    assert [*map(str, range(2_000))] == ids(found)
    assert found == sorted(found, key=lambda one: one["time"])


TASK = "Current(id='t', task='t', queue='q', attempt=1, starts=1, fencing_token=1, enqueued_at_ms=1, first_due_ms=1)"


@pytest.mark.parametrize(
    ("waiting", "written"),
    [
        ("ends(*map(str, range(40)))", 40),
        ("ends('a', 'b')", 1),
        (f"stack.enter_context(running({TASK})); ends(*map(str, range(40)))", 1),
    ],
    ids=["some", "too few", "in a task"],
)
def test_some_are_written_while_the_store_is_waited_for(tmp_path: Path, waiting: str, written: int):
    """Outside of tasks, and not a few: who is killed next has lost the others. The first is always written at once."""
    found = run(
        f"""
        from contextlib import ExitStack
        from taskbridge.current import Current, running
        from taskbridge.observe import lines
        lines.GATHER_MS = 60_000
        stack = ExitStack()
        {waiting}
        logging.root.handlers[0].meanwhile()
        os._exit(0)
        """,
        tmp_path,
    )

    assert written == len(found)


@pytest.mark.parametrize(
    "ending", ["logging.shutdown(); os._exit(0)", "sys.exit(0)"], ids=["as a child ends", "as others do"]
)
def test_a_process_that_ends_writes_what_waits(tmp_path: Path, ending: str):
    """All of it, once."""
    assert ["a", "b", "c"] == ids(run(f"ends('a', 'b', 'c'); {ending}", tmp_path))


@pytest.mark.parametrize(
    "telling",
    [
        "logging.getLogger('bank').info('paid')",
        "log_event(Retried(id='last', **who, why='busy'))",
        "log_event(Failed(id='last', **who, error=ValueError('no')))",
    ],
    ids=["what a task logs", "a retry", "a failure with its traceback"],
)
def test_what_is_told_of_at_once_stands_behind_what_waits(tmp_path: Path, telling: str):
    """And it does not wait: it is there when its process is killed."""
    found = run(f"ends('a', 'b'); {telling}; os._exit(0)", tmp_path)

    assert ["a", "b"] == ids(found[:2])
    assert 3 == len(found)


@pytest.mark.parametrize(
    ("change", "written"),
    [
        ("log.setLevel(logging.WARNING)", ["a", "b"]),
        ("logging.root.addHandler(logging.FileHandler('more'))", ["a", "b", "c"]),
        (
            'logging.root.handlers[0].setFormatter(logging.Formatter(\'{"message_id": "%(levelno)d"}\'))',
            ["a", "b", "20"],
        ),
    ],
    ids=["a level", "a handler", "a form"],
)
def test_what_changes_in_the_log_is_seen_when_lines_were_written(tmp_path: Path, change: str, written: list[str]):
    """Whatever code changes it: the next line that would wait is told as it now has to be."""
    found = run(
        f"""
        os.chdir({str(tmp_path)!r})
        ends('a', 'b')
        logging.root.handlers[0].flush()
        {change}
        ends('c')
        logging.shutdown()
        """,
        tmp_path,
    )

    assert written == ids(found)
    assert ("addHandler" in change) == (tmp_path / "more").exists()


def test_a_fork_writes_nothing_of_its_parents(tmp_path: Path):
    """What waits is the parent's; what the fork tells is written at once."""
    found = run(
        """
        ends('a', 'b', 'c')
        if not (pid := os.fork()):
            ends('x', 'y')
            os._exit(0)
        os.waitpid(pid, 0)
        logging.shutdown()
        """,
        tmp_path,
    )

    assert ["a", "b", "c", "x", "y"] == sorted(ids(found))


def test_no_entry_is_torn_where_processes_share_a_pipe(tmp_path: Path):
    """As much at once as the system keeps together, and no more."""
    reads, writes = os.pipe()
    program = "ends(*(f'{n:030}' for n in range(500))); logging.shutdown()"
    traced = "calls = []; write = os.write; os.write = lambda f, b: calls.append(b) or write(f, b)"
    told = f"{traced}; {program}; print([(len(b), b[:1] + b[-2:]) for b in calls])"
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + told], stderr=writes, stdout=subprocess.PIPE, pass_fds=(), text=True
    )
    os.close(writes)
    with open(reads, encoding="utf-8") as log:
        lines = log.read().splitlines()
    said, _ = process.communicate(timeout=PATIENCE_S)

    calls = eval(said)
    assert 500 == len(lines) == len({json.loads(line)["message_id"] for line in lines})
    assert len(calls) < 250
    assert all(size <= select.PIPE_BUF and ends == b"{}\n" for size, ends in calls)


def test_one_that_cannot_be_shown_costs_no_other(tmp_path: Path):
    """It is said where it was; the others are written."""
    found = run(
        """
        sys.stderr = open(os.devnull, "w")
        log_event(Succeeded(id="a", **who))
        log_event(Succeeded(id="b", task=7, queue="ledger", ran_ms="long"))
        log_event(Succeeded(id="c", **who))
        logging.shutdown()
        """,
        tmp_path,
    )

    assert ["a", "c"] == ids(found)


ODD = ["m", 'quo"te', "back\\slash", "redis://bank:hush@host/0", "\x1b[2J", "Zażółć", "a\nb", "3f-@+:.", "a b", "{}"]


@pytest.mark.parametrize("form", [PlainFormatter(), JsonFormatter()], ids=["plain", "json"])
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("field", ["id", "task", "queue", "backend"])
def test_a_line_is_that_of_a_record(form: PlainFormatter | JsonFormatter, field: str, odd: str):
    """Whatever names are made of; nothing is shown that a record would not show."""
    who = {"id": "m", "task": "bank.book", "queue": "ledger", "backend": "new", field: odd}
    for event in (Succeeded(**who, attempt=3, ran_ms=12.306), Dropped(**who, how="expired", why="late")):
        assert by_record(form, event) == form.of_event(event, 1_764_000_000_007, 4711, "INFO")


def by_record(form: PlainFormatter | JsonFormatter, event: Event) -> str:
    record = log.makeRecord(log.name, 20, __file__, 0, line_of(event), (), None)
    record.__dict__.update(fields_of(event))
    record.created, record.process = 1_764_000_000.007, 4711
    return form.format(record)
