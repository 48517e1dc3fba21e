"""The log of a process that runs tasks: a line per event, at little cost, and whole lines from many processes."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from taskbridge.events import Event, Failed, Received, Retried, Started, Succeeded
from taskbridge.observe.logs import JsonFormatter, PlainFormatter, TaskFilter, dress, log_event

WHO: dict[str, Any] = {"id": "m", "task": "bank.book", "queue": "ledger", "backend": "new", "attempt": 2}


def logged(caplog: pytest.LogCaptureFixture, *events: Event, level: int = logging.INFO) -> list[logging.LogRecord]:
    with caplog.at_level(level, "taskbridge.tasks"):
        for event in events:
            log_event(event)
    return caplog.records


def test_a_record_has_the_events_fields(caplog: pytest.LogCaptureFixture):
    """By their names, for whatever formats them; the message id is called so, and not id."""
    (record,) = logged(caplog, Retried(**WHO, after_ms=1_500, why="busy", ran_ms=12.346))

    fields = json.loads(JsonFormatter().format(record))
    assert {
        "level": "WARNING",
        "logger": "taskbridge.tasks",
        "process": os.getpid(),
        "message": "bank.book (m, attempt 2) failed and runs again in 1.5 s: busy",
        "event": "retried",
        "message_id": "m",
        "task": "bank.book",
        "queue": "ledger",
        "backend": "new",
        "attempt": 2,
        "after_ms": 1_500,
        "counted": True,
        "why": "busy",
        "ran_ms": 12.346,
    } == {name: value for name, value in fields.items() if name != "time"}
    plain = PlainFormatter().format(record)
    assert plain.endswith("WARNING taskbridge.tasks: bank.book (m, attempt 2) failed and runs again in 1.5 s: busy")


def test_an_event_below_the_level_costs_no_record(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    """A worker at INFO makes one for each message that it ends, and none for the steps on the way."""
    made: list[str] = []
    make = logging.Logger.makeRecord

    def counted(*args: Any, **more: Any) -> logging.LogRecord:
        made.append(args[0].name)
        return make(*args, **more)

    monkeypatch.setattr(logging.Logger, "makeRecord", counted)

    logged(caplog, Received(**WHO), Started(**WHO), Succeeded(**WHO))

    assert ["taskbridge.tasks"] == made
    assert ["succeeded"] == [record.event for record in caplog.records]  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["plain", "json"])
@pytest.mark.parametrize("handled", ["alone", "with another", "with a filter", "with a listener in between"])
def test_an_entry_is_the_same_with_and_without_a_record(tmp_path: Path, form: str, handled: str):
    """Where ours is the only handler none is made; whoever else listens is told as ever."""
    said = run(
        f"""
        import logging
        from taskbridge.events import Dropped, Failed, Retried
        from taskbridge.observe.logs import log, log_event, set_up_logs
        set_up_logs("INFO", {form!r})
        heard = []

        class Heard(logging.Handler):
            def emit(self, record):
                heard.append(record)

        def hear(record):
            heard.append(record)
            return True

        match {handled!r}:
            case "with another":
                logging.getLogger().addHandler(Heard())
            case "with a filter":
                logging.getLogger().handlers[0].addFilter(hear)
            case "with a listener in between":
                logging.getLogger("taskbridge").addHandler(Heard())
        who = {WHO!r}
        log_event(Retried(**who, after_ms=1500, why="b\\x1busy", ran_ms=12.346))
        log_event(Dropped(**who, how="expired", why="redis://bank:hush@host/0"))
        log_event(Failed(**who, why="its worker was lost"))
        assert {handled!r} == "alone" or len(heard) == 3, heard
        """,
        tmp_path,
    )

    assert 3 == len(said)
    if form == "plain":
        assert [
            "WARNING taskbridge.tasks: bank.book (m, attempt 2) failed and runs again in 1.5 s: b\\x1busy",
            "INFO    taskbridge.tasks: bank.book (m, attempt 2) is expired: redis://bank:***@host/0",
            "ERROR   taskbridge.tasks: bank.book (m, attempt 2) is dead: its worker was lost",
        ] == [line.split(" ", 3)[3] for line in said]
        return
    retried, dropped, failed = ({**json.loads(line), "time": "", "process": 0} for line in said)
    assert {
        "time": "", "level": "WARNING", "logger": "taskbridge.tasks", "process": 0,
        "message": "bank.book (m, attempt 2) failed and runs again in 1.5 s: b\\x1busy",
        "event": "retried", "message_id": "m", "task": "bank.book", "queue": "ledger", "backend": "new", "attempt": 2,
        "after_ms": 1_500, "counted": True, "why": "b\x1busy", "ran_ms": 12.346,
    } == retried  # fmt: skip
    assert ("expired", "redis://bank:***@host/0") == (dropped["how"], dropped["why"])
    assert ("failed", "its worker was lost") == (failed["event"], failed["why"])
    assert not {"error", "id", "at_ms", "exception"} & failed.keys()


def test_all_steps_are_heard_at_debug(caplog: pytest.LogCaptureFixture):
    """One line for each event."""
    records = logged(caplog, Received(**WHO), Started(**WHO), Succeeded(**WHO), level=logging.DEBUG)

    assert ["received", "started", "succeeded"] == [record.event for record in records]  # type: ignore[attr-defined]


def test_a_failure_has_its_traceback_from_the_task_on(caplog: pytest.LogCaptureFixture):
    """What leads to every task is left out; an error that never was in one keeps what it has."""
    try:
        json.loads("{")
    except ValueError as error:
        inside, event = error, Failed(**WHO, why="ValueError: ...", error=error)

    (record,) = logged(caplog, event)

    fields = json.loads(JsonFormatter().format(record))
    assert "error" not in fields
    assert "test_logs.py" in fields["exception"]
    assert fields["exception"].endswith(f"JSONDecodeError: {inside}")
    below = PlainFormatter().format(record).splitlines()[1:]
    assert "  Traceback (most recent call last):" == below[0]


def test_frames_of_what_runs_tasks_are_left_out(caplog: pytest.LogCaptureFixture):
    """On each engine the traceback begins with the task."""
    program = compile("def run(call):\n    call()", "attempt.py", "exec")
    ours: dict[str, Any] = {"__name__": "taskbridge.attempt"}
    exec(program, ours)

    def task() -> None:
        raise ValueError("no route")

    with pytest.raises(ValueError, match="no route") as caught:
        ours["run"](task)
    caught.value.__traceback__ = caught.tb.tb_next  # without this test, which called it

    (record,) = logged(caplog, Failed(**WHO, why="ValueError: no route", error=caught.value))

    trace = json.loads(JsonFormatter().format(record))["exception"]
    assert "attempt.py" not in trace
    assert "raise ValueError" in trace


def test_a_coroutines_traceback_begins_with_the_task_too(caplog: pytest.LogCaptureFixture):
    """What drives an ``async def`` task stands around it, as the engine does."""

    async def task() -> None:
        raise ValueError("no route")

    with pytest.raises(ValueError, match="no route") as caught:
        asyncio.run(task())
    caught.value.__traceback__ = caught.tb.tb_next  # without this test, which called it

    (record,) = logged(caplog, Failed(**WHO, why="ValueError: no route", error=caught.value))

    trace = json.loads(JsonFormatter().format(record))["exception"]
    assert "run_until_complete" not in trace
    assert "raise ValueError" in trace


def test_handlers_are_dressed_once():
    """Their records say whose they are; how they are written is left to them, or is ours when it is asked for."""
    handler, own = logging.StreamHandler(), logging.Formatter("%(message_id)s")
    handler.setFormatter(own)

    dress([handler])
    dress([handler])

    assert [TaskFilter] == [type(one) for one in handler.filters]
    assert own is handler.formatter
    dress([handler], "json")
    assert isinstance(handler.formatter, JsonFormatter)


def run(program: str, folder: Path) -> list[str]:
    """Run a program that logs; return the lines on its standard error."""
    log = folder / "log"
    with log.open("wb") as error:
        subprocess.run([sys.executable, "-c", textwrap.dedent(program)], stderr=error, check=True, timeout=60)
    return log.read_text("utf-8").split("\n")[:-1]


def test_a_log_cannot_steer_a_terminal(tmp_path: Path):
    """Whatever a producer has put into a name: it is on standard error, and shows as what it is."""
    said = run(
        """
        import logging
        from taskbridge.observe.logs import set_up_logs
        set_up_logs("INFO")
        logging.getLogger("bank").warning("a\\x1b[2Jb\\nc")
        """,
        tmp_path,
    )

    assert ["WARNING bank: a\\x1b[2Jb", "  c"] == [said[0].split(maxsplit=3)[3], said[1]]


def test_a_log_in_json_is_nothing_else(tmp_path: Path):
    """Warnings of Python are entries, and so are errors of code; letters are themselves, in UTF-8."""
    said = run(
        """
        import logging, warnings
        from taskbridge.observe.logs import set_up_logs
        set_up_logs("INFO", "json")
        warnings.warn("old code")
        logging.getLogger("bank").info("Zażółć %s", "gęślą")
        logging.getLogger("celery.app.trace").error("said by ours already")
        logging.getLogger("bank").debug("not heard")
        """,
        tmp_path,
    )

    entries = [json.loads(line) for line in said]
    assert [("py.warnings", "WARNING"), ("bank", "INFO")] == [(one["logger"], one["level"]) for one in entries]
    assert "Zażółć gęślą" in said[1]


def test_processes_that_share_a_file_do_not_mix_their_lines(tmp_path: Path):
    """However long an entry is: each is handed to the system whole."""
    said = run(
        """
        import logging, os
        from taskbridge.observe.logs import set_up_logs
        set_up_logs("INFO", "json")
        children = []
        for letter in "abcd":
            if not (pid := os.fork()):
                for n in range(300):
                    logging.getLogger("bank").info(letter * 20_000, extra={"n": n})
                os._exit(0)
            children.append(pid)
        for pid in children:
            os.waitpid(pid, 0)
        """,
        tmp_path,
    )

    entries = [json.loads(line) for line in said]
    assert 4 * 300 == len(entries)
    assert {letter * 20_000 for letter in "abcd"} == {one["message"] for one in entries}


@pytest.mark.parametrize("form", ["plain", "json"])
def test_standard_error_may_be_no_file(form: str):
    """Of a process that has swapped it, or has none."""
    program = f"""
        import io, sys
        from taskbridge.observe.logs import log, set_up_logs
        kept, sys.stderr = sys.stderr, io.StringIO()
        set_up_logs("INFO", {form!r})
        log.warning("heard")
        assert sys.stderr.getvalue().count("heard") == 1, sys.stderr.getvalue()
    """

    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)
