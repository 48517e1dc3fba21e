"""A bridge in memory, on a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from taskbridge import Bridge, Settings
from taskbridge.testing import FakeClock

from .deliveries import Stage

#: A law is about values, not about how busy the machine is.
hypothesis.settings.register_profile("laws", deadline=None)
hypothesis.settings.load_profile("laws")


class BridgeClock(FakeClock):
    """What a bridge asks of its clock beside the time; the memory store reads this very clock, so they agree."""

    def agree_with(self, store_now_ms: int) -> None:
        assert store_now_ms == self.now_ms()


@pytest.fixture
def clock() -> BridgeClock:
    return BridgeClock()


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker announces stands for as long as the law takes, however busy the machine is."""
    monkeypatch.setattr("taskbridge.announcement.LEASE_MS", 3_600_000)


@pytest.fixture
def bridge(clock: BridgeClock) -> Iterator[Bridge]:
    made = Bridge(Settings(backend="memory"))
    made.clock = clock
    yield made
    made.close()


@pytest.fixture
def stage(bridge: Bridge, clock: BridgeClock) -> Stage:
    return Stage(bridge, clock)
