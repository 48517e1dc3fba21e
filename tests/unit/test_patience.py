"""What fails again and again is said seldom."""

from __future__ import annotations

import logging

import pytest

from taskbridge.errors import StoreUnavailable
from taskbridge.patience import SAY_EVERY_S, Trouble
from taskbridge.testing import FakeClock

LOG = logging.getLogger("taskbridge")


def test_what_fails_for_long_is_said_once_a_minute(clock: FakeClock, caplog: pytest.LogCaptureFixture):
    """At once, then with how often, then that it goes on; the next time at once again."""
    trouble = Trouble(LOG, clock, "the relay waits", "the relay goes on")

    with caplog.at_level(logging.INFO, "taskbridge"):
        for _ in range(150):
            trouble.met(StoreUnavailable("away"))
            clock.advance(SAY_EVERY_S / 120)
        trouble.over()
        trouble.over()
        trouble.met(StoreUnavailable("away"))

    assert [
        "the relay waits: away",
        "the relay waits: away (121 times now)",
        "the relay goes on, after 150 failures",
        "the relay waits: away",
    ] == caplog.messages
