"""``taskbridge tasks``."""

from __future__ import annotations

import pytest

from .conftest import Cli

LOCKED = """
from taskbridge import Lock, task


@task(lock=Lock("user:{user_id}"), tags=("a", "b"))
def pay(user_id: int, note: str | None = None) -> None: ...
"""


def test_every_task_is_listed(cli: Cli):
    """Name, queue, the options that differ from the defaults, arguments; by name."""
    boom, report = cli.json("tasks", "app")

    assert ("app.boom", "slow", {"retry": "Backoff(max_retries=0)"}) == (boom["name"], boom["queue"], boom["options"])
    assert ("app.send_report", "emails", {"priority": 8, "expires": 600}) == tuple(report.values())[:3]
    assert "user_id: int" in report["arguments"]


def test_table_has_the_same(cli: Cli):
    """A row per task."""
    shown = cli("tasks", "app").stdout

    assert "priority=8, expires=600" in shown
    assert 4 == len(shown.splitlines())


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"], ids=["now", "future"])
def test_a_task_is_shown_as_it_is_written(cli: Cli, future: str):
    """Annotations without quotes, and of one lock no list: in the table, in JSON, and where a call does not fit."""
    cli.write("app.py", future + LOCKED)

    shown, (one,) = cli("tasks", "app").stdout, cli.json("tasks", "app")
    refused = cli("send", "app.pay", "--module", "app")

    assert "(user_id: int, note: str | None = None) -> None" == one["arguments"]
    assert "lock=Lock(key=user:{user_id}), tags=[a, b] " in shown
    assert one["arguments"] in shown
    assert f"expected app.pay{one['arguments']}" in refused.stderr
    assert {"lock": ["Lock(key=user:{user_id})"], "tags": ["a", "b"]} == one["options"]


def test_module_without_tasks_is_told(cli: Cli):
    """Most likely they are on a Bridge that was not named."""
    cli.write("empty.py", "")

    result = cli("tasks", "empty")

    assert 0 == result.exit_code
    assert "MODULE:NAME" in result.stdout


def test_two_tasks_of_one_name_are_refused(cli: Cli):
    """The module that declares the second does not import."""
    two = "from taskbridge import task\n@task(name='same')\ndef one(): ...\n@task(name='same')\ndef other(): ...\n"
    cli.write("two.py", two)

    result = cli("tasks", "two")

    assert 1 == result.exit_code
    assert "two tasks are called 'same'" in result.stderr
