"""``taskbridge worker``: what it is asked to be."""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskbridge.observe.metrics.seats import FOLDER
from taskbridge.worker.meter import Meter
from taskbridge.worker.options import Group, WorkerOptions

from ...servers import free_port
from .conftest import Cli

GROUPS = """
[tool.taskbridge.groups.high]
processes = 2
queues = ["urgent"]
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[WorkerOptions]:
    """The options of the supervisors that were started, none of which runs."""
    found: list[WorkerOptions] = []

    class Supervisor:
        def __init__(self, options: WorkerOptions, meter: Meter | None) -> None:
            assert (meter is not None) == ("metrics" in options.observers)
            found.append(options)

        def run(self) -> int:
            return 0

    monkeypatch.setattr("taskbridge.worker.supervisor.Supervisor", Supervisor)
    return found


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        ("", [Group(name="high", queues=["urgent"], processes=2)]),
        ("--queues a,b", [Group(queues=["a", "b"], processes=os.cpu_count() or 2)]),
        ("--processes 3", [Group(processes=3)]),
        ("--group x=1:a", [Group(name="x", queues=["a"], processes=1)]),
        (
            "--group high=2:urgent --group low=6:emails,urgent",
            [Group(name="high", queues=["urgent"]), Group(name="low", queues=["emails", "urgent"], processes=6)],
        ),
    ],
)
def test_the_command_line_beats_the_file(cli: Cli, asked: list[WorkerOptions], words: str, groups: list[Group]):
    """Whatever it says of processes and queues, the groups of the file are not taken then."""
    cli.write("pyproject.toml", GROUPS)

    result = cli("worker", "app", *words.split())

    assert 0 == result.exit_code, result.output
    assert groups == asked[0].groups


def test_the_file_is_looked_for_where_the_modules_are(cli: Cli, asked: list[WorkerOptions], tmp_path_factory):
    """With ``--chdir`` it is that directory's; without any file there is one group of as many as there are cores."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "pyproject.toml").write_text(GROUPS)

    cli("worker", "app", "--chdir", str(elsewhere))
    cli("worker", "app")

    assert ["high"] == [group.name for group in asked[0].groups]
    assert [Group(processes=os.cpu_count() or 2)] == asked[1].groups


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--group high", "expected NAME=PROCESSES:QUEUE,QUEUE such as high=2:urgent, got 'high'"),
        ("--group high=2", "expected NAME=PROCESSES:QUEUE,QUEUE such as high=2:urgent, got 'high=2'"),
        ("--group high:urgent", "expected NAME=PROCESSES:QUEUE,QUEUE such as high=2:urgent, got 'high:urgent'"),
        ("--group =2:urgent", "expected a name of up to 40 letters, digits, - and _, got ''"),
        ("--group high=2:", "queues: expected the names of one or more, such as"),
        ("--group high=2:,", "queues: expected the names of one or more, such as"),
        ("--group high=0:urgent", "processes: expected a whole number of 1 to 1000, got 0"),
        ("--group high=-1:urgent", "processes: expected a whole number of 1 to 1000, got -1"),
        ("--group high=two:urgent", "processes: expected a whole number of 1 to 1000, got 'two'"),
        ("--group high=:urgent", "processes: expected a whole number of 1 to 1000, got ''"),
        ("--group high=2:urgent-high", "the queue name 'urgent-high' ends like a priority band"),
        ("--group high=2:1st", "expected a queue name of a letter or underscore"),
        ("--group high=2:a --group high=3:b", "expected each group once, got 'high' twice"),
        ("--group high=2:a --queues b", "leave out --queues and --processes"),
        ("--group high=2:a --processes 4", "leave out --queues and --processes"),
    ],
)
def test_a_group_that_does_not_fit_is_refused(cli: Cli, asked: list[WorkerOptions], words: str, why: str):
    """With what was expected; exit code 2, and nothing is started."""
    result = cli("worker", "app", *words.split())

    assert 2 == result.exit_code
    assert why in " ".join(result.stderr.split())
    assert [] == asked


def test_a_group_of_the_file_that_does_not_fit_is_refused(cli: Cli, asked: list[WorkerOptions]):
    """As any setting: exit code 1."""
    cli.write("pyproject.toml", GROUPS.replace("processes", "process"))

    result = cli("worker", "app")

    assert 1 == result.exit_code
    assert "groups.high has no 'process'; did you mean 'processes'?" in result.stderr
    assert [] == asked


def test_reload_says_what_it_needs(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    """Where the package that watches files is not installed."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)

    result = cli("worker", "app", "--reload")

    assert 1 == result.exit_code
    assert "--reload needs the package 'watchfiles': pip install 'taskbridge[reload]'" in result.stderr


@pytest.fixture
def no_captured_warnings() -> Iterator[None]:
    """A log in JSON takes Python's warnings; here they are pytest's."""
    yield
    logging.captureWarnings(False)


@pytest.mark.parametrize(
    ("variable", "file", "words", "expected"),
    [
        ("", "", "", "plain"),
        ("", "json", "", "json"),
        ("plain", "json", "", "plain"),
        ("json", "", "", "json"),
        ("json", "json", "--log-format plain", "plain"),
        ("", "", "--log-format json --log-level DEBUG", "json"),
    ],
)
def test_the_log_is_in_the_form_that_was_asked_for(
    *,
    cli: Cli,
    asked: list[WorkerOptions],
    no_captured_warnings: None,
    variable: str,
    file: str,
    words: str,
    expected: str,
):
    """The command line beats the environment, which beats the file."""
    cli.set(LOG_FORMAT=variable)
    cli.write("pyproject.toml", f'[tool.taskbridge]\nlog_format = "{file}"\n')

    result = cli("worker", "app", *words.split())

    assert 0 == result.exit_code, result.output
    assert expected == asked[0].log_format


def test_a_form_that_no_log_has_is_refused(cli: Cli, asked: list[WorkerOptions]):
    """In the environment as on the command line, with what there is; nothing is started."""
    wrong_option = cli("worker", "app", "--log-format", "xml")
    cli.set(LOG_FORMAT="yaml")
    wrong_variable = [cli("worker", "app"), cli("relay")]

    assert 2 == wrong_option.exit_code
    assert "'xml' is not one of 'plain', 'json'" in wrong_option.output
    for result in wrong_variable:
        assert 1 == result.exit_code
        assert "taskbridge: log_format: expected plain or json, got 'yaml'" in result.output
    assert [] == asked


def test_metrics_are_an_observer_of_all_its_processes(
    cli: Cli, asked: list[WorkerOptions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Without --metrics there is none; where they are served is freed at the end, and nothing of it stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = os.listdir(tmp_path)
    where = f"127.0.0.1:{free_port()}"
    for words in ("", f"--metrics {where}", f"--metrics {where} --metrics-celery"):
        result = cli("worker", "app", *words.split())
        assert 0 == result.exit_code, result.output

    assert [[], ["metrics"], ["metrics"]] == [options.observers for options in asked]
    assert before == os.listdir(tmp_path)
    assert FOLDER not in os.environ


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--metrics 9191", "expected HOST:PORT or :PORT such as :9191"),
        ("--metrics :99999", "with a port up to 65535, got ':99999'"),
        ("--metrics-celery", "--metrics-celery says under which names: say where by --metrics HOST:PORT"),
    ],
)
def test_an_address_that_is_none_is_a_command_put_wrongly(cli: Cli, asked: list[WorkerOptions], words: str, why: str):
    """Nothing is started."""
    result = cli("worker", "app", *words.split())

    assert (2, []) == (result.exit_code, asked)
    assert why in " ".join(result.output.split())


def test_a_port_in_use_is_refused_before_anything_is_started(cli: Cli, asked: list[WorkerOptions]):
    """With what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        result = cli("worker", "app", "--metrics", where)

    assert (1, []) == (result.exit_code, asked)
    assert f"cannot serve metrics at {where}: Address already in use; choose another HOST:PORT" in result.output


def test_a_folder_for_metrics_that_is_none_is_refused_before_anything_is_started(
    cli: Cli, asked: list[WorkerOptions], monkeypatch: pytest.MonkeyPatch
):
    """It is named by prometheus_client's own variable."""
    monkeypatch.setenv(FOLDER, "/nowhere/at/all")
    result = cli("worker", "app", "--metrics", f"127.0.0.1:{free_port()}")

    assert (1, []) == (result.exit_code, asked)
    assert "PROMETHEUS_MULTIPROC_DIR: expected a folder that is there, got '/nowhere/at/all'" in result.output
