"""Shadows where tasks run: what a copy may do, what is told of it, and that nothing of it hurts its original."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taskbridge import Drop, Reschedule, Retry, Throttled, current
from taskbridge.copies import copy_of
from taskbridge.errors import ConfigError, StoreFull, StoreUnavailable
from taskbridge.events import Shadowed
from taskbridge.message import Message, Shadow
from taskbridge.outcome import Outcome
from taskbridge.store.shadows import SUCCEEDED, Disagreement, Tally
from taskbridge.testing import a_message
from taskbridge.testing.fakes import NOON_MS

from .deliveries import AT_ONCE, Stage


def shadowed(stage: Stage, body: Callable[[], Any], name: str = "tests.send") -> tuple[Message, Message]:
    """A task of this body; returns a message of it that has a copy, and the copy."""
    stage.bridge.task(name=name, retry=AT_ONCE, shadow_safe=True)(body)
    original = a_message(task=name, shadow=Shadow(rule="s1"), enqueued_at_ms=NOON_MS)
    return original, copy_of(original, "s1")


def both(stage: Stage, body: Callable[[], Any], name: str = "tests.send") -> None:
    """Run an original of this body, and its copy."""
    for message in shadowed(stage, body, name):
        stage.run(message, claim=message.id)


def tally(stage: Stage) -> Tally:
    (found,) = stage.bridge.store.shadows.read(0)[0]
    return found


def last(stage: Stage) -> Disagreement:
    return stage.bridge.store.shadows.read(1)[1][0]


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError("no"), "ValueError"),
        (SystemExit(3), "SystemExit"),
        (Retry("busy"), "Retry"),
        (Reschedule(5), "Reschedule"),
        (Throttled(5), "Throttled"),
        (Drop("no use"), "Drop"),
    ],
)
def test_what_a_task_raises_is_its_outcome(stage: Stage, error: BaseException, name: str):
    """Whatever it leads to: two that raise the same agree, and one that returns does not agree with it."""

    def body() -> None:
        raise error

    both(stage, body)
    assert (1, 1) == (tally(stage).agreed, tally(stage).pairs)

    def returns_in_a_copy() -> None:
        if not current().shadow:
            raise error

    both(stage, returns_in_a_copy, "tests.other")
    assert (name, SUCCEEDED, "outcome") == (last(stage).original.outcome, last(stage).copy.outcome, last(stage).by)


@pytest.mark.parametrize(
    ("result", "by"),
    [
        (lambda: 7, ""),
        (lambda: {"b": 1, "a": {3, 1, 2}}, ""),
        (lambda: current().shadow, "result"),
        (object, ""),  # no JSON can carry it: it is not compared
    ],
)
def test_results_are_compared_by_their_json(stage: Stage, result: Callable[[], Any], by: str):
    """Of which a hash alone is kept; what JSON cannot carry is not compared, and its task is done as ever."""
    both(stage, result)

    assert by == (last(stage).by if by else "")
    assert (not by, 1) == (bool(tally(stage).agreed), tally(stage).pairs)


def test_a_copy_is_told_of_apart(stage: Stage):
    """As ``Shadowed`` of its original, and as nothing else; its outcome is told to its engine as one to ignore."""
    original, copy = shadowed(stage, lambda: 1)

    outcomes = [stage.run(message, claim=message.id) for message in (original, copy, copy)]

    assert ["Started", "Succeeded", "Shadowed", "Shadowed"] == stage.told()
    assert [(original.id, "ran", "agreed"), (original.id, "unrun", "it has begun before")] == [
        (one.id, one.how, one.why) for one in stage.heard if isinstance(one, Shadowed)
    ]
    assert ["dropped", "dropped"] == [getattr(outcome, "how", "") for outcome in outcomes[1:]]


def test_hooks_that_set_up_run_around_a_copy(stage: Stage):
    """And those that look on; a copy that fails is nobody's failure."""
    told: list[str] = []
    bridge = stage.bridge
    bridge.before_task(lambda current: told.append(f"before {current.shadow}"))
    bridge.middleware(lambda call_next, current: (told.append("around"), call_next())[1])
    bridge.on_failure(lambda current, error, final: told.append("failure"))

    def after(current: Any, outcome: Outcome) -> None:
        told.append(f"after {type(outcome).__name__}")

    bridge.after_task(after)

    def body() -> None:
        raise ValueError

    stage.run(shadowed(stage, body)[1])

    assert ["before True", "around", "after Ended"] == told


def test_a_copy_commits_nothing(stage: Stage, tmp_path: Path):
    """``current().inbox`` is refused with what to do."""
    connection = sqlite3.connect(tmp_path / "bank.db", isolation_level=None)

    def body() -> None:
        with current().inbox(connection) as fresh:
            assert fresh

    both(stage, body)

    assert (SUCCEEDED, "ShadowEffect") == (last(stage).original.outcome, last(stage).copy.outcome)
    assert last(stage).copy.why.startswith("ShadowEffect: current().inbox() in a shadow of tests.send")
    connection.close()


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreFull("no memory left")])
def test_what_cannot_be_told_hurts_nothing(
    stage: Stage, error: StoreUnavailable, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The original is done; the copy does not run where the store cannot note that it does, and is not waited for."""
    ran: list[bool] = []
    original, copy = shadowed(stage, lambda: ran.append(current().shadow))

    def fails(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(stage.bridge.store.shadows, "tell", fails)
    monkeypatch.setattr(stage.bridge.store.shadows, "begin", fails)
    with caplog.at_level(logging.INFO):
        for message in (original, copy):
            stage.run(message, claim=message.id)

    assert ([False], "DONE") == (ran, stage.look(original).state)
    assert f"is not compared with its copy: {error}" in caplog.text
    assert [("unrun", str(error))] == [(one.how, one.why) for one in stage.heard if isinstance(one, Shadowed)]


def test_what_is_not_shadowed_is_never_told(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """No word of it goes to the store."""
    monkeypatch.setattr(type(stage.bridge.store.shadows), "tell", None)
    stage.bridge.task(name="tests.send", shadow_safe=True)(lambda: 1)

    stage.run(a_message())

    assert ["Started", "Succeeded"] == stage.told()


def test_a_chunked_task_is_not_shadow_safe(stage: Stage):
    """Its run is no one body."""
    from taskbridge import chunked, ids

    with pytest.raises(ConfigError, match="shadow_safe is for a task whose run is one body"):
        stage.bridge.task(name="tests.chunks", shadow_safe=True)(chunked(over=ids(0, 9), size=3)(lambda chunk: None))
