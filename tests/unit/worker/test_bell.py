"""The bell: wakes an idle child, by a ring, a signal, or what its consumers hear by."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from taskbridge.worker.bell import Bell

#: A wait that ends by itself takes so long, seconds; one that is ended takes far less.
LONG_S, SOON_S = 30.0, 10.0


@pytest.fixture
def bell() -> Iterator[Bell]:
    shared = os.pipe()
    for end in shared:
        os.set_blocking(end, False)
    bell = Bell(shared)
    yield bell
    signal.set_wakeup_fd(-1)


def took_s(bell: Bell, timeout_s: float, *ears: int) -> float:
    begun_s = time.monotonic()
    bell.wait(timeout_s, ears)
    return time.monotonic() - begun_s


def test_a_ring_wakes_once(bell: Bell):
    """What was rung before is heard; the next wait is a new one."""
    bell.ring()

    assert took_s(bell, LONG_S) < SOON_S
    assert took_s(bell, 0.05) >= 0.05


def test_an_ear_wakes_and_is_left_to_its_consumer(bell: Bell):
    """A descriptor that can be read ends the wait; what there is to read stays there."""
    hear, say = os.pipe()
    os.write(say, b"m")

    assert took_s(bell, LONG_S, hear) < SOON_S
    assert b"m" == os.read(hear, 9)
