"""A real client whose transport keeps what it is given, and a bridge that is observed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.scope import Scope
from sentry_sdk.transport import Transport

from taskbridge import Bridge, Settings

from ...conftest import BridgeClock
from ...deliveries import Stage

DSN = "http://key@127.0.0.1:9/1"


class Kept(Transport):
    """Keeps envelopes; what is asked for is read from their items."""

    def __init__(self, dsn: str = DSN) -> None:
        super().__init__({"dsn": dsn})
        self.envelopes: list[Envelope] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)

    def items(self, kind: str) -> list[Any]:
        return [item.payload.json for one in self.envelopes for item in one.items if item.headers.get("type") == kind]

    @property
    def errors(self) -> list[Any]:
        return self.items("event")

    @property
    def transactions(self) -> list[Any]:
        return self.items("transaction")

    @property
    def check_ins(self) -> list[Any]:
        return self.items("check_in")


#: Makes a client with these options, and returns what it is given.
Init = Callable[..., Kept]


@pytest.fixture
def init(monkeypatch: pytest.MonkeyPatch) -> Iterator[Init]:
    """Make clients, and none after the test; the SDK's own integrations patch the whole process, and stay off."""
    monkeypatch.delenv("SENTRY_DSN", raising=False)

    def make(**options: Any) -> Kept:
        kept = Kept(options.get("dsn", DSN))
        sentry_sdk.init(**{"dsn": DSN, "transport": kept, "default_integrations": False, **options})
        return kept

    with sentry_sdk.isolation_scope():
        Scope.get_isolation_scope().set_new_propagation_context()
        yield make
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def sentry(init: Init) -> Kept:
    """What a plain client is given."""
    return init()


@pytest.fixture
def bridge(clock: BridgeClock) -> Iterator[Bridge]:
    made = Bridge(Settings(backend="memory", observers=("sentry",)))
    made.clock = clock
    yield made
    made.close()


@pytest.fixture
def stage(bridge: Bridge, clock: BridgeClock) -> Stage:
    return Stage(bridge, clock)
