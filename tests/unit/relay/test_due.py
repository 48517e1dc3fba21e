"""Publishing what is due: leased, published, then marked; never popped first."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from taskbridge.config import Settings, Share
from taskbridge.enqueue import Sender
from taskbridge.errors import BrokerUnavailable, ConfigError, StoreFull
from taskbridge.events import Event, Sent
from taskbridge.message import VERSION, Message
from taskbridge.relay.due import BATCH, ROUND_S, TRICKLE, PublishDue
from taskbridge.store import RELAY_LEASE_MS
from taskbridge.store.flow import Follower
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message


class Engine:
    """Keeps what it is handed; away as often as told, full while told, and without a queue where told."""

    def __init__(self, away: int = 0, *, full: bool = False, lacks: str = "") -> None:
        self.away = away
        self.lacks = lacks
        self.full = full
        self.waiting = 0
        self.messages: list[Message] = []

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None:
        if self.away:
            self.away -= 1
            raise BrokerUnavailable("away")
        if self.full and not kept:
            raise StoreFull("no memory left")
        if self.lacks in {message.queue for message in messages}:
            raise ConfigError(f"there is no queue {self.lacks!r}")
        self.messages += messages

    def depth(self, queue: str) -> int:
        return self.waiting


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


def duty(store: MemoryStore, clock: FakeClock, settings: Settings | None = None, **engines: Engine) -> PublishDue:
    backends: Any = engines.__getitem__
    settings = settings or Settings(backend="celery")
    return PublishDue(Sender(settings=settings, clock=clock, store=lambda: store, backend=backends))


def state(store: MemoryStore, message: Message) -> str:
    record = store.messages.look(message.id)
    return record.state if record else ""


def test_what_is_due_is_published_once(store: MemoryStore, clock: FakeClock):
    """With the number and attempt of the record, and when it was handed over; then the engine owns it."""
    engine, message, later = Engine(), a_message(), a_message()
    store.outbox.put([message], 1_000)
    store.outbox.put([later], 9_000)
    publish = duty(store, clock, celery=engine)

    assert 0 == publish()
    clock.advance(1)
    assert [1, 0] == [publish(), publish()]

    assert [message.copy(released_at_ms=clock.now_ms())] == engine.messages
    assert ("OUT", "DELAYED") == (state(store, message), state(store, later))


def test_a_queue_that_cannot_be_had_holds_up_no_other(store: MemoryStore, clock: FakeClock):
    """What belongs there comes again, and the operator is told; the rest is published once."""
    engine = Engine(lacks="gone")
    others = [a_message(queue=queue) for queue in ("mail", "urgent")]
    stuck = a_message(queue="gone")
    store.outbox.put([others[0], stuck, others[1]], 0)
    publish = duty(store, clock, celery=engine)

    for _ in range(2):
        with pytest.raises(ConfigError, match="gone"):
            publish()
        clock.advance(RELAY_LEASE_MS / 1000)

    assert sorted(one.id for one in others) == sorted(one.id for one in engine.messages)
    assert ["OUT", "OUT", "READY"] == [state(store, one) for one in (*others, stuck)]


def test_a_backend_that_is_away_holds_up_no_other(store: MemoryStore, clock: FakeClock):
    """What the others were handed is not handed to them again."""
    engines = {"celery": Engine(), "dramatiq": Engine(away=2)}
    settings = Settings(backend="celery", shares={"elsewhere": Share(to={"dramatiq": 100})})
    here, there = a_message(), a_message(task="elsewhere")
    store.outbox.put([there, here], 0)
    publish = duty(store, clock, settings, **engines)

    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            publish()
        clock.advance(RELAY_LEASE_MS / 1000)
    publish()

    assert ([here.id], [there.id]) == tuple([one.id for one in engine.messages] for engine in engines.values())


def test_what_could_not_be_published_comes_again(store: MemoryStore, clock: FakeClock):
    """Nothing was popped: after the relay's lease it is due again, and published then."""
    engine, message = Engine(away=1), a_message()
    store.outbox.put([message], 0)
    publish = duty(store, clock, celery=engine)

    with pytest.raises(BrokerUnavailable):
        publish()
    assert 0 == publish()
    clock.advance(RELAY_LEASE_MS / 1000)

    assert 1 == publish()
    assert [message.id] == [one.id for one in engine.messages]
    assert "OUT" == state(store, message)


def test_a_broker_that_is_away_holds_up_no_other(store: MemoryStore, clock: FakeClock):
    """What goes to another is published and marked; theirs comes again."""
    celery, dramatiq, messages = Engine(away=2), Engine(), [a_message(route_key=str(n)) for n in range(40)]
    shared = Settings(backend="celery", shares={"tests.send": Share(to={"dramatiq": 50}, key="{user}")})
    store.outbox.put(messages, 0)
    publish = duty(store, clock, shared, celery=celery, dramatiq=dramatiq)

    with pytest.raises(BrokerUnavailable):
        publish()
    theirs = {one.id for one in dramatiq.messages}
    assert {("OUT" if one.id in theirs else "READY") for one in messages} == {"OUT", "READY"}
    assert all(("OUT" if one.id in theirs else "READY") == state(store, one) for one in messages)
    clock.advance(RELAY_LEASE_MS / 1000)
    celery.away = 0
    publish()

    assert sorted(one.id for one in messages) == sorted(one.id for one in celery.messages + dramatiq.messages)


def test_listeners_hear_what_the_store_made(store: MemoryStore, clock: FakeClock):
    """A callback is sent when it is first published, once; what somebody has enqueued was told of then."""
    heard: list[Event] = []
    engine, enqueued, made = Engine(away=1), a_message(), a_message(task="tests.report")
    publish = duty(store, clock, celery=engine)
    publish.sender.events.subscribe(heard.append)
    store.outbox.put([enqueued], 0)
    store.batches.open("b", when="all_done", then=Follower(message=made), error=None)
    store.batches.seal("b")

    with pytest.raises(BrokerUnavailable):
        publish()
    assert [] == heard
    clock.advance(RELAY_LEASE_MS / 1000)

    assert 2 == publish()
    assert [Sent(id=made.id, task="tests.report", queue=made.queue, backend="celery", size=4)] == heard


def test_what_the_store_made_counts_from_when_it_was_due(store: MemoryStore, clock: FakeClock):
    """Its age and its expiry, however long no relay ran: a callback that expires does not live longer for that."""
    engine, written_ms = Engine(), clock.now_ms()
    made = a_message(enqueued_at_ms=written_ms, expires_at_ms=written_ms + 60_000)
    store.batches.open("b", when="all_done", then=Follower(message=made, wait_ms=5_000), error=None)
    clock.advance(100)
    due_ms = clock.now_ms() + 5_000
    store.batches.seal("b")
    clock.advance(3_600)

    assert 1 == duty(store, clock, celery=engine)()

    (copy,) = engine.messages
    assert (due_ms, due_ms + 60_000) == (copy.first_due_ms, copy.expires_at_ms)


def test_a_lot_is_published_in_batches(store: MemoryStore, clock: FakeClock):
    """A thousand at a time, the oldest first."""
    engine, messages = Engine(), [a_message() for _ in range(BATCH + 5)]
    store.outbox.put(messages, 0)
    publish = duty(store, clock, celery=engine)

    assert [BATCH, 5, 0] == [publish(), publish(), publish()]
    assert {one.id for one in messages} == {one.id for one in engine.messages}


def test_what_a_full_broker_refuses_trickles(store: MemoryStore, clock: FakeClock):
    """All that was taken goes in one round, each once, for its memory is freed by running it; then bulk again."""
    engine, messages, later = Engine(full=True), [a_message() for _ in range(TRICKLE * 3 + 5)], a_message()
    store.outbox.put(messages, 0)
    publish = duty(store, clock, celery=engine)

    assert len(messages) == publish()
    engine.full = False
    store.outbox.put([later], 0)
    assert [1, 0] == [publish(), publish()]

    assert sorted(one.id for one in [*messages, later]) == sorted(one.id for one in engine.messages)
    assert {"OUT"} == {state(store, message) for message in messages}


def test_a_full_broker_is_handed_no_more_than_it_has_room_for(store: MemoryStore, clock: FakeClock):
    """While many wait there it is left alone and other duties have their turn; then the rest goes."""
    engine, messages = Engine(full=True), [a_message() for _ in range(TRICKLE + 5)]
    store.outbox.put(messages, 0)
    publish = duty(store, clock, celery=engine)
    engine.waiting, before_s = TRICKLE, clock.monotonic_s()

    assert 0 == publish()
    assert ROUND_S <= clock.monotonic_s() - before_s < ROUND_S * 2
    engine.waiting = TRICKLE - 1
    assert len(messages) == publish()

    assert sorted(one.id for one in messages) == sorted(one.id for one in engine.messages)


def test_what_is_in_hand_for_too_long_is_taken_again(store: MemoryStore, clock: FakeClock):
    """Its lease is over and it may have changed since: the store is asked anew."""
    engine, message = Engine(full=True), a_message()
    store.outbox.put([message], 0)
    publish = duty(store, clock, celery=engine)
    engine.waiting = TRICKLE

    assert 0 == publish()
    clock.advance(RELAY_LEASE_MS / 1000)
    store.outbox.take(10)
    engine.waiting = 0

    assert 0 == publish()
    clock.advance(RELAY_LEASE_MS / 1000)
    assert 1 == publish()
    assert [message.id] == [one.id for one in engine.messages]


def test_routes_are_asked_when_it_is_due(store: MemoryStore, clock: FakeClock):
    """What was delayed before a switch goes where traffic goes now."""
    celery, dramatiq = Engine(), Engine()
    messages = [a_message(route_key=str(n)) for n in range(40)]
    store.outbox.put(messages, 60_000)
    clock.advance(60)
    shared = Settings(backend="celery", shares={"tests.send": Share(to={"dramatiq": 50}, key="{user}")})

    duty(store, clock, shared, celery=celery, dramatiq=dramatiq)()

    assert {one.id for one in messages} == {one.id for one in celery.messages + dramatiq.messages}
    assert celery.messages
    assert dramatiq.messages


def test_a_message_of_a_newer_release_stops_no_other(
    store: MemoryStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    """It stays in the store for a relay that can read it; the others of its batch are published."""
    engine, newer, message = Engine(), a_message(v=VERSION + 1), a_message()
    store.outbox.put([newer, message], 0)

    with caplog.at_level(logging.ERROR, "taskbridge.relay"):
        assert 1 == duty(store, clock, celery=engine)()

    assert [message.id] == [one.id for one in engine.messages]
    assert ("READY", "OUT") == (state(store, newer), state(store, message))
    assert f"{newer.id} is due and stays where it is: " in caplog.text
