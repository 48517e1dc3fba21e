"""What is allowed and unwise is told."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge import Bridge, Lock, Settings
from taskbridge.operations.hints import hints, patience_hints

WAITS, SKIPS = Lock("user:{user}"), Lock("bank:{user}", "skip")


@pytest.mark.parametrize(
    ("options", "settings", "told"),
    [
        ({"lock": WAITS}, {}, True),
        ({"lock": [SKIPS, WAITS]}, {}, True),
        ({"lock": WAITS, "timeout": 5}, {}, False),
        ({"lock": WAITS, "hard_timeout": 5}, {}, False),
        ({"lock": WAITS}, {"timeout": 30}, False),
        ({"lock": SKIPS}, {}, False),
        ({}, {}, False),
    ],
)
def test_a_lock_that_is_waited_for_wants_a_timeout(options: dict[str, Any], settings: dict[str, Any], told: bool):
    """A task that hangs would make all that wait for its lock hang with it."""
    bridge = Bridge(Settings(backend="memory", **settings))
    bridge.task(name="t", **options)(lambda user: None)

    found = hints(bridge)

    assert told == bool(found)
    assert all("t: others wait for its lock, and it has no timeout" in hint for hint in found)


@pytest.mark.parametrize(
    ("options", "settings", "url", "told"),
    [
        ({"hard_timeout": 1_800}, {}, "", ["may run 1800 s, and the broker waits 1800 s", "above 1862 s"]),
        ({"timeout": 1_750}, {}, "", ["may run 1750 s"]),
        ({"timeout": 30, "hard_timeout": 1_700}, {}, "", []),
        ({}, {"hard_timeout": 7_200}, "", ["may run 7200 s"]),
        ({"hard_timeout": 7_200}, {}, "?consumer_timeout=10000", []),
        ({"hard_timeout": 60}, {}, "?consumer_timeout=90", ["may run 60 s, and the broker waits 90 s"]),
        ({}, {}, "", []),
    ],
)
@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_a_task_longer_than_the_broker_is_patient_is_told(
    engine: str, options: dict[str, Any], settings: dict[str, Any], url: str, told: list[str]
):
    """As far as its timeouts say, and the URL says what the broker's own setting is; without it the default counts."""
    bridge = Bridge(Settings(backend=engine, broker_url=f"amqp://mq/{url}", **settings))
    bridge.task(name="t", **options)(lambda: None)

    found = patience_hints(bridge.backend(engine), bridge)

    assert bool(told) == bool(found)
    assert all(text in found[0] for text in told)


def test_a_broker_that_is_patient_for_ever_says_nothing():
    """As Redis."""
    bridge = Bridge(Settings(backend="celery", broker_url="redis://mq", hard_timeout=10**6))
    bridge.task(name="t")(lambda: None)

    assert [] == patience_hints(bridge.backend("celery"), bridge)
