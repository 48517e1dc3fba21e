"""Enqueueing: checked, stamped, published now or kept until due; streamed in constant memory."""

from __future__ import annotations

import traceback
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from taskbridge.config import Share
from taskbridge.enqueue import BULK, Sender, refuse_large
from taskbridge.errors import ArgumentError, BrokerUnavailable, ConfigError, PayloadTooLarge, StoreUnavailable
from taskbridge.events import Event, Sent
from taskbridge.message import Message, encode
from taskbridge.store.memory import MemoryStore
from taskbridge.task import Task
from taskbridge.testing import FakeClock, a_message
from taskbridge.testing.fakes import NOON_MS
from tests.servers import RedisServer, free_port


class Published:
    """A backend that only counts: nothing of a message stays."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None:
        self.batches.append(len(messages))


class Kept(Published):
    """One that keeps what it was handed."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None:
        super().publish(messages)
        self.messages += messages


def a_task(backends: Mapping[str, Any], clock: FakeClock | None = None, **settings: Any) -> Task[..., Any]:
    """A task whose messages go to these backends, and delayed ones to a store in memory."""
    clock = clock or FakeClock()
    store = MemoryStore(clock)
    sender = Sender(
        settings=Settings(backend="memory", **settings), clock=clock, store=lambda: store, backend=backends.__getitem__
    )

    def notify(user: int, text: str = "") -> None: ...

    definition = Bridge().task(name="notify", queue="mail", expires=60)(notify).definition
    return Task(definition, lambda: sender)


def test_a_message_is_stamped():
    """When it was enqueued, when it is first due, when it is no longer worth beginning: unix ms, expiry from due."""
    kept, clock = Kept(), FakeClock()
    task = a_task({"memory": kept}, clock)

    task.enqueue(1)
    clock.advance(5)
    task.using(expires=None, priority=9).enqueue(2)

    first, second = kept.messages
    assert (NOON_MS, NOON_MS, NOON_MS + 60_000) == (first.enqueued_at_ms, first.first_due_ms, first.expires_at_ms)
    assert (NOON_MS + 5_000, 0, 9) == (second.enqueued_at_ms, second.expires_at_ms, second.priority)
    assert (1, 1, "notify", "mail") == (first.seq, first.attempt, first.task, first.queue)


def test_a_delayed_message_is_kept_until_it_is_due():
    """It is in the store, not at a broker; expiry counts from when it is due, in ms and for any length."""
    kept, clock = Kept(), FakeClock()
    task = a_task({"memory": kept}, clock)
    store = task._sender().store()

    receipt = task.using(delay=3 * 3600).enqueue(1)

    record = store.messages.look(receipt.id)
    assert [] == kept.messages
    assert record is not None
    assert ("DELAYED", NOON_MS + 10_800_000) == (record.state, record.at_ms)
    assert [] == store.outbox.take(10)
    clock.advance(3 * 3600)
    assert [receipt.id] == [due.id for due in store.outbox.take(10)]


def test_a_plain_message_needs_no_store():
    """The store is not even made."""

    def absent() -> Any:
        raise AssertionError("the store was asked for")

    kept = Kept()
    task = a_task({"memory": kept})
    sender = Sender(settings=Settings(backend="memory"), clock=FakeClock(), store=absent, backend=lambda name: kept)  # type: ignore[arg-type, return-value]

    Task(task.definition, lambda: sender).enqueue(1)

    assert 1 == len(kept.messages)


def test_a_large_message_is_refused():
    """Over ``max_payload`` in all it is refused with the advice to pass an id; up to it, to the byte, it is sent."""
    kept = Kept()
    whole = len(encode(_sent(a_task({"memory": kept}), kept, "x" * 5_000)))

    fits = a_task({"memory": kept}, max_payload=whole)
    too_small = a_task({"memory": kept}, max_payload=whole - 1)

    fits.enqueue(1, "x" * 5_000)
    with pytest.raises(
        PayloadTooLarge, match=f"notify: the message is {whole} bytes and max_payload is {whole - 1}: save"
    ):
        too_small.enqueue(1, "x" * 5_000)
    with pytest.raises(PayloadTooLarge, match="save the data and pass its id"):
        a_task({"memory": kept}).enqueue_many([(1, "é" * 40_000)])
    assert [1, 1] == kept.batches


def test_what_routes_go_by_counts():
    """Tags and keys are of the message, too: it is refused by its whole size, to the byte."""
    message = a_message(tags=("x" * 40,), route_keys={f"{{by_{n}}}": "x" * 300 for n in range(5)})
    whole = len(encode(message))

    refuse_large(message, whole)
    with pytest.raises(PayloadTooLarge, match=f"the message is {whole} bytes"):
        refuse_large(message, whole - 1)


def _sent(task: Task[..., Any], kept: Kept, text: str) -> Message:
    task.enqueue(1, text)
    return kept.messages[-1]


def test_many_are_streamed():
    """Calls are taken from the iterable as they are sent, a thousand in a trip: never more than a batch is in hand."""
    published, pulled, most = Published(), 0, 0

    def calls() -> Iterator[dict[str, Any]]:
        nonlocal pulled, most
        for user in range(3 * BULK + 7):
            pulled += 1
            most = max(most, pulled - sum(published.batches))
            yield {"user": user}

    made = a_task({"memory": published}).enqueue_many(calls())

    assert 3 * BULK + 7 == made.created == pulled
    assert [BULK, BULK, BULK, 7] == published.batches
    assert BULK >= most


def test_many_take_constant_memory():
    """However many calls there are, what is held of them is a batch and the next one."""

    def peak_of(count: int) -> int:
        task = a_task({"memory": Published()})
        tracemalloc.start()
        task.enqueue_many({"user": user, "text": "x" * 200} for user in range(count))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_of(BULK)  # warm

    assert peak_of(10 * BULK) < 1.2 * peak_of(2 * BULK)


def test_many_take_dicts_or_tuples():
    """A mapping is keyword arguments, a tuple positional ones; both in one stream."""
    kept = Kept()

    a_task({"memory": kept}).enqueue_many([{"user": 1, "text": "a"}, (2,), (3, "b")])

    calls = [(bytes(one.args), bytes(one.kwargs)) for one in kept.messages]
    assert [(b"[]", b'{"user":1,"text":"a"}'), (b"[2]", b"{}"), (b'[3,"b"]', b"{}")] == calls
    assert 3 == len({one.id for one in kept.messages})


@pytest.mark.parametrize("call", [1, "ab", [1], {1}, None])
def test_what_is_no_call_is_refused(call: Any):
    """With what a call is; a list could be either."""
    with pytest.raises(ArgumentError, match="takes a dict of keyword arguments or a tuple of positional ones for each"):
        a_task({"memory": Kept()}).enqueue_many([call])


def test_what_was_sent_before_an_error_stays_sent():
    """A call that does not fit stops the stream where it is; whole batches before it are sent."""
    published = Published()

    with pytest.raises(ArgumentError):
        a_task({"memory": published}).enqueue_many([*((n,) for n in range(BULK + 10)), ("x",)])

    assert [BULK] == published.batches


def test_nothing_is_nothing():
    """No calls, no trip."""
    published = Published()

    assert 0 == a_task({"memory": published}).enqueue_many([]).created
    assert [] == published.batches


def test_messages_go_where_their_share_goes():
    """A share sticks to its key, by position, by keyword or by default alike; each backend gets one batch."""
    kept = {name: Kept() for name in ("memory", "celery")}
    shares = {"notify": Share(to={"celery": 50}, key="{user} {text}")}
    task = a_task(kept, shares=shares)

    task.enqueue_many([(n % 20,) for n in range(100)])
    task.enqueue_many([{"user": n % 20, "text": ""} for n in range(100)])

    ways = [{one.route_key for one in at.messages} for at in kept.values()]
    assert {f"{n} " for n in range(20)} == ways[0] | ways[1]
    assert set() == ways[0] & ways[1]
    assert all(ways)
    assert [2, 2] == [len(at.batches) for at in kept.values()]


@pytest.mark.parametrize("key", ["{owner}", "user"])
def test_share_by_what_is_no_argument_is_refused(key: str):
    """Before anything is sent."""
    kept = Kept()
    task = a_task({"memory": kept}, shares={"notify": Share(to={"celery": 50}, key=key)})

    with pytest.raises(ConfigError, match=r"^shares\.notify\.key: "):
        task.enqueue(1)
    assert [] == kept.batches


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
@pytest.mark.parametrize("many", [False, True])
def test_a_broker_that_is_away_is_named_without_its_password(engine: str, many: bool):
    """``BrokerUnavailable`` says where it is; neither it nor what caused it shows a password."""
    bridge = Bridge(Settings(backend=engine, broker_url=f"redis://user:hush@127.0.0.1:{free_port()}/0"))
    task = bridge.task(name="notify")(lambda user: None)

    with pytest.raises(
        BrokerUnavailable, match=r"^the broker redis://user:\*\*\*@127\.0\.0\.1:\d+/0 is away"
    ) as raised:
        task.enqueue_many([(1,)]) if many else task.enqueue(1)

    assert "hush" not in "".join(traceback.format_exception(raised.value))
    bridge.close()


@pytest.mark.service("redis")
@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_a_plain_task_is_sent_while_the_store_is_away(engine: str, redis_server: RedisServer):
    """It needs only the broker; what needs the store raises ``StoreUnavailable``, without its password."""
    redis_server.cli().flushall()
    store_url = f"redis://:hush@127.0.0.1:{free_port()}/0"
    bridge = Bridge(Settings(backend=engine, broker_url=redis_server.url(), store_url=store_url))
    task = bridge.task(name="notify", queue="mail")(lambda user: None)

    receipt = task.enqueue(1)
    task.enqueue_many([(2,), (3,)])
    with pytest.raises(StoreUnavailable, match=r"^redis://:\*\*\*@127\.0\.0\.1:\d+/0 is away") as raised:
        task.using(delay=1).enqueue(4)

    waiting = list(bridge.backend(engine).scan("mail", 10))
    assert [receipt.id] == [one.id for one in waiting if b"[1]" == bytes(one.args)]
    assert 3 == len(waiting)
    assert "hush" not in "".join(traceback.format_exception(raised.value))
    bridge.close()


@pytest.mark.parametrize("options", [{}, {"delay": 60}, {"unique": "until_done"}])
def test_listeners_hear_what_was_sent(options: dict[str, Any]):
    """Each message that a call has made, once, with its wait in ms; a call that made none is not told."""
    heard: list[Event] = []
    task = a_task({"memory": Kept()})
    task._sender().events.subscribe(heard.append)

    receipt = task.using(**options).enqueue(1)
    repeated = task.using(**options).enqueue(1)

    made = [one.id for one in (receipt, repeated) if one.created]
    assert made == [event.id for event in heard]
    delay_ms = options.get("delay", 0) * 1000
    assert Sent(id=receipt.id, task="notify", queue="mail", backend="memory", delay_ms=delay_ms, size=5) == heard[0]


def test_listeners_hear_of_each_of_many():
    """Those that the store keeps trip by trip, too; in a scope that repeats, a repeat is not told."""
    heard: list[Event] = []
    task = a_task({"memory": Kept()})
    task._sender().events.subscribe(heard.append)

    task.enqueue_many((user, "") for user in range(3))
    task.using(delay=60).enqueue_many((user, "") for user in range(BULK + 3))

    assert [0] * 3 + [60_000] * (BULK + 3) == [event.delay_ms for event in heard if isinstance(event, Sent)]
    assert 3 + BULK + 3 == len({event.id for event in heard})


def test_a_message_carries_what_joins_it_to_its_sender():
    """Headers of every tracer at work, as JSON; none where nobody traces."""
    kept = Kept()
    task = a_task({"memory": kept})

    task.enqueue(1)
    task._sender().trace.inject(lambda: {"sentry-trace": "a-b-1"})
    task._sender().trace.inject(lambda: {"traceparent": "00-c"})
    task.enqueue(2)

    assert [b"{}", b'{"sentry-trace":"a-b-1","traceparent":"00-c"}'] == [bytes(one.trace) for one in kept.messages]
