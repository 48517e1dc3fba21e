"""How long an attempt may take, by whom, and who cannot keep that."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge import Bridge
from taskbridge.backend import Capabilities
from taskbridge.errors import ConfigError, NotSupported
from taskbridge.options import TaskOptions, Timeouts
from taskbridge.policies.timeout import refuse_tasks, stamps, timeouts_for
from taskbridge.testing import a_message

DEFAULT = Timeouts(soft_ms=1, hard_ms=2)

NEITHER = Capabilities(soft_timeout=False, hard_timeout=False)


@pytest.mark.parametrize(
    ("message", "declared", "expected"),
    [
        ({}, {}, (1, 2)),
        ({}, {"timeout": 30}, (30_000, 2)),
        ({}, {"timeout": 30, "hard_timeout": 45}, (30_000, 45_000)),
        ({"timeout_ms": 7}, {"timeout": 30, "hard_timeout": 45}, (7, 45_000)),
        ({"timeout_ms": 7, "hard_timeout_ms": 8}, {}, (7, 8)),
        ({"timeout_ms": -1}, {"timeout": 30, "hard_timeout": 45}, (1, 45_000)),
        ({"hard_timeout_ms": -1}, {"hard_timeout": 45}, (1, 2)),
    ],
)
def test_the_nearest_says_it(message: dict[str, int], declared: dict[str, Any], expected: tuple[int, int]):
    """The message's own, else the task's, else the settings'; each of the two by itself."""
    found = timeouts_for(a_message(**message), TaskOptions(**declared), DEFAULT)

    assert Timeouts(soft_ms=expected[0], hard_ms=expected[1]) == found


@pytest.mark.parametrize(
    ("declared", "changes", "expected"),
    [
        ({"timeout": 30}, {}, (0, 0)),
        ({"timeout": 30}, {"delay": 5}, (0, 0)),
        ({"timeout": 30}, {"timeout": 30.0}, (0, 0)),
        ({"timeout": 30}, {"timeout": 5, "hard_timeout": 6}, (5_000, 6_000)),
        ({"timeout": 30, "hard_timeout": 45}, {"timeout": None}, (-1, 0)),
    ],
)
def test_a_message_carries_what_its_call_changes(
    declared: dict[str, Any], changes: dict[str, Any], expected: tuple[int, int]
):
    """And no more: a newer release's own timeouts count for what is in the queue already."""
    options = TaskOptions(**declared)

    found = stamps(options.with_changes(changes), options)

    assert Timeouts(soft_ms=expected[0], hard_ms=expected[1]) == found


def test_calls_carry_their_own(bridge: Bridge):
    """``using`` changes one call; a task that only other workers have takes all of it along."""
    declared = bridge.task(name="t", queue="q", timeout=30, hard_timeout=45)(lambda: None)
    external = bridge.external("legacy", queue="q", timeout=3)

    declared.enqueue()
    declared.using(priority=5).using(timeout=40).enqueue()
    external.enqueue()
    external.using(hard_timeout=9).enqueue()

    sent = [(one.timeout_ms, one.hard_timeout_ms) for one in bridge.backend("memory").scan("q", 10)]
    assert [(0, 0), (40_000, 0), (3_000, 0), (3_000, 9_000)] == sent


@pytest.mark.parametrize(
    ("options", "default", "kept", "why"),
    [
        (
            {"timeout": 1.5},
            Timeouts(),
            NEITHER,
            "here cannot keep the timeout of 1.5 s of t: run it under `taskbridge w",
        ),
        ({"hard_timeout": 9}, Timeouts(), Capabilities(hard_timeout=False), "here cannot keep the hard_timeout of 9 s"),
        ({}, DEFAULT, NEITHER, "here cannot keep the timeout of 0.001 s of t"),
    ],
)
def test_what_is_not_kept_is_refused(
    bridge: Bridge, options: dict[str, Any], default: Timeouts, kept: Capabilities, why: str
):
    """The task is named, and what to do; what the settings say counts as the task's own."""
    bridge.task(name="plain", timeout=None)(lambda: None)
    bridge.task(name="t", **options)(lambda: None)
    tasks = {"t": bridge.definitions["t"]}

    with pytest.raises(NotSupported) as refused:
        refuse_tasks(tasks, default, kept, "here")

    assert str(refused.value).startswith(why)
    refuse_tasks(tasks, default, Capabilities(), "here")
    refuse_tasks({"plain": bridge.definitions["plain"]}, Timeouts(), NEITHER, "here")


def test_a_task_above_the_settings_hard_timeout_is_refused(bridge: Bridge):
    """It would never meet its own: which of the two is meant has to be said."""
    bridge.task(name="t", timeout=60)(lambda: None)

    with pytest.raises(
        ConfigError, match=r"t: its timeout is 60 s and its hard_timeout 45 s, one of them by the settings"
    ):
        refuse_tasks(bridge.definitions, Timeouts(hard_ms=45_000), Capabilities(), "here")
