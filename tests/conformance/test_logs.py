"""The log of real workers, ours and the engines' own: a line per event, whose each is, and nothing that breaks one."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from tests.servers import RedisServer, until

from .running import bands_of, commands_of, running

QUEUE = "ledger"

#: A task's name and an argument that would clear a terminal, begin a line of their own, and are no text at all.
ODD_NAME = "ledger_tasks.od\x1b[2Jd\x9b1m"
ODD_TEXT = "\x1b[2J\n2026-01-01 INFO forged \u2028 \x00"

#: What our log says of the end of a message.
ENDS = re.compile(r"attempt \d\) (?:succeeded in|is dead)")

TASKS = f"""
import asyncio, contextvars, logging, logging.config, os, threading
from pathlib import Path
from taskbridge import Backoff, before_task, task

bank, vendor, own = (logging.getLogger(name) for name in ("bank", "vendor.client", "own"))

# A handler of the team's own, as a LOGGING of Django's has it.
logging.config.dictConfig({{
    "version": 1,
    "incremental": False,
    "disable_existing_loggers": False,
    "filters": {{"task": {{"()": "taskbridge.observe.logs.TaskFilter"}}}},
    "formatters": {{"own": {{"format": "%(message_id)s %(task)s %(attempt)d %(message)s"}}}},
    "handlers": {{"own": {{
        "class": "logging.FileHandler", "filename": "own.log", "filters": ["task"], "formatter": "own",
    }}}},
    "loggers": {{"own": {{"handlers": ["own"], "level": "INFO"}}}},
}})
own.info("imported")

@before_task
def hook(current):
    bank.info("in a hook")

@task(queue="ledger", retry=Backoff(max_retries=1, base=0.01))
def book(n: int, text: str) -> None:
    bank.info("booking %d %s", n, text, extra={{"account": n}})
    vendor.info("calling")
    own.info("owned")
    given = contextvars.copy_context()
    for name, run in (("alone", vendor.info), ("given", lambda text: given.run(vendor.info, text))):
        thread = threading.Thread(target=run, args=(f"thread {{name}}",))
        thread.start()
        thread.join()
    if n == 2:
        raise ValueError(f"no route for {{text}} by redis://bank:hush@host/0")

@task(queue="ledger")
async def wait(n: int) -> None:
    await asyncio.sleep(0)
    bank.info("awaited")
    await asyncio.to_thread(vendor.info, "in a thread of asyncio's")

@task(name={ODD_NAME!r}, queue="ledger")
def odd() -> None:
    bank.info("odd")
"""


@dataclass(frozen=True, kw_only=True)
class Played:
    """The ids of what was sent by what it is, the log, and what the team's own handler wrote."""

    sent: dict[str, str]
    log: str
    own: list[str]

    def entries(self) -> list[dict[str, Any]]:
        """The entries in JSON; one that is none is an error, but for what the engine's main process says in its own."""
        lines = [line for line in self.log.split("\n") if line]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def of(self, name: str, logger: str) -> list[dict[str, Any]]:
        """What a logger wrote of a message."""
        return [one for one in self.entries() if (one.get("message_id"), one["logger"]) == (self.sent[name], logger)]


def play(engine: str, kind: str, form: str, url: str, folder: Path) -> Played:
    """Run tasks that log in every way."""
    (folder / "ledger_tasks.py").write_text(TASKS)
    bridge = Bridge(Settings(backend=engine, broker_url=url))
    environment = os.environ | {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": url}
    environment |= {"TASKBRIDGE_LOG_FORMAT": form}
    (command, *beside), log = commands_of(engine, kind, "ledger_tasks", bands_of(QUEUE)), folder / "log"
    command += {"ours": ["--log-level", "DEBUG"], "nativecelery": ["-l", "DEBUG"], "nativedramatiq": ["-v"]}[
        kind if kind == "ours" else kind + engine
    ]

    def external(name: str) -> Any:
        return bridge.external(name, queue=QUEUE)

    with closing(bridge), running([command, *beside], environment, log, folder):
        book, wait, odd = (external(name) for name in ("ledger_tasks.book", "ledger_tasks.wait", ODD_NAME))
        sent = {
            "booked": book.enqueue(1, ODD_TEXT).id,
            "failing": book.enqueue(2, ODD_TEXT).id,
            "awaited": wait.enqueue(3).id,
            "odd": odd.enqueue().id,
        }
        until(lambda: len(ENDS.findall(log.read_text("utf-8"))) >= len(sent), 60, "all to end")
    return Played(sent=sent, log=log.read_text("utf-8"), own=(folder / "own.log").read_text().splitlines())


ALL = [*product(("celery", "dramatiq"), ("ours", "native"))]


@pytest.fixture(scope="module")
def played(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str, str], Future[Played]]:
    """All workers in JSON, and ours in plain text."""
    redis_server.cli().flushall()
    cases = [
        *product(("celery", "dramatiq"), ("ours", "native"), ("json",)),
        *product(("celery", "dramatiq"), ("ours",), ("plain",)),
    ]
    with ThreadPoolExecutor(3) as pool:
        return {
            case: pool.submit(play, *case, redis_server.url(db=number), tmp_path_factory.mktemp("-".join(case)))
            for number, case in enumerate(cases)
        }


Runs = dict[tuple[str, str, str], Future[Played]]


@pytest.mark.parametrize(("engine", "kind"), ALL)
def test_each_event_is_one_entry_on_every_engine(engine: str, kind: str, played: Runs):
    """What a message goes through is the same, whatever carries it: with its fields, and how long it took."""
    seen = played[engine, kind, "json"].result()

    lives = {name: Counter(one["event"] for one in seen.of(name, "taskbridge.tasks")) for name in seen.sent}
    once = Counter(["received", "started", "succeeded"])
    assert {
        "booked": once,
        "awaited": once,
        "odd": once,
        "failing": Counter(["received", "started", "retried", "received", "started", "failed"]),
    } == lives
    last = [seen.of(name, "taskbridge.tasks")[-1] for name in seen.sent]
    assert all(one["ran_ms"] > 0 and one["queue"] == QUEUE and one["backend"] == engine for one in last)


@pytest.mark.parametrize(("engine", "kind"), ALL)
def test_each_entry_of_a_task_says_whose_it_is(engine: str, kind: str, played: Runs):
    """By any logger: of the task, a library, a hook; in a coroutine, and in a thread that was given the context."""
    seen = played[engine, kind, "json"].result()

    for name, task, bank, vendor in (
        ("booked", "ledger_tasks.book", [f"booking 1 {ODD_TEXT}"], ["calling", "thread given"]),
        ("awaited", "ledger_tasks.wait", ["awaited"], ["in a thread of asyncio's"]),
        ("odd", ODD_NAME, ["odd"], []),
    ):
        entries = [*seen.of(name, "bank"), *seen.of(name, "vendor.client")]
        assert ["in a hook", *bank, *vendor] == [one["message"] for one in entries]
        assert {(task, 1)} == {(one["task"], one["attempt"]) for one in entries}
    assert [1] == [one["account"] for one in seen.of("booked", "bank") if "account" in one]
    assert [1, 2] == [one["attempt"] for one in seen.of("failing", "vendor.client") if one["message"] == "calling"]


@pytest.mark.parametrize(("engine", "kind"), ALL)
def test_an_entry_of_nobody_says_nothing(engine: str, kind: str, played: Runs):
    """Of a thread that a task has started by itself, Python knows no more than that: it has a context of its own."""
    seen = played[engine, kind, "json"].result()

    alone = [one for one in seen.entries() if one["message"] == "thread alone"]
    assert 3 == len(alone)
    assert not any({"message_id", "task", "attempt"} & one.keys() for one in alone)


@pytest.mark.parametrize(("engine", "kind"), ALL)
def test_a_handler_of_ones_own_knows_too(engine: str, kind: str, played: Runs):
    """By the filter, in any format: also where no task runs."""
    seen = played[engine, kind, "json"].result()

    booked, failing = seen.sent["booked"], seen.sent["failing"]
    assert {
        "  0 imported",
        f"{booked} ledger_tasks.book 1 owned",
        f"{failing} ledger_tasks.book 1 owned",
        f"{failing} ledger_tasks.book 2 owned",
    } == set(seen.own)


@pytest.mark.parametrize(("engine", "kind"), ALL)
def test_a_failure_has_its_traceback_and_no_password(engine: str, kind: str, played: Runs):
    """It begins with the task, on each engine."""
    seen = played[engine, kind, "json"].result()

    (failed,) = [one for one in seen.of("failing", "taskbridge.tasks") if one["event"] == "failed"]
    assert f"no route for {ODD_TEXT} by redis://bank:***@host/0" in failed["why"]
    assert "ValueError: no route for" in failed["exception"]
    assert failed["exception"].splitlines()[1].endswith("in book")
    assert "hush" not in json.dumps(failed)


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_our_log_in_json_is_nothing_but_objects(engine: str, played: Runs):
    """A line each, of supervisor, template and children, with nothing in it that could steer a terminal."""
    seen = played[engine, "ours", "json"].result()

    lines = seen.log.split("\n")[:-1]
    assert len(lines) == len(seen.entries())
    assert all(line.isprintable() for line in lines)
    assert "hush" not in seen.log


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_our_log_in_plain_text_is_a_line_per_event(engine: str, played: Runs):
    """What goes on below an entry is indented: nothing that was logged looks like another entry."""
    seen = played[engine, "ours", "plain"].result()

    entries = [line for line in seen.log.split("\n")[:-1] if not line.startswith("  ")]
    assert all(line[:2] == "20" and line[19] == "," for line in entries), "each begins with its time"
    id = seen.sent["failing"]
    for what, times in (("is received", 2), ("failed and runs again", 1), ("is dead: ", 1), (": in a hook", 2)):
        assert times == sum(f"ledger_tasks.book ({id}, attempt " in line and what in line for line in entries)
    assert "ledger_tasks.od\\x1b[2Jd\\x9b1m (" in seen.log
    assert not {"\x1b", "\x9b", "\x00", "\u2028", "hush"} & set(seen.log)
    assert "hush" not in seen.log


def test_celerys_own_format_may_name_whose_it_is(redis_server: RedisServer, tmp_path: Path):
    """Its log is set up by Celery, in its words: ours are fields of each record, outside of tasks, too."""
    (tmp_path / "ledger_tasks.py").write_text(TASKS)
    (tmp_path / "bank.py").write_text(
        "from taskbridge_celery.command import app\n"
        "app.conf.worker_log_format = app.conf.worker_task_log_format = '<%(message_id)s %(attempt)s> %(message)s'\n"
    )
    url, log = redis_server.url(db=9), tmp_path / "log"
    bridge = Bridge(Settings(backend="celery", broker_url=url))
    environment = os.environ | {"TASKBRIDGE_BACKEND": "celery", "TASKBRIDGE_BROKER_URL": url}
    command = f"celery -A bank worker -I ledger_tasks -c 1 -Q {QUEUE} -l INFO".split()

    with closing(bridge), running([command], environment, log, tmp_path):
        id = bridge.external("ledger_tasks.wait", queue=QUEUE).enqueue(1).id
        until(lambda: "succeeded in" in log.read_text(), 60, "the task to end")

    assert f"<{id} 1> awaited" in log.read_text()
    assert "< 0> celery@" in log.read_text()
    assert "Formatting field not found" not in log.read_text()
