"""A child runs what wants no ledger: no trip to the store while all is well, and none forgotten when it is not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from taskbridge import Backoff, current
from taskbridge.announcement import EVERY_S, KIND, LEASE_MS, withdraw
from taskbridge.errors import StoreUnavailable, StoreUnfit, TaskbridgeError
from taskbridge.events import Dropped, Event, Failed, Received, Repeated, Retried, Started, Succeeded
from taskbridge.message import Message
from taskbridge.store import Begin, Begun, Finish
from taskbridge.store.memory import MemoryStore
from taskbridge.store.memory.control import MemoryControl
from taskbridge.testing import a_message
from taskbridge.unrecorded import RECORD_ALL_MS
from taskbridge.worker.keep import Keep
from taskbridge.worker.posts import Post

from ...servers import until
from ..conftest import BridgeClock
from .stages import Stage, a_stage
from .test_settling import CLAIM, keep, post  # noqa: F401


def a_light_task(stage: Stage, fails: int = 0) -> list[str]:
    """Declare a task without a ledger that fails so often; returns the ids of those that ran."""
    ran: list[str] = []

    @stage.bridge.task(name="tests.send", retry=Backoff(base=0, cap=0, max_retries=2), ledger=False)
    def send() -> None:
        assert stage.slot.running(), "the supervisor sees what runs"
        ran.append(current().id)
        if current().attempt <= fails:
            raise OSError("no route")

    return ran


@contextmanager
def waiting(stage: Stage) -> Iterator[threading.Event]:
    """Told when the child waits for its supervisor."""
    waits, sleep = threading.Event(), stage.clock.sleep

    def slept(seconds: float) -> None:
        waits.set()
        time.sleep(seconds)

    stage.clock.sleep = slept  # type: ignore[method-assign]
    yield waits
    stage.clock.sleep = sleep  # type: ignore[method-assign]


def published(stage: Stage, count: int, **changes: object) -> list[Message]:
    """Publish messages and have the child serve them."""
    messages = stage.publish(count, **changes)
    assert count == stage.serve()
    return messages


def test_what_succeeds_makes_no_trip():
    """Each is acknowledged when it has run; listeners hear of it as ever; the store knows of none."""
    stage = a_stage()
    ran = a_light_task(stage)

    messages = published(stage, 3)

    assert [one.id for one in messages] == ran
    assert [] == stage.trips
    assert [("acknowledged", str(n)) for n in (1, 2, 3)] == stage.journal
    assert [""] * 3 == stage.states(messages)
    assert [Received, Started, Succeeded] * 3 == [type(one) for one in stage.heard]
    assert [] == stage.slot.running()


def test_the_broker_is_told_before_the_supervisor(monkeypatch: pytest.MonkeyPatch):
    """A process that dies in between leaves a message that comes again, never one that is taken for done."""
    stage = a_stage()
    a_light_task(stage)
    shown: list[int] = []
    told = stage.consumer.acknowledge
    monkeypatch.setattr(stage.consumer, "acknowledge", lambda one: (shown.append(len(stage.slot.running())), told(one)))

    published(stage, 2)

    assert [1, 1] == shown


def test_a_broker_that_was_not_told_hands_it_out_again(caplog: pytest.LogCaptureFixture):
    """Which is said: nobody recognises it. The worker goes on."""
    stage = a_stage()

    @stage.bridge.task(name="tests.send", ledger=False)
    def send() -> None:
        stage.consumer.away = 1

    with caplog.at_level(logging.WARNING, "taskbridge.worker"):
        published(stage, 1)

    assert [("acknowledged", "1")] == stage.journal
    assert "1 has run and was not acknowledged; it runs again: away" in caplog.text


@pytest.mark.parametrize("lost", ["", "request", "reply"])
def test_what_fails_is_recorded_before_it_is_acknowledged(lost: str):
    """However often the store must be told: begun there and finished, then let go."""
    stage = a_stage()
    ran = a_light_task(stage, fails=1)
    stage.claims.fails.append(lost)

    (message,) = published(stage, 1)

    assert ([message.id], ["READY"]) == (ran, stage.states([message]))
    assert [("begin answered", "1"), ("finish answered", "1"), ("acknowledged", "1")] == stage.journal
    assert [Received, Started, Retried] == [type(one) for one in stage.heard]
    (due,) = stage.bridge.store.outbox.take(9)
    assert (2, 2) == (due.seq, due.attempt)


def test_the_claim_of_what_has_failed_is_shown_as_one():
    """It stands in the store until it is finished, so the supervisor renews it, or brings it back."""
    stage = a_stage()
    a_light_task(stage, fails=1)
    shown: list[bool] = []
    begin = stage.claims.begin

    def begun(request: Begin) -> Begun:
        shown.extend(running.unrecorded for running in stage.slot.running())
        return begin(request)

    stage.claims.begin = begun  # type: ignore[method-assign]

    published(stage, 1)

    assert [False] == shown


def test_what_was_given_back_while_the_store_was_slow_is_not_begun():
    """The store was to hear of what ran before it; its consumer took that for a long task: others have it."""
    stage = a_stage()
    ran = a_light_task(stage)
    stage.bridge.task(name="tests.heavy")(lambda: ran.append(current().id))
    stage.loop._pace.ran(1.0)
    messages = stage.publish(1, task="tests.heavy") + stage.publish(1)
    finish = stage.claims.finish

    def slowly(request: Finish) -> str:
        if not light.withdrawn:
            light.withdrawn = True
            stage.consumer.give_back([light])
        return finish(request)

    stage.loop.step()
    ((_, light),) = stage.loop._hand
    stage.claims.finish = slowly  # type: ignore[method-assign]
    stage.serve()

    assert [one.id for one in messages] == ran


def test_what_comes_back_from_the_store_is_recorded():
    """A retry has its record from the first to the last."""
    stage = a_stage()
    ran = a_light_task(stage, fails=2)
    (message,) = published(stage, 1)

    for _ in range(2):
        (due,) = stage.bridge.store.outbox.take(9)
        stage.backend.publish([message.copy(seq=due.seq, attempt=due.attempt, released_at_ms=1)])
        stage.bridge.store.outbox.mark([(due.id, due.seq)])
        stage.serve()

    assert ([message.id] * 3, ["DONE"]) == (ran, stage.states([message]))
    assert [Retried, Retried] == [type(one) for one in stage.heard if isinstance(one, Retried | Failed)]


def test_what_the_ledger_knows_already_is_let_go():
    """One that was cancelled while this copy of it ran, and failed, ends there: it is not made again."""
    stage = a_stage()
    ran = a_light_task(stage, fails=1)
    (message,) = stage.publish(1)
    stage.bridge.store.control.cancel(message.id, "by me")

    stage.serve()

    assert ([message.id], ["DONE"]) == (ran, stage.states([message]))
    assert ("acknowledged", "1") == stage.journal[-1]
    assert [Received, Started, Repeated] == [type(one) for one in stage.heard]


def test_what_is_late_is_dropped_and_what_was_begun_in_time_is_not():
    """The first is told and forgotten; the second is retried, though its time is over when it has failed."""
    stage = a_stage()
    ran = a_light_task(stage)
    now_ms = stage.clock.now_ms()
    (late,) = published(stage, 1, expires_at_ms=now_ms - 1)

    @stage.bridge.task(name="tests.slow", retry=Backoff(base=0, cap=0), ledger=False)
    def slow() -> None:
        stage.clock.advance(60)
        raise OSError("no route")

    (slowly,) = published(stage, 1, task="tests.slow", expires_at_ms=now_ms + 1_000)

    assert ([], ["", "READY"]) == (ran, stage.states([late, slowly]))
    assert [("expired", late.id)] == [(one.how, one.id) for one in stage.heard if isinstance(one, Dropped)]


@pytest.mark.parametrize("given_back", [True, False])
def test_what_its_supervisor_gives_back_is_not_run(given_back: bool):
    """A copy of it would run elsewhere, and nobody would recognise that; what stays in hand is run then."""
    stage = a_stage()
    ran = a_light_task(stage)
    stage.publish(1)
    with stage.slot.holding(), waiting(stage) as waits:
        served = threading.Thread(target=stage.loop.step)
        served.start()
        until(waits.is_set, 20, "it waits")
        begun = list(ran)
        if given_back:
            stage.slot.empty_hand()
    served.join(20)

    assert ([], not given_back) == (begun, bool(ran))
    assert [] == stage.slot.running()
    assert [] == [what for what in stage.journal if given_back]


def test_all_is_recorded_while_it_is_told_so():
    """By its supervisor; the trips are those of any other message then."""
    stage = a_stage()
    stage.loop._records = lambda _: stage.slot.records
    a_light_task(stage)
    stage.slot.record(all=True)
    first = published(stage, 1)
    stage.slot.record(all=False)
    second = published(stage, 1)

    assert ["DONE", ""] == stage.states([*first, *second])


@pytest.mark.parametrize("how", [StoreUnavailable, StoreUnfit])
def test_without_a_supervisor_the_store_is_asked_once_a_second(
    how: type[TaskbridgeError], monkeypatch: pytest.MonkeyPatch
):
    """While it is away, or denies it, what it last said holds; and the tasks go on."""
    stage = a_stage()
    a_light_task(stage)
    asked: list[float] = []
    halts, away = MemoryControl.halts, [False]

    def heard(control: MemoryControl) -> object:
        asked.append(stage.clock.monotonic_s())
        if away[0]:
            raise how("away")
        return halts(control)

    monkeypatch.setattr(MemoryControl, "halts", heard)
    free = published(stage, 3)
    stage.bridge.store.control.pause("task", "tests.send", who="me", why="")
    stage.clock.advance(1)
    held = published(stage, 2)
    away[0] = True
    stage.clock.advance(1)
    still = published(stage, 2)

    assert [""] * 3 + ["PAUSED"] * 4 == stage.states([*free, *held, *still])
    assert 3 == len(asked)


def test_what_was_begun_by_the_time_its_hand_is_emptied_stays(
    keep: Keep,  # noqa: F811
    post: Post,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
):
    """Whatever ran when that was asked for; and nothing is begun without the ledger meanwhile."""
    asked: list[object] = []

    def reclaim(owner: str, keep: Sequence[str]) -> int:
        asked.append((owner, keep, post.slot.held))
        return 0

    for keeper in keep._keepers.values():
        monkeypatch.setattr(keeper, "reclaim", reclaim)
    post.owner = "child"
    post.slot.write(0, "long", "child:memory:5", 1.0, unrecorded=True)
    keep.give_back_hand(post)
    post.slot.clear(0, 2.0)
    post.slot.write(1, "next", "child:memory:6", 2.0, unrecorded=True)
    keep._errands.get_nowait()()

    assert ([("child", ["6"], True)], False) == (asked, post.slot.held)


def test_the_hand_of_a_child_that_is_gone_is_not_that_of_the_next(
    keep: Keep,  # noqa: F811
    post: Post,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
):
    """The broker was away meanwhile: what the next has begun stays with it."""
    asked: list[object] = []
    for keeper in keep._keepers.values():
        monkeypatch.setattr(keeper, "reclaim", lambda owner, **_: asked.append(owner))
    post.ordered("first", 1.0)
    keep.give_back_hand(post)
    post.ordered("second", 2.0)
    keep._errands.get_nowait()()

    assert [] == asked


@pytest.mark.parametrize("draining", [True, False])
def test_a_process_that_dies_with_one_has_all_recorded(
    keep: Keep,  # noqa: F811
    post: Post,  # noqa: F811
    draining: bool,
    monkeypatch: pytest.MonkeyPatch,
):
    """So that what kills its process again is counted; one that was only drained was not to blame. It comes again."""
    back: list[object] = []
    for keeper in keep._keepers.values():
        monkeypatch.setattr(keeper, "reclaim", lambda owner, **kept: back.append((owner, kept)))
    post.slot.write(0, a_message().id, CLAIM, 1.0, unrecorded=True)
    post.draining = draining

    keep.settle(post)
    post.slot.reset(9.0)
    keep._errands.get_nowait()()

    assert (not draining) is keep.records is keep.bridge.store.control.halts().records
    assert [("", {"done": []})] == back
    keep._obey()
    assert (not draining) is keep.records
    assert RECORD_ALL_MS > 0


def test_workers_that_are_gone_without_a_word_have_all_recorded(keep: Keep):  # noqa: F811
    """They may have died with all of their processes of what they ran; one that took its leave has not."""
    clock = BridgeClock()
    keep.bridge.__dict__["store"] = store = MemoryStore(clock)
    for name in ("gone", "leaves"):
        store.documents.put(KIND, name, b"1", 1)
    withdraw(store, "leaves")
    clock.advance(0.001)

    keep._hear()

    assert keep.records is store.control.halts().records is True
    store.control.record_all(0)
    keep._hear()
    assert not keep.records


@pytest.mark.parametrize("away", [False, True])
def test_a_store_that_was_away_is_no_worker_that_is_gone(keep: Keep, monkeypatch: pytest.MonkeyPatch, away: bool):  # noqa: F811
    """Then all announcements have lapsed, our own, too."""
    clock, store = BridgeClock(), keep.bridge.store
    keep.bridge.clock = clock
    began_s = clock.monotonic_s()
    monkeypatch.setattr(store.documents, "put", lambda *_: ["other"] if clock.monotonic_s() > began_s else [])
    keep._announce()
    clock.advance(EVERY_S + away * LEASE_MS / 1000)

    keep._announce()

    assert (not away) is keep.records is store.control.halts().records


def test_who_is_gone_is_not_forgotten_while_the_store_is_away(keep: Keep, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    """It is told once, and taken to heart when the store takes it."""
    store, away = keep.bridge.store, [StoreUnavailable("away")]
    record_all = MemoryControl.record_all
    monkeypatch.setattr(store.documents, "remove", lambda *_: ["gone"] if away else [])

    def fail(control: MemoryControl, for_ms: int) -> None:
        if away:
            raise away.pop()
        record_all(control, for_ms)

    monkeypatch.setattr(MemoryControl, "record_all", fail)

    with pytest.raises(StoreUnavailable):
        keep._hear()
    keep._hear()

    assert store.control.halts().records


def test_a_claim_that_the_store_has_not_is_not_renewed(
    keep: Keep,  # noqa: F811
    post: Post,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
):
    """What runs beside it is."""
    renewed: list[object] = []
    monkeypatch.setattr(keep.bridge.store.claims, "renew", renewed.extend)
    post.slot.write(0, "light", "child:memory:1", 1.0, unrecorded=True)
    post.slot.write(1, "heavy", "child:memory:2", 1.0)
    post.pid = 1

    keep._renew()

    assert [("heavy", "child:memory:2")] == renewed


def test_pauses_of_its_tasks_and_queues_have_all_recorded(keep: Keep):  # noqa: F811
    """Of others' they do not."""
    control, told = keep.bridge.store.control, []
    keep._tasks = {"tests.send": b""}  # type: ignore[dict-item]
    for kind, name in (("task", "tests.other"), ("key", "a"), ("queue", "other"), ("task", "tests.send")):
        control.pause(kind, name, who="me", why="")
        keep._obey()
        told.append(keep.records)

    assert [False, False, False, True] == told
    control.resume("task", "tests.send")
    control.pause("queue", "mail", who="me", why="")
    keep._obey()
    assert keep.records


def test_events_say_what_an_attempt_came_to():
    """The last failure is told as such, with the attempt that it was."""
    stage = a_stage()

    @stage.bridge.task(name="tests.send", retry=None, ledger=False)
    def send() -> None:
        raise OSError("no route")

    (message,) = published(stage, 1)
    failed: list[Event] = [one for one in stage.heard if isinstance(one, Failed)]

    assert [(message.id, 1)] == [(one.id, one.attempt) for one in failed]  # type: ignore[attr-defined]
    assert ["DEAD"] == stage.states([message])
