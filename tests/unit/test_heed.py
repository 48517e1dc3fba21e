"""What an operator wishes of messages without a ledger is known here within a second, whatever halts this process."""

from __future__ import annotations

import pytest

from taskbridge.heed import HEARD_S, Heed
from taskbridge.store.control import Halts
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message


def test_what_was_heard_before_a_halt_is_asked_again(monkeypatch: pytest.MonkeyPatch):
    """A process that was halted behind the answer does not take it for one of now."""
    clock = FakeClock()
    store = MemoryStore(clock)
    heed, message, answer = Heed(), a_message(), store.control.halts

    def halted() -> Halts:
        found = answer()
        clock.advance(3 * HEARD_S)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(store.control, "halts", halted)
        assert not heed.records(message, store, clock)
    store.control.pause("task", message.task, who="me", why="")

    assert heed.records(message, store, clock)
