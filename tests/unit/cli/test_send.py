"""``taskbridge send``."""

from __future__ import annotations

import json

import pytest

from taskbridge import Bridge

from .conftest import Cli


def sent(bridge: Bridge, backend: str, queue: str) -> list[tuple[str, object, object]]:
    """What waits in a queue: task, arguments, keyword arguments."""
    found = bridge.backend(backend).scan(queue, 10)
    return [(one.task, json.loads(bytes(one.args)), json.loads(bytes(one.kwargs))) for one in found]


def test_declared_task_goes_to_its_queue(cli: Cli, bridge: Bridge, engine: str):
    """The id is printed, and the message waits in the engine's queue of the task."""
    cli.set(BACKEND=engine)

    result = cli("send", "app.send_report", "7", "day=2026-02-03", "--module", "app")

    assert 0 == result.exit_code, result.output
    assert [("app.send_report", [7], {"day": "2026-02-03"})] == sent(bridge, engine, "emails")
    assert result.stdout.strip() == next(bridge.backend(engine).scan("emails", 1)).id


@pytest.mark.parametrize(
    ("words", "args", "kwargs"),
    [
        (["1", "-2.5", "true", "null", '"7"', "[1, {}]"], [1, -2.5, True, None, "7", [1, {}]], {}),
        (["monthly", "2026-01-01", "a b=c", "007"], ["monthly", "2026-01-01", "a b=c", "007"], {}),
        (["a=1", "b=text", 'c="1"', "d=", "e=x=y"], [], {"a": 1, "b": "text", "c": "1", "d": "", "e": "x=y"}),
        (["1", "b=2"], [1], {"b": 2}),
    ],
)
def test_arguments_are_json_and_else_text(cli: Cli, bridge: Bridge, words: list[str], args: object, kwargs: object):
    """A number is a number, a word is a word, KEY=VALUE is a keyword argument; a negative number is no option."""
    cli("send", "legacy.add", "--queue", "legacy", "--", *words)

    assert [("legacy.add", args, kwargs)] == sent(bridge, "celery", "legacy")


@pytest.mark.parametrize(
    "words",
    [["[1,"], ["{'a': 1}"], ["True"], ["a=None"], ["NaN"], ["a=1", "a=2"], ["--kwargs", "[]"], ["--kwargs", "{"]],
)
def test_argument_that_is_a_slip_is_refused(cli: Cli, bridge: Bridge, words: list[str]):
    """What begins like JSON and is none, or is Python's way to write it, is not sent as text."""
    result = cli("send", "legacy.add", "--queue", "legacy", *words)

    assert 2 == result.exit_code
    assert [] == sent(bridge, "celery", "legacy")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["app.send_report", "x"], "Expected `int`"),
        (["app.send_report"], "missing a required argument: 'user_id'"),
        (["app.send_report", "7", "dya=2026-01-01"], "dya"),
        (["app.send_reprot", "7"], "did you mean 'app.send_report'?"),
        (["app.boom", "x" * 70_000], "save the data and pass its id"),
        (["app.boom", "--backend", "dramatik"], "did you mean 'dramatiq'?"),
        (["app.boom", "--backend", "dramatiq", "--delay", "5"], "leave --backend out"),
    ],
)
def test_call_that_does_not_fit_is_refused(cli: Cli, bridge: Bridge, words: list[str], told: str):
    """By the task's signature, and before anything is sent."""
    result = cli("send", *words, "--module", "app")

    assert 1 == result.exit_code
    assert told in result.stderr
    assert [] == [*sent(bridge, "celery", "emails"), *sent(bridge, "dramatiq", "slow")]


def test_task_of_others_needs_a_queue(cli: Cli):
    """Nobody here knows where its workers listen."""
    result = cli("send", "legacy.add", "1")

    assert 2 == result.exit_code
    assert "--queue is needed" in result.stderr


def test_backend_may_be_chosen(cli: Cli, bridge: Bridge):
    """``--backend`` overrides the default and the shares, and is told."""
    said = cli.json("send", "legacy.add", "--queue", "legacy", "--backend", "dramatiq")

    assert "dramatiq" == said["backend"]
    assert [("legacy.add", [], {})] == sent(bridge, "dramatiq", "legacy")


def test_delay_is_kept_by_the_store(cli: Cli, bridge: Bridge):
    """A delayed message is in no queue; its backend is decided when it is due."""
    said = cli.json("send", "app.boom", "--module", "app", "--delay", "60")

    record = bridge.store.messages.look(said["id"])
    assert record is not None
    assert ("DELAYED", "") == (record.state, said["backend"])
    assert [] == sent(bridge, "celery", "slow")


def test_priority_and_queue_may_be_chosen(cli: Cli, bridge: Bridge):
    """They are those of ``using``."""
    cli("send", "app.boom", "--module", "app", "--queue", "urgent", "--priority", "9")

    (message,) = bridge.backend("celery").scan("urgent", 10)
    assert 9 == message.priority


def test_memory_is_refused(cli: Cli):
    """What this process sends to itself would be gone with it."""
    cli.set(BACKEND="memory")

    result = cli("send", "app.boom", "--module", "app")

    assert 1 == result.exit_code
    assert "lives in one process" in result.stderr
