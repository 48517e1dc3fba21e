"""News: what happens in the supervisor is told to the children's listeners, by one of them, and no telling waits."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from taskbridge.events import KINDS, Event, Failed, Retried, Sent
from taskbridge.worker import news
from taskbridge.worker.news import MOST_OF_WHY, PATIENCE_S, Hearer, Teller
from tests.servers import in_time, until

WHO: dict[str, Any] = {"id": "m", "task": "bank.book", "queue": "ledger", "backend": "new", "attempt": 2}


#: What children hear by stays open: their threads hear for ever, and one that is late would meet another test's.
KEPT: list[socket.socket] = []


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The supervisor's, and the one that children share; to read may take them long on a busy machine."""
    monkeypatch.setattr(news, "PATIENCE_S", 20.0)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    KEPT.append(theirs)
    with ours:
        yield ours, theirs


def a_bridge() -> Bridge:
    return Bridge(Settings(backend="memory"))


def test_an_event_arrives_as_it_was_told(ends: tuple[socket.socket, socket.socket]):
    """With when it was, and without its exception; only to those who subscribed, for observers were told already."""
    supervisor, child = a_bridge(), a_bridge()
    heard: list[Event] = []
    at_once: list[Event] = []
    child.subscribe(Failed, Retried)(heard.append)
    child.events.subscribe(at_once.append)
    supervisor.clock.offset_ms = 3_600_000
    supervisor.subscribe(Teller(ends[0]).tell)

    then_ms = supervisor.clock.now_ms()
    supervisor.events.emit(Failed(**WHO, why="no route", error=ValueError("no route"), ran_ms=1.5))
    supervisor.events.emit(Sent(**WHO))
    supervisor.events.emit(Retried(**WHO, why="x" * 50_000))
    assert supervisor.subscribers.flush(20)
    Hearer(ends[1], child).rest()

    assert child.subscribers.flush(20)
    failed, retried = heard
    assert Failed(**WHO, why="no route", ran_ms=1.5, at_ms=failed.at_ms) == failed
    assert then_ms <= failed.at_ms <= then_ms + 60_000
    assert isinstance(retried, Retried)
    assert "x" * MOST_OF_WHY == retried.why
    assert [] == at_once


def test_every_kind_arrives(ends: tuple[socket.socket, socket.socket]):
    """Whatever the supervisor may come to tell."""
    heard: list[Event] = []
    child = a_bridge()
    child.subscribe(heard.append)
    Hearer(ends[1], child).start()
    teller = Teller(ends[0])

    for kind in KINDS.values():
        teller.tell(kind(**WHO))
    until(lambda: len(heard) >= len(KINDS), 20, "all to be heard")

    assert list(KINDS.values()) == [type(event) for event in heard]


def test_each_is_heard_by_one_child(ends: tuple[socket.socket, socket.socket]):
    """However many wait for it."""
    heard: list[Event] = []
    for _ in range(4):
        child = a_bridge()
        child.subscribe(heard.append)
        Hearer(ends[1], child).start()
    teller = Teller(ends[0])

    for n in range(500):
        teller.tell(Sent(id=str(n), task="t", queue="q"))

    until(lambda: len(heard) >= 500, 20, "all to be heard")
    assert [str(n) for n in range(500)] == sorted((event.id for event in heard), key=int)


def test_the_supervisor_waits_for_no_child(
    ends: tuple[socket.socket, socket.socket], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """Children that hang, and none at all, hold up nothing; the log says what was not told."""
    monkeypatch.setattr(news, "PATIENCE_S", PATIENCE_S)
    supervisor = a_bridge()
    supervisor.subscribe(Teller(ends[0]).tell)

    def tell() -> None:
        for _ in range(1_000):
            supervisor.events.emit(Sent(**WHO))

    in_time(tell, 1)
    ends[1].close()
    with caplog.at_level(logging.ERROR, "taskbridge.events"):
        assert supervisor.subscribers.flush(20)

    assert "Teller.tell" in caplog.text


def test_without_listeners_there_is_no_thread(ends: tuple[socket.socket, socket.socket]):
    """Most workers have none."""
    before = {*threading.enumerate()}

    Hearer(ends[1], a_bridge()).start()

    assert before >= {*threading.enumerate()}
