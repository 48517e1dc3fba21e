"""The relay sends copies of what leaves the store, as a producer does of what it sends itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from taskbridge.announcement import Announcement, Known, announce
from taskbridge.errors import BrokerUnavailable
from taskbridge.message import Message, Shadow
from taskbridge.relay.due import PublishDue
from taskbridge.routes.signatures import Signatures
from taskbridge.routing import Table
from taskbridge.routing.table import encode
from taskbridge.store import RELAY_LEASE_MS
from taskbridge.testing.laws.steps import begin, finish
from tests.unit.routing.test_shadows import a_shadow
from tests.unit.test_copies import Scene, payment

from .patience import PATIENCE_S


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def relay(scene: Scene) -> PublishDue:
    return PublishDue(scene.sender, PATIENCE_S)


def test_what_was_delayed_has_a_copy(scene: Scene, relay: PublishDue):
    """When it leaves, not before: with the times of its original."""
    scene.stage.store.outbox.put([payment(id="1")], 500)
    relay()
    before = scene.ids("dramatiq")
    scene.stage.clock.advance(0.6)
    relay()

    assert ([], ["1"], ["1~shadow"]) == (before, scene.ids("celery"), scene.ids("dramatiq"))
    (original,), (copy,) = scene.engines["celery"].messages, scene.engines["dramatiq"].messages
    assert Shadow(rule=scene.shadow.id) == original.shadow
    assert original.released_at_ms == copy.released_at_ms > 0


def test_a_retry_has_none(scene: Scene, relay: PublishDue):
    """Its first attempt had one; the mark stays with it, for whoever looks."""
    scene.stage.store.outbox.put([payment(id="1")], 0)
    relay()
    (original,) = scene.engines["celery"].messages
    begin(scene.stage.store, original)
    finish(scene.stage.store, original, state="READY", counted=True)
    relay()

    assert (["1", "1"], ["1~shadow"]) == (scene.ids("celery"), scene.ids("dramatiq"))
    assert [1, 2] == [message.seq for message in scene.engines["celery"].messages]


def test_what_is_not_published_has_no_copy_yet(scene: Scene, relay: PublishDue):
    """The copy goes after its original, with which it is tried again."""
    scene.engines["celery"].wrong = BrokerUnavailable("away")
    scene.stage.store.outbox.put([payment(id="1")], 0)
    with pytest.raises(BrokerUnavailable):
        relay()

    assert [] == scene.ids("dramatiq")
    scene.engines["celery"].wrong = None
    scene.stage.clock.advance(RELAY_LEASE_MS / 1000 + 1)
    relay()
    assert ["1~shadow"] == scene.ids("dramatiq")


def test_a_copy_that_fails_holds_up_no_relay(scene: Scene, relay: PublishDue):
    """Its original is marked as published."""
    scene.engines["dramatiq"].wrong = RuntimeError("an engine's own")
    scene.stage.store.outbox.put([payment(id="1")], 0)

    assert 1 == relay()

    record = scene.stage.store.messages.look("1")
    assert record is not None
    assert "OUT" == record.state


@pytest.mark.parametrize(("words", "copied"), [([True], True), ([True, False], False), ([None], False), ([], False)])
def test_a_relay_that_has_no_code_asks_what_workers_announce(words: list[bool | None], copied: bool):
    """All that have the task must say that it is safe; a release before shadows does not."""
    scene = Scene()
    store: Any = scene.stage.store
    for n, word in enumerate(words):
        known = {} if word is None else {"other.pay": Known(queue="q", shadow_safe=word)}
        announce(store, _worker(f"w{n}", known))
    known = Signatures(store, scene.stage.clock)
    router = scene.stage.router.knowing(known, known.safe)
    scene.stage.put(encode(Table(shadows=(a_shadow("other.pay"),))))
    store.outbox.put([Message(id="1", task="other.pay", queue="q")], 0)

    PublishDue(msgspec.structs.replace(scene.sender, router=router), PATIENCE_S)()

    assert (["1"], ["1~shadow"] if copied else []) == (scene.ids("celery"), scene.ids("dramatiq"))


def _worker(name: str, known: dict[str, Known]) -> Announcement:
    return Announcement(name=name, backends=["celery"], queues=["q"], processes=1, tasks={"other.pay": []}, known=known)
