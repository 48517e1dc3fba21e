"""``taskbridge dashboard``."""

from __future__ import annotations

import re
import signal
import socket
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import urlopen

import pytest

from taskbridge import Bridge
from taskbridge.operations.moments import moments
from taskbridge.testing import a_message
from tests.servers import HOST, free_port, until

from .conftest import Cli
from .test_processes import running

#: What it says at first.
WHERE = re.compile(r"the dashboard is at http://127\.0\.0\.1:(\d+)/\ntoken: \S{43}\n")

TOKEN = "a-token-of-the-tests-that-is-long"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(cli: Cli, bridge: Bridge, tmp_path: Path, how: signal.Signals):
    """It prints where it is, shows what stands, and ends with exit code 0, also while a browser is connected."""
    bridge.store.outbox.put([a_message(queue="emails")], 60_000)
    log = tmp_path / "log"

    with running(["dashboard", "--bind", "127.0.0.1:0", "--token", "auto"], log) as process:
        found = until(lambda: WHERE.search(log.read_text()), 60, "where it is")
        with closing(HTTPConnection(HOST, int(found[1]))) as kept:
            kept.request("GET", "/")
            text = kept.getresponse().read().decode()
            process.send_signal(how)
            code = process.wait(60)

    assert 0 == code, log.read_text()
    assert "emails" in text
    assert "Traceback" not in log.read_text()


def test_it_keeps_how_things_were_before_anybody_looks(cli: Cli, bridge: Bridge, tmp_path: Path):
    """So its charts have a past when they are first looked at; when it ends, another may go on at once."""
    with running(["dashboard", "--bind", "127.0.0.1:0"], tmp_path / "log") as process:
        until(lambda: moments(bridge.store, bridge.store.now_ms()), 60, "numbers are taken")
        until(lambda: not bridge.store.leader.hold("dashboard", "another", 1), 20, "it to have the lead")
        process.terminate()
        process.wait(60)

    assert bridge.store.leader.hold("dashboard", "another", 1_000)


def test_a_port_that_is_taken_is_a_clear_error(cli: Cli):
    """Which one, why, and what to do."""
    with socket.socket() as taken:
        taken.bind((HOST, port := free_port()))
        taken.listen()
        result = cli("dashboard", "--bind", f"{HOST}:{port}")

    assert 1 == result.exit_code
    told = f"taskbridge: cannot listen at {HOST}:{port}: Address already in use; choose another --bind HOST:PORT"
    assert told == result.output.strip()


def test_beyond_loopback_reading_needs_a_token(cli: Cli):
    """Or that somebody says that it does not."""
    result = cli("dashboard", "--bind", ":8090")

    assert 1 == result.exit_code
    assert "at :8090 others than this machine could read" in result.output
    assert "--allow-anonymous-reading" in result.output


def test_beyond_loopback_with_a_token(cli: Cli, tmp_path: Path):
    """Pages are shown to who has it, and it answers as what it is allowed to alone."""
    port, log = free_port(), tmp_path / "log"
    words = ["dashboard", "--bind", f":{port}", "--allowed-host", "tasks.example.com"]

    with running(words, log, DASHBOARD_TOKEN=TOKEN):
        until(lambda: "the dashboard is at" in log.read_text(), 100, "it to serve")
        statuses = []
        for host in ("localhost", "tasks.example.com", "evil.example"):
            with closing(HTTPConnection(HOST, port)) as asked:
                asked.request("GET", "/", headers={"Host": host})
                statuses.append(asked.getresponse().status)

    assert [401, 401, 400] == statuses
    assert TOKEN not in log.read_text()


def test_tokens_come_from_files(cli: Cli, tmp_path: Path):
    """Their first line; one that is empty or short says so, and not what it is."""
    cli.write("empty", "\n")
    cli.write("short", "hush\n")

    empty, short = (cli("dashboard", "--token-file", name) for name in ("empty", "short"))

    assert (1, 1) == (empty.exit_code, short.exit_code)
    assert "expected a token in its first line, and it is empty" in empty.output
    assert "has 4 characters: give it 16 or more" in short.output
    assert "hush" not in short.output


def test_one_token_is_named(cli: Cli):
    """Of a file beside one that is made nobody could say which it is."""
    cli.write("token", TOKEN)

    result = cli("dashboard", "--token", "auto", "--token-file", "token")

    assert 2 == result.exit_code
    assert "expected --token-file or --token auto, and not both" in result.output


@pytest.mark.parametrize(
    ("option", "span", "least"),
    [("--refresh", "0s", "0.1 s"), ("--refresh", "0.01", "0.1 s"), ("--session", "0s", "0.001 s")],
)
def test_a_span_that_is_too_short_is_refused(cli: Cli, option: str, span: str, least: str):
    """Each open page would ask the store without a pause, or nobody would ever be signed in."""
    result = cli("dashboard", option, span)

    assert 1 == result.exit_code
    assert f"{option[2:]}: expected {least} or more, got" in result.output


def test_behind_a_proxy_links_have_its_prefix(cli: Cli, tmp_path: Path):
    """And what the proxy says of the scheme is believed of it alone."""
    log = tmp_path / "log"
    words = ["dashboard", "--bind", "127.0.0.1:0", "--url-prefix", "/tasks", "--trusted-proxy", "127.0.0.1"]

    with running(words, log):
        url = until(lambda: re.search(r"http://\S+/tasks/", log.read_text()), 60, "where it is")[0]
        with urlopen(url, timeout=20) as answer:
            text = answer.read().decode()

    assert 'href="/tasks/static/dashboard.css' in text


def test_its_tokens_are_variables_that_are_known(cli: Cli, bridge: Bridge):
    """`check` does not take them for a mistake."""
    cli.set(DASHBOARD_TOKEN=TOKEN, DASHBOARD_READ_TOKEN=TOKEN + "2")

    assert "DASHBOARD" not in cli("check", "app").output
