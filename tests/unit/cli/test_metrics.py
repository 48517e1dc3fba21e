"""``taskbridge metrics``."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from taskbridge import Bridge
from taskbridge.testing import a_message
from tests.servers import free_port, until

from .conftest import Cli
from .test_processes import running


def value(text: str, name: str, **labels: str) -> float:
    """The value of the one sample that has these labels."""
    samples = [sample for family in parsed(text) for sample in family.samples if sample.name == name]
    (found,) = [sample.value for sample in samples if labels.items() <= sample.labels.items()]
    return found


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers is waited for, however busy the machine is."""
    monkeypatch.setattr("taskbridge.observe.gauges.PATIENCE_S", 20.0)
    monkeypatch.setattr("taskbridge.observe.gauges.NAMES_S", 20.0)


@pytest.mark.parametrize("words", [[], ["--once"]])
def test_it_prints_what_prometheus_reads(cli: Cli, bridge: Bridge, engine: str, words: list[str]):
    """Every line of it, and nothing else on standard output."""
    cli.set(BACKEND=engine)
    bridge.backend(engine).publish([a_message(queue="emails") for _ in range(3)])
    bridge.store.outbox.put([a_message(queue="emails")], 60_000)

    result = cli("metrics", *words)

    assert (0, "") == (result.exit_code, result.stderr)
    at = {"backend": engine, "broker": "redis", "queue": "emails"}
    assert (3, 1) == (
        value(result.stdout, "taskbridge_queue_length", **at),
        value(result.stdout, "taskbridge_delayed", queue="emails"),
    )
    assert "celery_queue_length" not in result.stdout


def test_queues_that_are_named_are_looked_at(cli: Cli):
    """And those of a module's tasks."""
    text = cli("metrics", "--queues", "more,most", "--module", "app", "--celery").stdout

    assert [0] * 4 == [
        value(text, "taskbridge_queue_length", queue=name) for name in ("more", "most", "emails", "slow")
    ]
    assert 0 == value(text, "celery_queue_length", queue_name="emails", backend="celery", broker="redis")


def test_rates_of_a_module_are_shown(cli: Cli):
    """Also where no worker lives to announce them."""
    cli.write("app.py", "from taskbridge import RateLimit, task\n@task(rate_limit=RateLimit('5/s'))\ndef t(): ...\n")

    assert 5 == value(cli("metrics", "--module", "app").stdout, "taskbridge_limit_per_second", limit="app.t")


def test_what_is_away_is_told_and_ends_with_1(cli: Cli, nowhere: str):
    """It is printed all the same; why stands on standard error, without a password."""
    cli.set(STORE_URL=nowhere)

    result = cli("metrics", "--queues", "emails")

    assert 1 == result.exit_code
    assert (0, 1) == (value(result.stdout, "taskbridge_store_up"), value(result.stdout, "taskbridge_broker_up"))
    assert 0 == value(result.stdout, "taskbridge_queue_length", queue="emails")
    assert "hush" not in result.output


@pytest.mark.parametrize("words", [["--listen", "9192"], ["--listen", ":99999"], ["--listen", "http://h:1"]])
def test_a_bad_address_is_a_usage_error(cli: Cli, words: list[str]):
    """With an example."""
    result = cli("metrics", *words)

    assert 2 == result.exit_code
    assert "expected HOST:PORT or :PORT such as :9191" in result.stderr


def test_printing_and_serving_exclude_each_other(cli: Cli):
    """It says which to leave out."""
    result = cli("metrics", "--once", "--listen", ":9192")

    assert 2 == result.exit_code
    assert "give one of them" in result.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(cli: Cli, bridge: Bridge, tmp_path: Path, how: signal.Signals):
    """Each scrape is a new look; it says where it is, and ends by a signal with exit code 0."""
    log, address = tmp_path / "log", f"127.0.0.1:{free_port()}"

    def delayed() -> float:
        with urlopen(f"http://{address}/metrics", timeout=20) as answer:
            return value(answer.read().decode(), "taskbridge_delayed", queue="emails")

    with running(["metrics", "--listen", address], log) as process:
        until(lambda: "metrics are at" in log.read_text(), 100, "it to serve")
        seen = []
        for _ in range(2):
            bridge.store.outbox.put([a_message(queue="emails")], 60_000)
            seen.append(delayed())
        process.send_signal(how)
        code = process.wait(60)

    assert (0, [1, 2]) == (code, seen), log.read_text()
    assert f"metrics are at http://{address}/metrics" in log.read_text()


def test_it_writes_its_log_as_the_settings_say(cli: Cli, nowhere: str, tmp_path: Path):
    """That the store is away is an entry in JSON, as a worker's would be."""
    log, address = tmp_path / "log", f"127.0.0.1:{free_port()}"

    with running(["metrics", "--listen", address], log, LOG_FORMAT="json", STORE_URL=nowhere):
        until(lambda: "metrics are at" in log.read_text(), 100, "it to serve")
        urlopen(f"http://{address}/metrics", timeout=20).close()

    (entry,) = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert ("WARNING", "taskbridge.metrics") == (entry["level"], entry["logger"])
    assert entry["message"].startswith("the gauges of the store are not shown until it answers: ")


def test_a_port_in_use_is_refused(cli: Cli, tmp_path: Path):
    """With what to do."""
    address = f"127.0.0.1:{free_port()}"
    with running(["metrics", "--listen", address], tmp_path / "log"):
        until(lambda: "metrics are at" in (tmp_path / "log").read_text(), 100, "it to serve")

        result = cli("metrics", "--listen", address)

    assert 1 == result.exit_code
    assert f"taskbridge: cannot serve metrics at {address}: Address already in use; choose another" in result.stderr


def test_a_missing_package_names_its_extra(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    """prometheus-client is an extra."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    result = cli("metrics")

    assert 1 == result.exit_code
    assert (
        "taskbridge: metrics need the package 'prometheus_client': pip install 'taskbridge[metrics]'" in result.stderr
    )
