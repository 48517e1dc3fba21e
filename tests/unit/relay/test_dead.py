"""Messages that die in nobody's hands: their listeners hear of it as of any other failure, once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from taskbridge import Bridge
from taskbridge.events import Dropped, Event, Failed
from taskbridge.message import Message, encode
from taskbridge.operations.control import cancel
from taskbridge.relay import relay_of
from taskbridge.relay.dead import TellOfTheDead
from taskbridge.store import LEASE_MS, Begin, Finish
from taskbridge.testing import a_message

from ..conftest import BridgeClock


def lost(bridge: Bridge, clock: BridgeClock, message: Message) -> None:
    """Its worker dies with it."""
    for _ in range(2 * LEASE_MS // 1_000 + 2):
        relay_of(bridge.sender, "r").tick()
        clock.advance(1)


def parked(bridge: Bridge, clock: BridgeClock, message: Message) -> None:
    """No worker knows its task."""
    finish = Finish(id=message.id, claim="c", state="PARKED", due_ms=1_000, group="tests.send", why="no such task")
    bridge.store.claims.finish(finish)
    clock.advance(2)
    relay_of(bridge.sender, "r").tick()


@pytest.mark.parametrize(
    ("way", "why"),
    [(lost, "WorkerLost: its worker died or was away 1 times"), (parked, "no worker came that knows tests.send")],
)
def test_listeners_hear_of_a_message_that_died_unseen(
    way: Callable[[Bridge, BridgeClock, Message], None], why: str, bridge: Bridge, clock: BridgeClock
):
    """With its task, queue and reason, from whoever saw it die."""
    heard: list[Event] = []
    bridge.events.subscribe(heard.append)
    message = a_message()
    bridge.store.claims.begin(Begin(message=message, body=encode(message), claim="c", max_crashes=0))

    way(bridge, clock, message)

    (failed,) = heard
    assert isinstance(failed, Failed)
    assert (message.id, "tests.send", "mail", "memory", 1) == (
        failed.id,
        failed.task,
        failed.queue,
        failed.backend,
        failed.attempt,
    )
    assert why in failed.why


def test_listeners_hear_of_a_message_that_was_cancelled_and_lost(bridge: Bridge, clock: BridgeClock):
    """It was to end with that attempt, and its worker died: it is dropped, once, with who cancelled it and why."""
    heard: list[Event] = []
    bridge.events.subscribe(heard.append)
    message = a_message()
    bridge.store.claims.begin(Begin(message=message, body=encode(message), claim="c", max_crashes=5))
    cancel(bridge, message.id, who="me", why="twice")

    lost(bridge, clock, message)

    (dropped,) = heard
    assert isinstance(dropped, Dropped)
    assert (message.id, "tests.send", "mail", 1, "cancelled", "cancelled by me: twice") == (
        *(dropped.id, dropped.task, dropped.queue, dropped.attempt),
        *(dropped.how, dropped.why),
    )


def test_what_is_cancelled_after_it_was_lost_is_told_of_by_who_did_it(bridge: Bridge):
    """It was ready again when it ended: listeners heard then."""
    heard: list[Event] = []
    bridge.events.subscribe(heard.append)
    message = a_message()
    bridge.store.claims.begin(Begin(message=message, body=encode(message), claim="c", max_crashes=5))
    bridge.store.claims.lose(message.id, "c")
    cancel(bridge, message.id)

    TellOfTheDead(bridge.sender)([message.id])

    assert 1 == len(heard)


def test_what_has_failed_in_a_worker_is_not_told_of_again(bridge: Bridge):
    """Nor what lives, nor what nobody knows, though it was lost before."""
    heard: list[Event] = []
    bridge.events.subscribe(heard.append)
    dead, alive = a_message(), a_message()
    for message in (dead, alive):
        bridge.store.claims.begin(Begin(message=message, body=encode(message), claim="c", max_crashes=0))
    bridge.store.claims.finish(Finish(id=dead.id, claim="c", state="DEAD", why="failed 1 times: ValueError: x"))

    TellOfTheDead(bridge.sender)([dead.id, alive.id, "nobody's"])

    assert [] == heard
