"""Dramatiq's middleware around an attempt of ours: what begins there ends there."""

from __future__ import annotations

from typing import Any

from dramatiq.middleware import Middleware

from taskbridge import Bridge, Settings
from taskbridge.backend import Delivery
from taskbridge.outcome import Done, Ended
from taskbridge.testing import a_message
from taskbridge_dramatiq import wire
from taskbridge_dramatiq.backend import DramatiqBackend


class Watching(Middleware):
    """Writes down what it sees, and fails a message when it is told to."""

    def __init__(self, *, fails: bool) -> None:
        self.seen: list[str] = []
        self._fails = fails

    def before_process_message(self, broker: Any, message: Any) -> None:
        self.seen.append("before")
        if self._fails:
            message.fail()

    def after_process_message(self, broker: Any, message: Any, **_: Any) -> None:
        self.seen.append("after")


def test_a_message_that_a_middleware_has_failed_ends_in_every_middleware():
    """As Dramatiq's own worker has it: a scope or a span that was opened for it is closed."""
    outcomes = []
    for fails in (False, True):
        watching = Watching(fails=fails)
        bridge = Bridge(Settings(backend="dramatiq", broker_url="redis://127.0.0.1:9/0"))
        bridge.task(name="tests.send")(lambda: None)
        backend = bridge.backend("dramatiq")
        assert isinstance(backend, DramatiqBackend)
        backend.middleware.append(watching)
        message = a_message()
        raw = wire.encode(message, "mail", "r")

        delivery = Delivery(tag="1", queue="mail", raw=raw, message=message)
        outcomes.append(backend.runner(bridge.definitions).run(delivery, Done))

        assert ["before", "after"] == watching.seen
    assert [Done, Ended] == [type(outcome) for outcome in outcomes]
