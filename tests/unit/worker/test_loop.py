"""The loop of a child: fetch, begin, run, finish, acknowledge, whatever is away meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from taskbridge import current
from taskbridge.backend import Delivery, Place
from taskbridge.errors import BrokerUnavailable, ConfigError, StoreUnavailable, StoreUnfit, TaskbridgeError
from taskbridge.events import Buried, Repeated, Succeeded
from taskbridge.message import encode
from taskbridge.outcome import Outcome
from taskbridge.store import Begin, Begun, Held
from taskbridge.subscribers import SAY_EVERY_S
from taskbridge.testing import FakeClock, a_message
from taskbridge.testing.memory_backend import MemoryBackend, PlainRunner
from taskbridge.worker.complaints import MOST as FEW
from taskbridge.worker.complaints import Complaints
from taskbridge.worker.loop import AWAY_S, WAIT_S, Source
from taskbridge.worker.pace import MOST

from .stages import LOST, Consumer, Stage, a_stage, a_task


@pytest.fixture
def stage() -> Stage:
    return a_stage()


@given(some.lists(some.sampled_from(LOST), max_size=30), some.integers(1, 12))
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_is_acknowledged_before_it_is_told(fails: list[str], count: int):
    """However often and wherever trips are lost, each message is run once, told, and only then acknowledged."""
    stage = a_stage()
    ran, messages = a_task(stage), stage.publish(count)
    stage.claims.fails.extend(fails)

    assert count == stage.serve()

    assert [message.id for message in messages] == ran
    assert ["DONE"] * count == stage.states(messages)
    for number in range(1, count + 1):
        order = [what for what, tag in stage.journal if tag == str(number)]
        assert ["begin answered", "finish answered", "acknowledged"] == order
    assert [] == stage.slot.running()
    assert count == sum(isinstance(event, Succeeded) for event in stage.heard)


@given(some.lists(some.sampled_from(LOST[1:]), min_size=1, max_size=20))
@settings(max_examples=50)
def test_a_lost_trip_is_repeated_with_the_same_claims(fails: list[str]):
    """The very same, until it is answered: a script knows a repeat by its claim."""
    stage = a_stage()
    a_task(stage)
    stage.publish(3)
    stage.claims.fails.extend(fails)

    stage.serve()

    assert [stage.trips[0]] * (len(fails) + 1) == stage.trips[: len(fails) + 1]
    assert 3 == len({claim for trip in stage.trips for verb, claim in trip if verb == "finish"})
    assert all(claim.startswith("child:memory:") for trip in stage.trips for _, claim in trip)


def test_finish_travels_with_the_next_begin(stage: Stage):
    """One trip a message while there are others in hand; alone when there is none, so that nobody waits for it."""
    a_task(stage)
    stage.publish(1 + MOST)

    stage.serve()

    verbs = [[verb for verb, _ in trip] for trip in stage.trips]
    assert [["begin"], ["finish"], ["begin"], *[["finish", "begin"]] * (MOST - 1), ["finish"]] == verbs
    assert [1, MOST, MOST] == stage.limits


def test_a_task_sees_its_claim_shown(stage: Stage):
    """While it runs, its supervisor can read what to renew, and what to settle if it dies."""
    shown: list[Any] = []
    stage.bridge.task(name="tests.send")(lambda: shown.append(stage.slot.running()))
    (message,) = stage.publish(1)

    stage.serve()

    ((running,),) = shown
    assert (message.id, "child:memory:1", "memory", "1") == (running.id, running.claim, running.backend, running.tag)


def test_copies_are_acknowledged_unrun(stage: Stage):
    """What was done before, and a second copy that is in hand while the first is not told yet."""
    ran = a_task(stage)
    (message, *_) = stage.publish(3)
    stage.serve()
    stage.backend.publish([message, new := a_message(), new, new])

    stage.serve()

    assert 4 == len(ran) == len(set(ran))
    assert 7 == [what for what, _ in stage.journal].count("acknowledged")
    assert ["settled"] * 3 == [event.verdict for event in stage.heard if isinstance(event, Repeated)]
    assert [] == stage.slot.running()


def test_bytes_that_are_no_message_are_buried(stage: Stage):
    """As they are, then acknowledged; the same bytes once, and those around them are served."""
    ran = a_task(stage)
    stage.publish(1)
    for raw in (b"\xff\x00", b"{}", b"\xff\x00"):
        stage.backend.push("mail", raw)
    stage.publish(1)

    assert 5 == stage.serve()

    letters = stage.bridge.store.dead.list(10)
    assert {b"\xff\x00", b"{}"} == {letter.body for letter in letters}
    assert all(letter.why.startswith("expected a taskbridge message") for letter in letters)
    assert (2, 5) == (len(ran), [what for what, _ in stage.journal].count("acknowledged"))
    buried = [event for event in stage.heard if isinstance(event, Buried)]
    assert {letter.id for letter in letters} == {event.id for event in buried}


def test_burying_waits_for_the_store(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """Bytes that could not be kept are not acknowledged before they are."""
    bury, away = stage.bridge.store.dead.bury, [1, 1]

    def flaky(*words: Any) -> None:
        if away:
            away.pop()
            raise StoreUnavailable("away")
        assert [] == stage.journal
        bury(*words)

    monkeypatch.setattr(stage.bridge.store.dead, "bury", flaky)
    stage.backend.push("mail", b"junk")

    stage.serve()

    assert [("acknowledged", "1")] == stage.journal
    assert 1 == len(stage.bridge.store.dead.list(10))


def test_a_store_that_denies_it_is_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """Its password was changed, say: the child lives on, and what it has taken is begun when it may be."""
    ran, (message,) = a_task(stage), stage.publish(1)
    begin, denied = stage.claims.begin, iter([StoreUnfit("denies access")] * 3)

    def denying(request: Begin) -> Begun:
        if error := next(denied, None):
            raise error
        return begin(request)

    monkeypatch.setattr(stage.claims, "begin", denying)

    assert 1 == stage.serve()

    assert ([message.id], ["DONE"]) == (ran, stage.states([message]))


HOWS = pytest.mark.parametrize("how", [BrokerUnavailable, ConfigError, StoreUnfit])


@HOWS
def test_an_absent_broker_is_left_alone_for_a_while(
    stage: Stage, caplog: pytest.LogCaptureFixture, how: type[TaskbridgeError]
):
    """Or one that refuses us: a child waits, says so once, goes on by itself, and looks not alive to who asks."""
    ran = a_task(stage)
    stage.publish(1)
    stage.consumer.away, stage.consumer.how = 2, how

    with caplog.at_level(logging.INFO, "taskbridge.worker"):
        assert [False, False] == [stage.loop.step() for _ in range(2)]
        seen = stage.slot.last_life_s
        assert stage.loop.step()

    taking = "taking messages of memory"
    assert [f"{taking} failed and is tried again: away", f"{taking} goes on, after 2 failures"] == caplog.messages
    assert ([AWAY_S, AWAY_S], 0.0) == (stage.waits, seen)
    assert 1 == len(ran)


def test_a_broker_that_refuses_us_keeps_no_other_from_being_served(stage: Stage):
    """A child of two backends serves the one that it may use, and ends in order."""
    ran = a_task(stage)
    refused = Consumer(stage, stage.backend)
    refused.away, refused.how = 100, ConfigError
    loop = stage.a_loop(Source(backend="other", consumer=refused, runner=stage.runner), *stage.loop._sources)
    stage.publish(3)

    while len(ran) < 3:
        assert loop.step()
    loop.stopping = True
    loop.run()

    assert 3 == len(set(ran)) == len(ran)


@HOWS
def test_what_cannot_be_acknowledged_is_not_run_again(
    stage: Stage, caplog: pytest.LogCaptureFixture, how: type[TaskbridgeError]
):
    """The store knows: its copy comes back by itself and is recognised."""
    ran = a_task(stage)
    (message,) = stage.publish(1)
    stage.loop.step()
    stage.consumer.away, stage.consumer.how = 1, how

    with caplog.at_level(logging.WARNING, "taskbridge.worker"):
        stage.loop._settle()
    stage.backend.publish([message])
    stage.serve()

    assert [message.id] == ran
    assert "1 was settled and not acknowledged; it will be recognised: away" in caplog.text


def test_what_the_stores_script_acknowledges_is_left_to_it(stage: Stage):
    """Where broker and store are one server, ``finish`` and ``begin`` are told where the copy lies."""
    a_task(stage)
    stage.consumer.held = Held("shelf", "1")
    (message,) = stage.publish(1)

    stage.serve()
    stage.backend.publish([message])
    stage.serve()

    assert "acknowledged" not in [what for what, _ in stage.journal]


def test_a_stop_settles_and_gives_back(stage: Stage):
    """What ran is told, what was not begun goes back to the front of its queue, in order."""
    messages = stage.publish(6)

    def stop_at_the_third() -> None:
        stage.loop.stopping = current().id == messages[2].id

    stage.bridge.task(name="tests.send")(stop_at_the_third)
    stage.loop.run()

    assert ["DONE"] * 3 + [""] * 3 == stage.states(messages)
    assert [message.id for message in messages[3:]] == [one.id for one in stage.backend.scan("mail", 10)]
    assert stage.journal.index(("acknowledged", "3")) < stage.journal.index(("given back", "4"))


def test_an_emptied_hand_is_not_run(stage: Stage):
    """During a long run the supervisor gives back what was not begun: others may have it by now."""
    messages = stage.publish(4)
    stage.bridge.task(name="tests.send")(lambda: stage.slot.empty_hand() if current().id == messages[1].id else None)

    stage.serve()

    assert ["DONE", "DONE", "", ""] == stage.states(messages)


def test_another_child_is_woken_while_there_is_more(stage: Stage):
    """One child takes what it can; when it left some behind it rings for the next."""
    a_task(stage)
    stage.publish(1 + MOST)

    stage.loop.step()
    rings = stage.rings
    stage.serve()

    assert (1, 1) == (rings, stage.rings)


def test_an_idle_child_waits_for_the_bell(stage: Stage):
    """And looks by itself now and then; what its consumers hear by is listened to."""
    heard: list[Sequence[int]] = []
    stage.consumer.ears = (71, 72)

    def wait(timeout_s: float, ears: Sequence[int]) -> None:
        heard.append(ears)
        stage.waits.append(timeout_s)
        stage.loop.stopping = len(stage.waits) == 3

    stage.loop._wait = wait
    stage.loop.run()

    assert [WAIT_S] * 3 == stage.waits
    assert [[71, 72]] * 3 == heard


class BrokenHooks(PlainRunner):
    """An engine whose hooks fail, before the task or after it."""

    def __init__(self, *, after: bool, error: BaseException) -> None:
        self.after, self.error = after, error

    def run(self, delivery: Delivery, attempt: Callable[[], Outcome]) -> Outcome:
        if self.after:
            attempt()
        raise self.error


def test_hooks_that_go_on_failing_are_said_once(stage: Stage, caplog: pytest.LogCaptureFixture):
    """Once for each reason, with its traceback; then they are counted, and said again after a minute."""
    a_task(stage)
    hooks = BrokenHooks(after=False, error=RuntimeError("a signal handler failed"))
    stage.loop = stage.a_loop(Source(backend="memory", consumer=stage.consumer, runner=hooks))

    def said(count: int) -> list[str]:
        caplog.clear()
        stage.publish(count)
        stage.serve()
        return [record.getMessage() for record in caplog.records if record.exc_info]

    text = "the hooks of memory failed around tests.send, the last of {} times"
    assert [text.format(1)] == said(5)
    hooks.error = ValueError("another")
    assert [text.format(1)] == said(3)
    stage.clock.advance(SAY_EVERY_S)
    assert [text.format(3)] == said(2)
    assert "another" in caplog.text


def test_reasons_that_are_no_end_are_one():
    """So many are told apart, whatever an engine's hooks raise; the others together are said once."""
    complaints = Complaints(FakeClock())
    kinds = [type(f"Odd{n}", (Exception,), {}) for n in range(FEW + 5)]

    assert [1] * (FEW + 1) + [0] * 4 == [complaints.more(kind()) for kind in kinds]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", [RuntimeError("a signal handler failed"), SystemExit(1)])
def test_hooks_that_fail_are_the_attempts_failure(stage: Stage, after: bool, error: BaseException):
    """The task's own policy decides, and the child goes on."""
    a_task(stage)
    messages = stage.publish(2)
    hooks = BrokenHooks(after=after, error=error)
    stage.loop = stage.a_loop(Source(backend="memory", consumer=stage.consumer, runner=hooks))

    assert 2 == stage.serve()

    state = "READY" if isinstance(error, Exception) else "DEAD"
    assert [state] * 2 == stage.states(messages)


def test_a_record_that_is_gone_leaves_the_engines_copy(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """The store has lost its data: the message goes back to its queue, and is not acknowledged."""
    a_task(stage)
    (message,) = stage.publish(1)
    monkeypatch.setattr(stage.claims, "finish", lambda request: "unknown")

    stage.loop.step()
    stage.loop._settle()

    assert [message.id] == [one.id for one in stage.backend.scan("mail", 10)]
    assert [("given back", "1")] == [entry for entry in stage.journal if "answered" not in entry[0]]


def test_backends_are_served_in_turn(stage: Stage):
    """None waits until the other is empty."""
    served: list[str] = []
    stage.bridge.task(name="tests.send")(lambda: served.append(stage.slot.running()[-1].backend))
    sources = []
    for name in ("old", "new"):
        backend = MemoryBackend(Place(name=name, broker_url="", namespace="bank"))
        backend.publish([a_message(priority=5) for _ in range(40)])
        sources.append(
            Source(backend=name, consumer=backend.consumer(["mail"], "child", stage.bridge.store), runner=stage.runner)
        )
    stage.loop = stage.a_loop(*sources)

    assert 80 == stage.serve()

    turns = [name for name, before in zip(served, ["", *served], strict=False) if name != before]
    assert ["old", "new"] * 2 == turns[:4]


def test_bands_are_served_in_order(stage: Stage):
    """High before the queue itself before low."""
    ran = a_task(stage)
    low, plain, high = (stage.publish(1, priority=priority)[0] for priority in (0, 5, 9))

    stage.serve()

    assert [high.id, plain.id, low.id] == ran


def test_a_message_is_encoded_as_it_came(stage: Stage):
    """What the store keeps of a running message is what the engine carried: nothing is lost on the way."""
    kept: list[bytes] = []
    stage.bridge.task(name="tests.send")(
        lambda: kept.extend(record.body for record in stage.bridge.store.messages.running())
    )
    (message,) = stage.publish(1, route_key="7", native=msgspec.Raw(b'{"x":1}'), engine="celery")

    stage.serve()

    assert [encode(message)] == kept


def test_a_child_is_idle_only_while_it_waits():
    """For the bell, or for a broker that is away; however long its tasks run, it has something to do."""
    stage = a_stage()
    stage.bridge.task(name="tests.send")(lambda: stage.clock.advance(5))
    began_s = stage.clock.monotonic_s()
    stage.publish(2)
    stage.serve()
    stage.consumer.away = 1
    stage.loop.step()
    loop = stage.a_loop(*stage.loop._sources)

    def wait(timeout_s: float, ears: object) -> None:
        stage.clock.advance(timeout_s)
        loop.stopping = True

    loop._wait = wait
    loop.run()

    now_s = stage.clock.monotonic_s()
    assert (AWAY_S + WAIT_S, 2 * 5 + AWAY_S + WAIT_S) == (stage.slot.idle_s(now_s), now_s - began_s)
