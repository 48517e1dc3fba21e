"""Events: told to all, harmed by none."""

from __future__ import annotations

import logging

import pytest

from taskbridge.events import Event, Events, Failed, Started

EVENT = Started(id="1", task="bank.book", queue="ledger", waited_ms=5)


def test_listeners_hear_in_the_order_they_came():
    """Each listener gets each event from when it subscribed, first come first told."""
    events, heard = Events(), []
    events.subscribe(lambda event: heard.append(("first", event)))
    events.subscribe(lambda event: heard.append(("second", event)))

    events.emit(EVENT)

    assert [("first", EVENT), ("second", EVENT)] == heard


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit])
def test_a_listener_that_raises_harms_nothing(caplog: pytest.LogCaptureFixture, kind: type[BaseException]):
    """Neither who emits nor the next listener notices; the log says which one failed, and on what."""
    events, heard = Events(), []

    @events.subscribe
    def broken(event: Event) -> None:
        raise kind("metrics are down")

    events.subscribe(heard.append)
    with caplog.at_level(logging.ERROR, "taskbridge.events"):
        events.emit(EVENT)

    assert [EVENT] == heard
    assert "broken" in caplog.text
    assert "Started" in caplog.text
    assert "metrics are down" in caplog.text


def test_a_listener_hears_from_when_it_came():
    """Also of a kind that was emitted before; another kind than it asked for it never hears."""
    events, heard = Events(), []
    events.subscribe(heard.append, Failed)
    events.emit(EVENT)

    assert not events.hears(Started)
    events.subscribe(heard.append, Started)
    events.emit(EVENT)

    assert events.hears(Started)
    assert [EVENT] == heard


def test_subscribe_is_a_decorator():
    """It returns the listener, so that the name still means the function."""

    def listener(event: Event) -> None: ...

    assert listener is Events().subscribe(listener)


def test_events_are_values():
    """Two events that say the same are equal, and none can be changed on its way."""
    assert Failed(id="1", task="t", queue="q", why="x") == Failed(id="1", task="t", queue="q", why="x")
    with pytest.raises(AttributeError):
        EVENT.id = "2"  # type: ignore[misc]
