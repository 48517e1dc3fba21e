"""An SQS with a meddler in front of it, and backends on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from taskbridge.backend import Backend
from taskbridge.sqs import receipts, receiver
from tests.meddler import Meddler
from tests.sqs import SqsServer


@pytest.fixture
def sqs(sqs_server: SqsServer) -> SqsServer:
    """An empty SQS."""
    sqs_server.reset()
    return sqs_server


@pytest.fixture
def meddler(sqs: SqsServer) -> Iterator[Meddler]:
    with Meddler(sqs) as meddler:
        yield meddler


@pytest.fixture(params=["celery", "dramatiq"])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def stage(meddler: Meddler) -> Iterator[Stage]:
    stage = Stage(meddler)
    yield stage
    for bridge in stage.bridges:
        bridge.close()


@pytest.fixture(autouse=True)
def no_task_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no long task: what a law has in hand stays there, unless it says how long a long one is."""
    monkeypatch.setattr(receipts, "LONG_RUN_S", 60.0)


@pytest.fixture
def brief(no_task_is_long: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long takes a second or two."""
    monkeypatch.setattr(receipts, "LONG_RUN_S", 0.3)
    monkeypatch.setattr(receipts, "QUIET_S", 0.6)
    monkeypatch.setattr(receipts, "VISIBILITY_S", 2)
    monkeypatch.setattr(receiver, "VISIBILITY_S", 2)
    monkeypatch.setattr(receiver, "POLL_S", 2)
    monkeypatch.setattr(receiver, "LOOK_S", (0.1, 0.3))


class Stage:
    """Makes backends that reach SQS through the meddler; their store is in memory."""

    def __init__(self, meddler: Meddler) -> None:
        self.meddler = meddler
        self.bridges: list[Bridge] = []

    def backend(self, engine: str = "celery", *, url: str = "", **settings: Any) -> Backend:
        return self.bridge(engine, url=url, **settings).backend(engine)

    def bridge(self, engine: str = "celery", *, url: str = "", **settings: Any) -> Bridge:
        words = {"backend": engine, "broker_url": url or self.meddler.url, "store_url": "redis://127.0.0.1:9/0"}
        bridge = Bridge(Settings(**(words | settings)))
        self.bridges.append(bridge)
        return bridge
