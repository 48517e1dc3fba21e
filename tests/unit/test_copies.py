"""Copies: what a shadow sends beside its originals, and that it harms none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from taskbridge.config import Settings
from taskbridge.copies import LIFE_MS, LONGEST_PAUSE_S, PAUSE_S, Copies, copy_of
from taskbridge.enqueue import Sender, publish
from taskbridge.errors import BrokerUnavailable
from taskbridge.events import Events, Shadowed
from taskbridge.message import MAX_ID_BYTES, Flow, Message, Shadow
from taskbridge.routing import Table
from taskbridge.routing.table import encode
from taskbridge.testing import a_message
from tests.unit.routing.test_router import Stage, rule
from tests.unit.routing.test_shadows import a_shadow, pay


class Engine:
    """Keeps what it is handed; raises while told."""

    def __init__(self) -> None:
        self.wrong: Exception | None = None
        self.asked = 0
        self.messages: list[Message] = []

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None:
        self.asked += 1
        if self.wrong:
            raise self.wrong
        self.messages += messages


class Scene:
    """A producer of two engines whose task ``bank.pay`` is shadowed."""

    def __init__(self, share: float = 100) -> None:
        self.stage = Stage()
        self.stage.bridge.task(name="bank.pay", shadow_safe=True)(pay)
        self.engines = {"celery": Engine(), "dramatiq": Engine()}
        self.told: list[Shadowed] = []
        events = Events()
        events.subscribe(self.told.append, Shadowed)
        backend: Any = self.engines.__getitem__
        self.sender = Sender(
            settings=Settings(backend="celery"),
            clock=self.stage.clock,
            store=lambda: self.stage.store,
            backend=backend,
            router=self.stage.router,
            copies=Copies(backend, self.stage.clock, events),
        )
        self.shadow = a_shadow(share=share)
        self.stage.put(encode(Table(shadows=(self.shadow,))))

    def send(self, *messages: Message) -> None:
        publish(list(messages), self.sender)

    def ids(self, name: str) -> list[str]:
        return [message.id for message in self.engines[name].messages]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def payment(**changes: Any) -> Message:
    return a_message(task="bank.pay", args=msgspec.Raw(b"[7]"), **changes)


def test_a_copy_goes_beside_its_original(scene: Scene):
    """To the other backend, under an id of its own; the original says that it has one, and others say nothing."""
    other = a_message(task="bank.book")

    scene.send(payment(id="1"), other, payment(id="2"))

    assert (["1", other.id, "2"], ["1~shadow", "2~shadow"]) == (scene.ids("celery"), scene.ids("dramatiq"))
    has = Shadow(rule=scene.shadow.id)
    assert [has, None, has] == [message.shadow for message in scene.engines["celery"].messages]
    assert [Shadow(rule=scene.shadow.id, of=id) for id in ("1", "2")] == [
        message.shadow for message in scene.engines["dramatiq"].messages
    ]


def test_a_copy_is_plain():
    """Its call, its place and its times, and nothing of what the original is part of."""
    message = payment(
        id="1",
        queue="mail",
        kwargs=msgspec.Raw(b'{"a":1}'),
        enqueued_at_ms=1_000,
        due_at_ms=2_000,
        released_at_ms=3_000,
        priority=9,
        attempt=3,
        timeout_ms=5,
        hard_timeout_ms=6,
        tags=("x",),
        flow=Flow(chain="c", gives=True),
        trace=msgspec.Raw(b'{"traceparent":"1"}'),
        route_key="7",
        route_keys={"{user_id}": "7"},
    )

    expected = Message(
        id="1~shadow",
        task="bank.pay",
        queue="mail",
        args=message.args,
        kwargs=message.kwargs,
        enqueued_at_ms=1_000,
        due_at_ms=2_000,
        released_at_ms=3_000,
        expires_at_ms=3_000 + LIFE_MS,
        priority=9,
        timeout_ms=5,
        hard_timeout_ms=6,
        tags=("x",),
        shadow=Shadow(rule="s1", of="1"),
    )
    assert expected == copy_of(message, "s1")
    assert 3_500 == copy_of(message.copy(expires_at_ms=3_500), "s1").expires_at_ms


def test_a_copys_id_is_bounded():
    """A key of the store is; two originals never have one copy."""
    long = ["x" * MAX_ID_BYTES, "y" * MAX_ID_BYTES]

    ids = [copy_of(payment(id=id), "s1").id for id in long]

    assert all(len(id) <= MAX_ID_BYTES for id in ids)
    assert 2 == len(set(ids))


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), RuntimeError("an engine's own")])
def test_a_copy_that_fails_harms_no_original(scene: Scene, error: Exception, caplog: pytest.LogCaptureFixture):
    """It is logged once, told of each, and raised to nobody."""
    scene.engines["dramatiq"].wrong = error

    with caplog.at_level(logging.WARNING):
        scene.send(payment(id="1"), payment(id="2"))

    assert ["1", "2"] == scene.ids("celery")
    assert [f"2 copies are not sent to dramatiq, which has none for 10 s: {error}"] == [
        record.message for record in caplog.records
    ]
    assert [("1", "unsent", "dramatiq"), ("2", "unsent", "dramatiq")] == [
        (one.id, one.how, one.backend) for one in scene.told
    ]


def test_a_backend_that_took_no_copy_is_left_alone_for_a_while(scene: Scene):
    """Longer each time, a minute at most: a broker that is away costs one wait, and not one for each call."""
    engine = scene.engines["dramatiq"]
    engine.wrong = BrokerUnavailable("away")
    waits: list[float] = []
    clock, began_s = scene.stage.clock, scene.stage.clock.monotonic_s()
    for _ in range(400):  # 200 s
        before = engine.asked
        scene.send(payment())
        if engine.asked > before:
            waits.append(clock.monotonic_s() - began_s)
            began_s = clock.monotonic_s()
        clock.advance(0.5)

    assert [0, PAUSE_S, 20, 40, LONGEST_PAUSE_S, LONGEST_PAUSE_S] == waits
    assert all(
        message.shadow is None for message in scene.engines["celery"].messages[-4:-1]
    )  # nobody waits for their copies
    engine.wrong = None
    clock.advance(LONGEST_PAUSE_S)
    scene.send(payment(id="again"), payment(id="more"))
    assert ["again~shadow", "more~shadow"] == scene.ids("dramatiq")


def test_an_original_that_fails_has_no_copy(scene: Scene):
    """It goes first; its error is the caller's."""
    scene.engines["celery"].wrong = BrokerUnavailable("away")

    with pytest.raises(BrokerUnavailable):
        scene.send(payment())

    assert 0 == scene.engines["dramatiq"].asked


def test_no_shadow_costs_nothing(scene: Scene):
    """The same messages, not equal ones, where the table has none."""
    scene.stage.hold(rule("bank.book"))
    messages = [payment(), payment()]

    scene.send(*messages)

    assert all(sent is meant for sent, meant in zip(scene.engines["celery"].messages, messages, strict=True))
    assert 0 == scene.engines["dramatiq"].asked
