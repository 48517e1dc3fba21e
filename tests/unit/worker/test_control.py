"""What a worker does of what operators say: it leaves paused queues alone, and ends what was cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from taskbridge import Bridge
from taskbridge.backend import Delivery
from taskbridge.errors import BrokerUnavailable, ConfigError, StoreUnfit, TaskbridgeError
from taskbridge.events import Dropped
from taskbridge.execution import ask
from taskbridge.message import Message
from taskbridge.store import Store
from taskbridge.testing import a_message
from taskbridge.testing.memory_backend import PlainRunner
from taskbridge.worker.keep import Keep
from taskbridge.worker.loop import WAIT_S, Source
from taskbridge.worker.posts import Post

from ...servers import until
from .stages import Stage, a_stage, a_task
from .test_settling import CLAIM, keep, post  # noqa: F401

MORE = ["mail", "slow"]


def obeying(stage: Stage) -> None:
    """Give the stage a loop that serves two queues and knows which."""
    consumer = stage.backend.consumer(MORE, "child", stage.bridge.store)
    source = Source(backend="memory", consumer=consumer, runner=PlainRunner())
    stage.loop = stage.a_loop(source, queues=MORE)


def told(stage: Stage, *queues: str) -> None:
    """Pause these queues, and have the supervisor say so."""
    for queue in queues:
        stage.bridge.store.control.pause("queue", queue, who="me", why="")
    stage.slot.pause(len(stage.bridge.store.control.pauses()))


def begin(store: Store, bridge: Bridge, message: Message, claim: str = CLAIM) -> None:
    """Have a child begin a message."""
    assert (
        "run"
        == store.claims.begin(ask(Delivery(tag="1", queue="mail", raw=b""), message, claim, bridge.runtime)).verdict
    )


def test_paused_queue_is_left_alone_and_others_are_served():
    """What waits there stays with the broker, untouched; resumed, it is served."""
    stage = a_stage()
    obeying(stage)
    ran = a_task(stage)
    told(stage, "mail")
    waits, runs = stage.publish(3), stage.publish(2, queue="slow")

    stage.serve()

    assert ([one.id for one in runs], 3) == (ran, stage.backend.depth("mail"))
    assert [""] * 3 == stage.states(waits)
    stage.bridge.store.control.resume("queue", "mail")
    stage.slot.pause(0)
    stage.serve()
    assert [one.id for one in (*runs, *waits)] == ran


@pytest.mark.parametrize("how", [BrokerUnavailable, ConfigError, StoreUnfit])
def test_broker_that_breaks_off_is_told_again_which_queues_rest(how: type[TaskbridgeError]):
    """As RabbitMQ does when an acknowledgement takes too long, which it calls a refusal: the child goes on."""
    stage = a_stage()
    obeying(stage)
    ran = a_task(stage)
    (source,) = stage.loop._sources
    consumer: Any = source.consumer
    serve, told_of = consumer.serve, list[Sequence[str]]()

    def breaking(queues: Sequence[str]) -> None:
        told_of.append(queues)
        if len(told_of) == 1:
            raise how("delivery acknowledgement on channel 1 timed out")
        serve(queues)

    consumer.serve = breaking
    told(stage, "mail")

    assert 0 == stage.serve()
    (waits,), (runs,) = stage.publish(1), stage.publish(1, queue="slow")
    stage.serve()

    assert [["slow"], ["slow"]] == told_of
    assert ([runs.id], [""]) == (ran, stage.states([waits]))


def test_child_with_nothing_left_to_serve_is_alive():
    """It asks no broker, and is not taken for deaf; it goes on when it is told."""
    stage = a_stage()
    obeying(stage)
    a_task(stage)
    told(stage, *MORE)
    stage.publish(1)

    assert 0 == stage.serve()
    before_s = stage.slot.last_life_s
    stage.clock.advance(WAIT_S)
    stage.serve()

    assert before_s + WAIT_S == stage.slot.last_life_s
    assert [] == stage.loop._ears()
    stage.bridge.store.control.resume("queue", "mail")
    stage.slot.pause(7)
    assert 1 == stage.serve()


def test_children_are_told_when_other_queues_are_paused(keep: Keep, post: Post):  # noqa: F811
    """By a number that is another for other queues, and none for none; queues that are not its own say nothing."""
    control, numbers = keep.bridge.store.control, []
    keep._obey()
    for queue in ("other", "mail"):
        control.pause("queue", queue, who="me", why="")
        keep._obey()
        numbers.append(keep.paused)
    control.resume("queue", "mail")
    keep._obey()

    assert (0, 0) == (numbers[0], keep.paused)
    assert numbers[1]


def test_a_child_that_has_looked_between_two_pauses_looks_again(keep: Keep, post: Post):  # noqa: F811
    """The second is told by another number, though its supervisor has not heard that there was none in between."""
    stage, control = a_stage(), keep.bridge.store.control
    stage.bridge.store.control, stage.slot = control, post.slot  # type: ignore[misc]
    obeying(stage)
    ran = a_task(stage)

    def paused() -> None:
        control.pause("queue", "mail", who="me", why="")
        keep._obey()
        stage.slot.pause(keep.paused)

    paused()
    control.resume("queue", "mail")
    before_ms = keep.bridge.store.now_ms()
    stage.publish(1)
    assert 1 == stage.serve()
    until(lambda: keep.bridge.store.now_ms() > before_ms, 20, "time to go on")
    paused()
    stage.publish(1)

    assert 0 == stage.serve()
    assert 1 == len(ran)


def test_who_runs_what_was_cancelled_is_found(keep: Keep, post: Post):  # noqa: F811
    """By claim and id: another attempt of the same message is not ended."""
    message, store = a_message(), keep.bridge.store
    begin(store, keep.bridge, message)
    store.control.cancel(message.id, "cancelled by me", kill=True)
    keep._obey()
    post.slot.write(0, message.id, "child:memory:2", 1.0)
    other = keep.to_end(post.slot.running())
    post.slot.write(0, message.id, CLAIM, 1.0)

    assert ("", message.id) == (other, keep.to_end(post.slot.running()))


def test_what_its_child_was_ended_for_is_over_and_the_rest_runs_again(keep: Keep, post: Post):  # noqa: F811
    """The cancelled one is told as dropped, once; the one that had just begun is neither crashed nor lost."""
    cancelled, other, store = a_message(), a_message(), keep.bridge.store
    heard: list[Dropped] = []
    keep.bridge.events.subscribe(heard.append, Dropped)
    for cell, (message, claim) in enumerate(((cancelled, CLAIM), (other, "child:memory:2"))):
        begin(store, keep.bridge, message, claim)
        post.slot.write(cell, message.id, claim, 1.0)
    store.control.cancel(cancelled.id, "cancelled by me", kill=True)
    post.ended_for = "cancel"

    keep.settle(post)
    keep._errands.get_nowait()()

    ended, again = store.messages.look(cancelled.id), store.messages.look(other.id)
    assert ended
    assert again
    assert ("DONE", "cancelled by me") == (ended.state, ended.why)
    assert ("READY", 0) == (again.state, again.crashes)
    assert [(cancelled.id, "tests.send", "memory", "cancelled")] == [
        (one.id, one.task, one.backend, one.how) for one in heard
    ]
