"""Keyword arguments that this release does not have."""

from __future__ import annotations

import logging

import pytest

from taskbridge.outcome import Ended, Parked
from taskbridge.policies.unknown import judge_unknown

UNKNOWN = ("currency", "rate")


def test_message_waits_for_a_newer_worker():
    """``park`` keeps it, and says what for."""
    verdict = judge_unknown(UNKNOWN, "bank.book", "park")

    assert Parked(why="bank.book has no argument currency, rate in this release", missing=UNKNOWN) == verdict


def test_message_is_dead():
    """``fail`` puts it among the dead letters."""
    assert Ended(how="dead", why="bank.book has no argument currency, rate") == judge_unknown(
        UNKNOWN, "bank.book", "fail"
    )


def test_argument_is_dropped_with_a_warning(caplog: pytest.LogCaptureFixture):
    """``drop`` runs the task without them, and somebody is told."""
    with caplog.at_level(logging.WARNING, "taskbridge"):
        verdict = judge_unknown(UNKNOWN, "bank.book", "drop")

    assert verdict is None
    assert "bank.book has no argument currency, rate: dropped" in caplog.text
