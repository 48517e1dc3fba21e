"""What is in nobody's hands comes back."""

from __future__ import annotations

import logging

import pytest

from taskbridge.message import encode
from taskbridge.relay.lost import SweepClaims, SweepShelves
from taskbridge.store import GAP_MS, LEASE_MS, Begin
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message


def test_a_lapsed_claim_is_taken_back(caplog: pytest.LogCaptureFixture):
    """After its lease, while a sweeper lives, its message is ready again; the log says so."""
    clock = FakeClock()
    store, message = MemoryStore(clock), a_message()
    sweep = SweepClaims(store)
    store.claims.begin(Begin(message=message, body=encode(message), claim="c", max_crashes=3))

    swept = []
    with caplog.at_level(logging.WARNING, "taskbridge.relay"):
        for _ in range(2 * LEASE_MS // GAP_MS + 2):
            swept.append(sweep())
            clock.advance(GAP_MS / 2000)

    assert [1] == [found for found in swept if found]
    assert [message.id] == [due.id for due in store.outbox.take(10)]
    assert f"the claim on {message.id} lapsed: it runs again" in caplog.text


class Keeper:
    """Of one backend, with so many messages on the shelves of lost workers."""

    def __init__(self, found: int) -> None:
        self.found = found

    def sweep(self) -> int:
        found, self.found = self.found, 0
        return found


def test_shelves_of_every_backend_are_swept(caplog: pytest.LogCaptureFixture):
    """At its own pace, however much there was; the log says how many came back, and nothing when none did."""
    sweep = SweepShelves([Keeper(3), Keeper(0), Keeper(4)])  # type: ignore[list-item]

    with caplog.at_level(logging.WARNING, "taskbridge.relay"):
        assert [0, 0] == [sweep(), sweep()]

    assert ["7 messages that a lost worker had fetched are back in their queues"] == caplog.messages
