"""What is allowed and unwise is told."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge import Bridge, Lock, Settings
from taskbridge.operations.hints import hints

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
