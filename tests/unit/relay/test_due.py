"""Publishing what is due: leased, published, then marked; never popped first."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from threading import Event, Thread
from typing import Any

import msgspec
import pytest

from taskbridge import events
from taskbridge.config import Settings, Share
from taskbridge.enqueue import Sender
from taskbridge.errors import BrokerUnavailable, ConfigError, PayloadTooLarge, StoreFull
from taskbridge.events import Failed, Sent
from taskbridge.message import VERSION, Message, encode
from taskbridge.needs import NeedsLock
from taskbridge.relay.due import BATCH, ROUND_S, WARN_EVERY_S, PublishDue
from taskbridge.relay.hands import MOST_WAITING
from taskbridge.relay.oversize import end_oversize
from taskbridge.relay.trickle import FEW, MOST_HELD
from taskbridge.store import RELAY_LEASE_MS, Begin
from taskbridge.store.flow import Follower
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message
from tests.servers import until

from .patience import PATIENCE_S

#: How long one that is to answer and is not told so keeps silent, seconds.
SILENT_S = 30.0


class Engine:
    """Keeps what it is handed; away as often as told, full while told, without a queue or too small where told.

    It answers once ``answers`` is set. Much waits in the queue that is ``unread``.
    """

    def __init__(self, away: int = 0, *, full: bool = False, lacks: str = "", most: int = 10**6) -> None:
        self.asked = 0
        self.answers = Event()
        self.answers.set()
        self.away = away
        self.most = most
        self.lacks = lacks
        self.full = full
        self.waiting = 0
        self.unread = ""
        self.fronts: list[Message] = []
        self.messages: list[Message] = []

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None:
        self.asked += 1
        self.answers.wait(SILENT_S)
        if self.away:
            self.away -= 1
            raise BrokerUnavailable("away")
        if self.full and not kept:
            raise StoreFull("no memory left")
        if self.lacks in {message.queue for message in messages}:
            raise ConfigError(f"there is no queue {self.lacks!r}")
        if any(len(message.args) > self.most for message in messages):
            raise PayloadTooLarge(f"over {self.most} bytes")
        self.messages += messages
        self.fronts += messages if front else []

    def depth(self, queue: str) -> int:
        if self.away:
            self.away -= 1
            raise BrokerUnavailable("away")
        return FEW if queue == self.unread else self.waiting


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


def duty(store: MemoryStore, clock: FakeClock, settings: Settings | None = None, **engines: Engine) -> PublishDue:
    backends: Any = engines.__getitem__
    settings = settings or Settings(backend="celery")
    return PublishDue(Sender(settings=settings, clock=clock, store=lambda: store, backend=backends), PATIENCE_S)


@contextmanager
def silent(engine: Engine, publish: PublishDue) -> Iterator[None]:
    """Inside, this engine does not answer; a round waits for it for as long as ever. Then it is through."""
    engine.answers.clear()
    publish.hands._patience_s = ROUND_S
    yield
    publish.hands._patience_s = PATIENCE_S
    engine.answers.set()
    until(lambda: is_through(publish), PATIENCE_S, "it to be through")


def is_through(publish: PublishDue) -> bool:
    """Whether no hand is busy, nor about to be."""
    with publish.hands._changed:
        return not publish.hands._busy


def published(publish: PublishDue, count: int) -> int:
    """How many are published, once so many are: a thread that waits for a busy machine is through in a later round."""
    done = publish()

    def enough() -> bool:
        nonlocal done
        done += publish()
        return done >= count

    if done < count:
        until(enough, PATIENCE_S, f"{count} to be published")
    return done


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


def test_where_it_was_published_is_told(store: MemoryStore, clock: FakeClock):
    """So that its story can tell it, also of what goes to another backend next time."""
    message = a_message()
    store.outbox.put([message], 0)

    duty(store, clock, celery=Engine())()

    record = store.messages.look(message.id)
    assert record is not None
    assert ("OUT", "celery") == (record.state, record.sent_to)


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


@pytest.mark.parametrize("ends", [0, 1])
def test_a_backend_that_does_not_answer_holds_up_no_other(store: MemoryStore, clock: FakeClock, ends: int):
    """Theirs goes on being published; its own is not handed over again meanwhile, and marked when it is through."""
    engines = {"celery": Engine(), "dramatiq": Engine(away=ends)}
    settings = Settings(backend="celery", shares={"elsewhere": Share(to={"dramatiq": 100})})
    publish = duty(store, clock, settings, **engines)
    there = a_message(task="elsewhere")
    others = [a_message() for _ in range(4)]

    store.outbox.put([there, others[0]], 0)
    began_s = time.monotonic()
    with silent(engines["dramatiq"], publish):
        went = [published(publish, 1)]
        publish.hands._patience_s = SILENT_S  # a round has nobody to wait for who does not answer
        for other in others[1:]:
            clock.advance(RELAY_LEASE_MS / 1000)
            store.outbox.put([other], 0)
            went.append(publish())

        assert time.monotonic() - began_s < SILENT_S
        assert [1, 1, 1, 1] == went
        assert [other.id for other in others] == [one.id for one in engines["celery"].messages]
        assert 1 == engines["dramatiq"].asked
        assert ["OUT"] * 4 + ["READY"] == [state(store, one) for one in (*others, there)]

    clock.advance(RELAY_LEASE_MS / 1000)
    with pytest.raises(BrokerUnavailable) if ends else nullcontext():
        assert 1 == publish()
    clock.advance(RELAY_LEASE_MS / 1000)
    publish()
    assert ("OUT", 1 + ends) == (state(store, there), engines["dramatiq"].asked)
    assert [there.id] == [one.id for one in engines["dramatiq"].messages]


def test_what_is_due_for_a_slow_broker_goes_when_it_has_answered(store: MemoryStore, clock: FakeClock):
    """In its order, each once, and not with the next lease: ten seconds late, it would be late for its task."""
    engines = {"celery": Engine(), "dramatiq": Engine()}
    publish = duty(store, clock, ELSEWHERE, **engines)
    theirs = [a_message(task="elsewhere") for _ in range(3)]

    with silent(engines["dramatiq"], publish):
        for there in theirs:
            store.outbox.put([there, a_message()], 0)
            assert 1 == published(publish, 1)
            clock.advance(0.001)

    assert 3 == publish()
    assert [one.id for one in theirs] == [one.id for one in engines["dramatiq"].messages]
    assert {"OUT"} == {state(store, one) for one in theirs}


def test_what_waits_for_a_slow_broker_is_not_kept_for_longer_than_its_lease(store: MemoryStore, clock: FakeClock):
    """Then it is another's, or has changed."""
    engines = {"celery": Engine(), "dramatiq": Engine()}
    publish = duty(store, clock, ELSEWHERE, **engines)
    first, second = (a_message(task="elsewhere") for _ in range(2))
    with silent(engines["dramatiq"], publish):
        for there in (first, second):
            store.outbox.put([there, a_message()], 0)
            published(publish, 1)
            until(lambda: engines["dramatiq"].asked, PATIENCE_S, "the first to be handed over")

        clock.advance(RELAY_LEASE_MS / 1000)

    assert [first.id] == [one.id for one in engines["dramatiq"].messages]


def test_no_more_than_so_much_waits_for_a_slow_broker(store: MemoryStore, clock: FakeClock):
    """The rest comes again: what is taken is kept in memory."""
    engines = {"celery": Engine(), "dramatiq": Engine()}
    publish = duty(store, clock, ELSEWHERE, **engines)
    store.outbox.put([a_message()], 0)
    publish()
    store.outbox.put([a_message(task="elsewhere") for _ in range(MOST_WAITING + BATCH * 3)], 0)

    with silent(engines["dramatiq"], publish):
        publish.hands._patience_s = 0
        for _ in range(MOST_WAITING // BATCH + 3):
            publish()

    assert MOST_WAITING + BATCH == len(engines["dramatiq"].messages)


@pytest.mark.parametrize("backends", [1, 2])
def test_a_fault_of_a_backend_is_raised_and_loses_nothing(store: MemoryStore, clock: FakeClock, backends: int):
    """Whatever it is, the relay's log has it; what others took is marked, and its own comes again."""
    faulty, engine = Engine(), Engine()
    faulty.publish = lambda *_, **__: 1 / 0  # type: ignore[method-assign,assignment]
    settings = Settings(backend="celery", shares={"elsewhere": Share(to={"dramatiq": 100})})
    publish = duty(store, clock, settings, celery=engine, dramatiq=faulty)
    here, there = a_message(), a_message(task="elsewhere")
    store.outbox.put([there, here][:backends], 0)

    with pytest.raises(ZeroDivisionError):
        publish()

    assert [here.id][: backends - 1] == [one.id for one in engine.messages]
    assert ["READY", "OUT"][:backends] == [state(store, one) for one in (there, here)][:backends]


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


LARGE = msgspec.Raw(b'["' + b"x" * 100 + b'"]')


@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_message_that_is_too_large_ends_and_holds_up_no_other(store: MemoryStore, clock: FakeClock, place: int):
    """A route leads to a broker that takes less: it is dead with the reason, told of, and may be replayed."""
    engine, messages = Engine(most=100), [a_message() for _ in range(6)]
    large = a_message(args=LARGE)
    messages.insert(place, large)
    store.outbox.put(messages, 0)
    publish = duty(store, clock, celery=engine)
    heard: list[events.Event] = []
    publish.sender.events.subscribe(heard.append)

    assert [6, 0] == [publish(), publish()]
    clock.advance(RELAY_LEASE_MS / 1000)
    assert 0 == publish()

    assert sorted(one.id for one in messages if one is not large) == sorted(one.id for one in engine.messages)
    assert "DEAD" == state(store, large)
    (letter,) = store.dead.list(5)
    assert large.id == letter.id
    assert "PayloadTooLarge: the backend 'celery' does not take it: over 100 bytes" == letter.why
    assert 0 == letter.crashes
    (failed,) = [one for one in heard if isinstance(one, Failed)]
    assert (large.id, large.queue, "celery", letter.why) == (failed.id, failed.queue, failed.backend, failed.why)

    engine.most = 1_000
    assert store.dead.replay(large.id)
    publish()
    assert large.id == engine.messages[-1].id


def test_a_copy_that_is_too_large_ends_nothing_that_is_further(store: MemoryStore, clock: FakeClock):
    """It was published before the route was changed, and runs, or has ended: that counts."""
    large = a_message(args=LARGE)
    store.outbox.put([large], 0)
    store.outbox.take(1)
    assert "run" == store.claims.begin(Begin(message=large, body=b"", claim="worker", max_crashes=1)).verdict
    sender = duty(store, clock, celery=Engine()).sender
    heard: list[events.Event] = []
    sender.events.subscribe(heard.append)

    end_oversize(large, "celery", PayloadTooLarge("over 100 bytes"), sender)

    assert ("RUN", [], []) == (state(store, large), store.dead.list(5), heard)


def test_a_pause_keeps_nothing_that_is_too_large(store: MemoryStore, clock: FakeClock):
    """It does not run: it is dead at once, and whoever resumes the queue meets no surprise."""
    large = a_message(args=LARGE)
    store.outbox.put([large], 0)
    store.control.pause("queue", large.queue, who="me", why="")

    duty(store, clock, celery=Engine(most=100))()

    assert "DEAD" == state(store, large)


def test_what_is_too_large_stops_no_trickle(store: MemoryStore, clock: FakeClock):
    """The rest comes again with the lease, and goes."""
    engine, messages = Engine(full=True, most=100), [a_message(), a_message(args=LARGE)]
    store.outbox.put(messages, 0)
    publish = duty(store, clock, celery=engine)

    publish()
    engine.full = False
    clock.advance(RELAY_LEASE_MS / 1000)
    publish()

    assert ["OUT", "DEAD"] == [state(store, one) for one in messages]


def test_listeners_hear_what_the_store_made(store: MemoryStore, clock: FakeClock):
    """A callback is sent when it is first published, once; what somebody has enqueued was told of then."""
    heard: list[events.Event] = []
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


def test_listeners_hear_what_went_to_a_backend_that_was_slow(store: MemoryStore, clock: FakeClock):
    """When it is through: they are told of it once, however often the relay was called meanwhile."""
    heard: list[events.Event] = []
    engines = {"celery": Engine(), "dramatiq": Engine()}
    settings = Settings(backend="celery", shares={"tests.report": Share(to={"dramatiq": 100})})
    publish = duty(store, clock, settings, **engines)
    publish.sender.events.subscribe(heard.append)
    made, here = a_message(task="tests.report"), a_message()
    store.batches.open("b", when="all_done", then=Follower(message=made), error=None)
    store.batches.seal("b")
    store.outbox.put([here], 0)

    with silent(engines["dramatiq"], publish):
        assert [1, 0] == [published(publish, 1), publish()]
    assert [1, 0] == [publish(), publish()]

    assert [Sent(id=made.id, task="tests.report", queue=made.queue, backend="dramatiq", size=4)] == heard


def test_a_machine_without_threads_holds_up_no_backend_for_ever(
    store: MemoryStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    """What could not be handed over comes again, and goes when there is a thread for it; the relay's log has it."""
    engines = {"celery": Engine(), "dramatiq": Engine()}
    settings = Settings(backend="celery", shares={"elsewhere": Share(to={"dramatiq": 100})})
    publish = duty(store, clock, settings, **engines)
    here, there = a_message(), a_message(task="elsewhere")
    store.outbox.put([there, here], 0)
    start = Thread.start

    def refuse(thread: Thread) -> None:
        if thread.name == "to dramatiq":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        publish()
    assert ["OUT", "READY"] == [state(store, one) for one in (here, there)]
    monkeypatch.undo()
    clock.advance(RELAY_LEASE_MS / 1000)

    assert 1 == publish()
    assert [[here.id], [there.id]] == [[one.id for one in engine.messages] for engine in engines.values()]


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
    engine, messages, later = Engine(full=True), [a_message() for _ in range(FEW * 3 + 5)], a_message()
    store.outbox.put(messages, 0)
    publish = duty(store, clock, celery=engine)

    assert len(messages) == publish()
    engine.full = False
    store.outbox.put([later], 0)
    assert [1, 0] == [publish(), publish()]

    assert sorted(one.id for one in [*messages, later]) == sorted(one.id for one in engine.messages)
    assert {"OUT"} == {state(store, message) for message in messages}


def test_a_full_broker_is_named_once_in_a_while(store: MemoryStore, clock: FakeClock, caplog: pytest.LogCaptureFixture):
    """One that drains has room and none many times a second; a log that tells each time hides all else."""
    engine = Engine(full=True)
    publish = duty(store, clock, celery=engine)

    for after_s, warnings in [(0, 1), (1, 1), (WARN_EVERY_S - 1, 2), (1, 2)]:
        clock.advance(after_s)
        store.outbox.put([a_message()], 0)
        assert 1 == publish()
        assert warnings == sum("trickles" in line for line in caplog.messages)


def test_a_full_broker_is_handed_no_more_than_it_has_room_for(store: MemoryStore, clock: FakeClock):
    """While many wait there it is left alone and other duties have their turn; then the rest goes."""
    engine, messages = Engine(full=True), [a_message() for _ in range(FEW + 5)]
    store.outbox.put(messages, 0)
    publish = duty(store, clock, celery=engine)
    engine.waiting, before_s = FEW, clock.monotonic_s()

    assert 0 == publish()
    assert ROUND_S <= clock.monotonic_s() - before_s < ROUND_S * 2
    engine.waiting = FEW - 1
    assert len(messages) == publish()

    assert sorted(one.id for one in messages) == sorted(one.id for one in engine.messages)


LOCK = NeedsLock(key="user:7", at_most=1, conflict="wait")

ELSEWHERE = Settings(backend="celery", shares={"elsewhere": Share(to={"dramatiq": 100})})


def test_a_full_broker_holds_up_no_other(store: MemoryStore, clock: FakeClock):
    """While there is no room on it, what is due for another goes; what is due for itself keeps its order."""
    celery, dramatiq = Engine(), Engine(full=True)
    publish = duty(store, clock, ELSEWHERE, celery=celery, dramatiq=dramatiq)
    there, here, later = a_message(task="elsewhere"), a_message(), a_message(task="elsewhere")
    dramatiq.waiting = FEW

    for message, published in [(there, 0), (here, 1), (later, 0)]:
        store.outbox.put([message], 0)
        assert published == publish()
    dramatiq.waiting = 0
    assert 2 == publish()

    assert [here.id] == [one.id for one in celery.messages]
    assert [there.id, later.id] == [one.id for one in dramatiq.messages]
    assert {"OUT"} == {state(store, one) for one in (there, here, later)}


def test_a_broker_that_is_away_starves_no_trickle(store: MemoryStore, clock: FakeClock):
    """However often something new is due for it."""
    celery, dramatiq = Engine(away=10), Engine(full=True)
    publish = duty(store, clock, ELSEWHERE, celery=celery, dramatiq=dramatiq)
    there = [a_message(task="elsewhere") for _ in range(2)]
    dramatiq.waiting = FEW

    for message in there:
        store.outbox.put([message, a_message()], 0)
        with pytest.raises(BrokerUnavailable):
            publish()
    dramatiq.waiting = 0
    store.outbox.put([a_message()], 0)
    with pytest.raises(BrokerUnavailable):
        publish()

    assert [one.id for one in there] == [one.id for one in dramatiq.messages]


def test_a_full_broker_has_no_more_than_so_much_in_hand(store: MemoryStore, clock: FakeClock):
    """What is taken is kept in memory: the rest stays in the store until some of that is through."""
    engine, messages = Engine(full=True), [a_message() for _ in range(MOST_HELD + BATCH)]
    store.outbox.put(messages, 0)
    publish = duty(store, clock, celery=engine)
    engine.waiting = FEW

    assert {0} == {publish() for _ in range(MOST_HELD // BATCH + 2)}
    assert MOST_HELD == len(publish.trickle)
    engine.waiting = 0
    assert [MOST_HELD, BATCH] == [publish(), publish()]

    assert {one.id for one in messages} == {one.id for one in engine.messages}
    assert len(messages) == len(engine.messages)


def test_what_is_in_hand_for_too_long_is_taken_again(store: MemoryStore, clock: FakeClock):
    """Its lease is over and it may have changed since: the store is asked anew."""
    engine, message = Engine(full=True), a_message()
    store.outbox.put([message], 0)
    publish = duty(store, clock, celery=engine)
    engine.waiting = FEW

    assert 0 == publish()
    clock.advance(RELAY_LEASE_MS / 1000)
    store.outbox.take(10)
    engine.waiting = 0

    assert 0 == publish()
    clock.advance(RELAY_LEASE_MS / 1000)
    assert 1 == publish()
    assert [message.id] == [one.id for one in engine.messages]


def test_a_queue_that_nobody_reads_stops_no_other_of_its_broker(store: MemoryStore, clock: FakeClock):
    """However much waits in it, and was due before: workers of others free the memory of all."""
    engine = Engine(full=True)
    engine.unread = "old"
    stuck, read = [a_message(queue="old") for _ in range(3)], [a_message() for _ in range(FEW * 2)]
    store.outbox.put([*stuck, *read], 0)
    publish = duty(store, clock, celery=engine)

    assert len(read) == publish()

    assert sorted(one.id for one in read) == sorted(one.id for one in engine.messages)
    assert {"READY"} == {state(store, one) for one in stuck}


def test_a_broker_that_has_room_again_is_handed_what_it_refused(store: MemoryStore, clock: FakeClock):
    """Though much waits in its queues: that is nothing that anybody waits for, but where memory is short."""
    engine, messages = Engine(full=True), [a_message() for _ in range(FEW + 5)]
    engine.waiting = FEW
    store.outbox.put(messages, 0)
    publish = duty(store, clock, celery=engine)
    assert 0 == publish()

    engine.full = False

    assert len(messages) == publish()


def test_what_has_waited_already_keeps_its_place_while_it_trickles(store: MemoryStore, clock: FakeClock):
    """It goes to the front of its queue, before what came later."""
    engine, fresh = Engine(full=True), a_message()
    store.outbox.put([fresh], 0)
    waited = a_message()
    for message in (a_message(), waited):
        store.claims.begin(Begin(message=message, body=encode(message), claim=message.id, max_crashes=1, locks=(LOCK,)))
    store.claims.lose(store.waiting.locks()[0].holders[0], store.waiting.locks()[0].holders[0])
    publish = duty(store, clock, celery=engine)

    publish()

    assert waited.id == engine.messages[0].id
    assert [waited.id] == [one.id for one in engine.fronts]


def test_a_full_broker_that_goes_away_holds_up_no_other_that_is_full(store: MemoryStore, clock: FakeClock):
    """Its own comes again with the lease; the log has it."""
    celery, dramatiq = Engine(full=True), Engine(full=True)
    publish = duty(store, clock, ELSEWHERE, celery=celery, dramatiq=dramatiq)
    here, there = a_message(), a_message(task="elsewhere")
    celery.waiting = dramatiq.waiting = FEW
    store.outbox.put([here, there], 0)
    assert 0 == publish()

    dramatiq.waiting, celery.away = 0, 1
    with pytest.raises(BrokerUnavailable):
        publish()
    assert ([], [there.id]) == ([one.id for one in celery.messages], [one.id for one in dramatiq.messages])

    celery.waiting = 0
    clock.advance(RELAY_LEASE_MS / 1000)
    assert 1 == publish()
    assert ["OUT", "OUT"] == [state(store, one) for one in (here, there)]


@pytest.mark.parametrize("backlog", [MOST_HELD + BATCH, MOST_HELD * 4])
def test_a_full_broker_of_which_much_is_due_holds_up_no_other(store: MemoryStore, clock: FakeClock, backlog: int):
    """What is due for another is reached within a second, however much is due before it; the rest comes again."""
    celery, dramatiq = Engine(), Engine(full=True)
    dramatiq.waiting = FEW
    publish = duty(store, clock, ELSEWHERE, celery=celery, dramatiq=dramatiq)
    store.outbox.put([a_message()], 0)
    publish()
    theirs = [a_message(task="elsewhere") for _ in range(backlog)]
    store.outbox.put(theirs, 0)
    for _ in range(MOST_HELD // BATCH):
        publish()
    clock.advance(0.001)
    ours = a_message()
    store.outbox.put([ours], 0)
    began_s = clock.monotonic_s()

    while state(store, ours) != "OUT":
        publish()
        assert clock.monotonic_s() - began_s <= 1

    assert len(publish.trickle) <= MOST_HELD
    dramatiq.full = False
    while len(dramatiq.messages) < backlog:
        publish()
        clock.advance(1)
    assert {one.id for one in theirs} == {one.id for one in dramatiq.messages}


def test_a_queue_that_nobody_reads_leaves_room_in_hand_for_others(store: MemoryStore, clock: FakeClock):
    """However much is due for it: what is due for another of its broker is kept, too, and goes when there is room."""
    celery, dramatiq = Engine(), Engine(full=True)
    dramatiq.unread = "old"
    publish = duty(store, clock, ELSEWHERE, celery=celery, dramatiq=dramatiq)
    store.outbox.put([a_message()], 0)
    publish()
    store.outbox.put([a_message(task="elsewhere", queue="old") for _ in range(MOST_HELD * 2)], 0)
    clock.advance(0.001)
    read = a_message(task="elsewhere")
    store.outbox.put([read], 0)
    began_s = clock.monotonic_s()

    while state(store, read) != "OUT":
        publish()
        assert clock.monotonic_s() - began_s <= 1

    assert [read.id] == [one.id for one in dramatiq.messages]


def test_what_a_slow_broker_refuses_after_its_lease_is_taken_again(store: MemoryStore, clock: FakeClock):
    """It is not ours any more, and may have changed since."""
    celery, dramatiq = Engine(), Engine(full=True)
    publish = duty(store, clock, ELSEWHERE, celery=celery, dramatiq=dramatiq)
    there = a_message(task="elsewhere")
    store.outbox.put([there, a_message()], 0)
    with silent(dramatiq, publish):
        assert 1 == published(publish, 1)
        until(lambda: dramatiq.asked, PATIENCE_S, "it to be handed over")

        clock.advance(RELAY_LEASE_MS / 1000)
        store.outbox.take(10)

    assert 0 == publish()
    clock.advance(RELAY_LEASE_MS / 1000)
    assert 1 == publish()
    assert [there.id] == [one.id for one in dramatiq.messages]


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
