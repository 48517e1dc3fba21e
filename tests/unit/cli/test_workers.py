"""``taskbridge workers``."""

from __future__ import annotations

import pytest

from taskbridge import Bridge
from taskbridge.announcement import Announcement, Team, announce
from taskbridge.testing import a_message

from .conftest import Cli, begun

NAME = "host.1.ab"


@pytest.fixture
def worker(bridge: Bridge) -> str:
    """One that lives and runs something."""
    groups = {"": Team(2, ["emails"])}
    told = Announcement(name=NAME, backends=["celery"], queues=["emails"], processes=2, tasks={}, groups=groups)
    announce(bridge.store, told)
    begun(bridge.store, a_message(task="app.\x1b[31mpay", queue="emails"))
    return NAME


def test_workers_are_listed(cli: Cli, worker: str):
    """With their groups and what they run; what is no letter is shown as text."""
    (one,) = cli.json("workers", "list")["workers"]
    shown = cli("workers", "list").stdout

    assert (worker, {"default": {"processes": 2, "queues": ["emails"]}}) == (one["name"], one["groups"])
    assert "default=2:emails" in shown
    assert r"app.\x1b[31mpay for" in shown


def test_nobody_lives(cli: Cli):
    """It says what to do."""
    assert "no worker lives: start one by taskbridge worker MODULE" in cli("workers", "list").stdout
    assert [] == cli.json("workers", "list")["workers"]
    assert "no worker lives" in cli("workers", "shutdown", "--all").stdout


def test_a_group_is_scaled_and_given_back(cli: Cli, worker: str):
    """What stood before is told, and what nobody serves any more."""
    none = cli("workers", "scale", "default", "0")
    marked = cli("workers", "list")
    back = cli("workers", "reset", "default")

    assert f"default: 0 processes in {worker}, 2 before" in none.stdout
    assert "nobody serves emails then: what is sent there waits" in none.stderr
    assert "default=2*:emails" in marked.stdout
    assert f"default: as many processes as it was started with in {worker}, 2 before" in back.stdout


def test_a_worker_is_ended_after_a_question(cli: Cli, worker: str):
    """No leaves it."""
    refused = cli("workers", "shutdown", worker, input="n\n")
    left = cli.json("workers", "list")["workers"][0]["ends"]
    asked = cli("workers", "shutdown", "--all", "--yes")

    assert (1, False) == (refused.exit_code, left)
    assert f"asked to end: {worker}" in asked.stdout
    assert f"{worker} (ends)" in cli("workers", "list").stdout


def test_what_is_put_wrongly_is_refused(cli: Cli, worker: str):
    """Nobody named, a group that nobody has, a number that cannot be."""
    assert 2 == cli("workers", "shutdown").exit_code
    assert 2 == cli("workers", "shutdown", worker, "--all").exit_code
    unknown = cli("workers", "scale", "defualt", "3")
    assert (1, True) == (unknown.exit_code, "did you mean 'default'" in unknown.stderr)
    assert 1 == cli("workers", "scale", "default", "5000").exit_code
