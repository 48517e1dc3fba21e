"""The story of a message: each thing that happened, in its order, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from taskbridge import Bridge, Settings
from taskbridge.announcement import Announcement, Known, announce
from taskbridge.config import BackendSettings
from taskbridge.message import Message
from taskbridge.needs import NeedsLock, NeedsTokens
from taskbridge.operations.disclosure import NAMELESS
from taskbridge.operations.history import Story, why
from taskbridge.operations.overview import overview
from taskbridge.testing import a_message
from taskbridge.testing.laws.steps import begin, finish, run, take
from tests.servers import RedisServer

pytestmark = [pytest.mark.service("redis"), pytest.mark.usefixtures("standing")]

CLAIM = "host.1.ab.0.1:celery:1"
A = NeedsLock("a")


@pytest.fixture
def bridge(redis_server: RedisServer) -> Iterator[Bridge]:
    redis_server.cli().flushall()
    backends = {name: BackendSettings(engine=name) for name in ("celery", "dramatiq")}
    made = Bridge(Settings(broker_url=redis_server.url(), backends=backends))
    yield made
    made.close()


def words(story: Story) -> list[str]:
    return [step.what for step in story.steps]


def sent(bridge: Bridge, **changes: object) -> Message:
    """A message that was enqueued a minute ago."""
    return a_message(**({"task": "bank.pay", "enqueued_at_ms": bridge.store.now_ms() - 60_000} | changes))


def test_one_that_ran_once_and_succeeded_is_told(bridge: Bridge):
    """As long as its marker stands: when it was enqueued and begun, by whom, and how long it took."""
    announce(bridge.store, Announcement(name="host.1.ab", backends=["celery"], queues=[], processes=1, tasks={}))
    message = sent(bridge)
    begin(bridge.store, message, CLAIM)
    finish(bridge.store, message, CLAIM, of=message)

    story = why(bridge, message.id)

    assert ("ended", "bank.pay", message.queue) == (story.state, story.task, story.queue)
    assert ["enqueued", "begun", "done"] == words(story)
    assert ("celery", "host.1.ab") == (story.steps[1].backend, story.steps[1].worker)
    assert story.steps[2].words.startswith("done in ")
    assert [] == story.waits == story.advice


def test_a_switch_of_engines_is_told(bridge: Bridge):
    """Where it ran and failed, to which backend it was published then, and where it runs."""
    message = sent(bridge)
    run(bridge.store, message, CLAIM, "READY", counted=True, why="OSError: no")
    (copy,) = take(bridge.store)
    bridge.store.outbox.mark([(copy.id, copy.seq)], {copy.id: "dramatiq"})
    begin(bridge.store, copy, "host.2.ab.0.1:dramatiq:1")

    story = why(bridge, message.id)

    assert ["enqueued", "begun", "retried", "published", "begun"] == words(story)
    assert ["", "celery", "celery", "dramatiq", "dramatiq"] == [step.backend for step in story.steps]
    assert "OSError: no" in story.steps[2].words
    assert "attempt 2 begun on dramatiq" in story.steps[4].words


def test_arguments_are_shown_without_secrets(bridge: Bridge):
    """What is secret by its name is not there, and what steers a terminal is text."""
    message = sent(bridge, kwargs=msgspec.Raw(b'{"user_id":7,"password":"hush","note":"\\u001b[31m"}'))
    begin(bridge.store, message, CLAIM)

    story = why(bridge, message.id)

    assert story.arguments
    assert {"user_id": 7, "password": "[Filtered]", "note": r"\x1b[31m"} == story.kwargs


def paid(bridge: Bridge, **changes: object) -> Message:
    """A call whose card stands in its place, without its name."""
    return sent(bridge, args=msgspec.Raw(b'[7,"4111111111111111"]'), kwargs=msgspec.Raw(b'{"pin":"1234"}'), **changes)


def test_an_argument_given_by_its_place_is_shown_by_its_name(bridge: Bridge):
    """As a live worker announces it; so one whose name is secret is hidden, however it was given."""
    known = {"bank.pay": Known(queue="emails", positional=("user_id", "pan"))}
    announce(
        bridge.store,
        Announcement(name="w", backends=["celery"], queues=[], processes=1, tasks={"bank.pay": []}, known=known),
    )
    message = paid(bridge)
    begin(bridge.store, message, CLAIM)

    story = why(bridge, message.id)

    assert ([], {"user_id": 7, "pan": "[Filtered]", "pin": "[Filtered]"}) == (list(story.args), story.kwargs)


def test_an_argument_without_a_name_is_not_shown(bridge: Bridge):
    """Where nobody says what it is called it could be anything."""
    message = paid(bridge)
    begin(bridge.store, message, CLAIM)

    story = why(bridge, message.id)

    assert ([NAMELESS, NAMELESS], {"pin": "[Filtered]"}) == (list(story.args), story.kwargs)


TRACE = """Traceback (most recent call last):
  File "/app/bank.py", line 7, in pay
    token = sign(pan, pin)
            ^^^^^^^^^^^^^^
app.Refused: card 4111111111111111 with PIN 1234 was refused, api_key='k-99', at https://u:hush@bank/?token=t-77
"""


def test_what_is_secret_is_hidden_in_an_error_too(bridge: Bridge):
    """By its name, and where it stands without one: in traceback, reason and steps; code stays as it is."""
    message = paid(bridge)
    why_not = TRACE.splitlines()[-1].removeprefix("app.")
    run(bridge.store, message, CLAIM, "READY", counted=True, why=why_not)
    (copy,) = take(bridge.store)
    run(bridge.store, copy, CLAIM, "DEAD", why=why_not, traceback=TRACE)

    story = why(bridge, message.id)

    told = "\n".join([story.traceback, story.where.why, *(step.words for step in story.steps)])
    assert [] == [one for one in ("4111", "1234", "k-99", "t-77") if one in told], told
    assert "card [Filtered] with PIN [Filtered] was refused" in story.traceback
    assert "    token = sign(pan, pin)" in story.traceback


def test_who_has_the_lock_is_told(bridge: Bridge):
    """Since when, who is before it, and the command that breaks it."""
    holder, early, late = sent(bridge), sent(bridge), sent(bridge)
    for n, message in enumerate((holder, early, late)):
        begin(bridge.store, message, f"host.1.ab.{n}.1:celery:{n}", locks=(A,))

    story = why(bridge, late.id)

    (wait,) = story.waits
    assert ("lock", "a") == (wait.kind, wait.name)
    assert "1 before it" in wait.words
    assert f"held by {holder.id} since" in wait.words
    assert ["taskbridge locks break a"] == [one.command for one in story.advice]


def test_how_long_a_limit_may_take_is_told(bridge: Bridge):
    """By its pace and who is before it; a pause has no end."""
    slow = NeedsTokens("slow", "slow", 3_600_000_000, 1)
    messages = [sent(bridge) for _ in range(3)]
    for n, message in enumerate(messages):
        begin(bridge.store, message, f"c{n}", rates=(slow,))

    (wait,) = why(bridge, messages[2].id).waits
    bridge.store.waiting.set_limit("slow", paused=True)
    (paused,) = why(bridge, messages[2].id).waits

    assert ("limit", "slow") == (wait.kind, wait.name)
    assert "1 before it" in wait.words
    assert "in about 1 h 59 min" in wait.words or "in about 2 h" in wait.words
    assert "paused" in paused.words


def test_a_dead_letter_has_its_traceback_and_its_replay(bridge: Bridge):
    """And the attempt that it died of."""
    message = sent(bridge)
    run(bridge.store, message, CLAIM, "DEAD", why="OSError: no", traceback="Traceback: here")

    story = why(bridge, message.id)

    assert ["enqueued", "begun", "dead"] == words(story)
    assert "Traceback: here" == story.traceback
    assert f"taskbridge dead replay {message.id}" == story.advice[0].command


def test_what_nobody_knows_is_told_so(bridge: Bridge):
    """With how to look for it."""
    story = why(bridge, "nobody")

    assert ("unknown", [], ["taskbridge why nobody --scan 1000"]) == (
        *(story.state, story.steps),
        [one.command for one in story.advice],
    )


def test_a_scan_finds_what_waits_and_when_it_was_enqueued(bridge: Bridge):
    """Though the store knows nothing of it."""
    bridge.backend("celery").publish([message := sent(bridge, queue="emails")])

    story = why(bridge, message.id, scan=10, queues=["emails"])

    assert ("waiting", "bank.pay", ["enqueued"]) == (story.state, story.task, words(story))


def test_a_pause_is_told_with_who_and_why(bridge: Bridge):
    """And the command that ends it; the overview has it, too."""
    message = sent(bridge)
    bridge.store.control.pause("task", "bank.pay", who="ann", why="the bank is down")
    begin(bridge.store, message, CLAIM)

    story = why(bridge, message.id)

    (wait,) = story.waits
    assert ("pause", "task bank.pay") == (wait.kind, wait.name)
    assert "paused by ann since" in wait.words
    assert wait.words.endswith(": the bank is down")
    assert ["taskbridge control resume task bank.pay"] == [one.command for one in story.advice]
    found = overview(bridge, patience_s=20)
    assert [("task", "bank.pay")] == [(one.kind, one.name) for one in found.pauses]
    assert [1] == [queue.kept for queue in found.queues]


@pytest.mark.parametrize("kind", ["queue", "task"])
@pytest.mark.parametrize("where", ["OUT", "READY", "DELAYED", "scan"])
def test_a_pause_is_told_of_what_has_not_come_to_it_yet(bridge: Bridge, kind: str, where: str):
    """Of a paused queue our workers take nothing, and what is due later will wait, too: whoever asks why is told."""
    message = sent(bridge, queue="emails")
    if where == "scan":
        bridge.backend("celery").publish([message])
    else:
        bridge.store.outbox.put([message], 60_000 if where == "DELAYED" else 0)
    if where == "OUT":
        (copy,) = take(bridge.store)
        bridge.store.outbox.mark([(copy.id, copy.seq)], {copy.id: "celery"})
    bridge.store.control.pause(kind, name := {"queue": "emails", "task": "bank.pay"}[kind], who="ann", why="down")
    bridge.store.control.pause("queue", "others", who="ann", why="")

    story = why(bridge, message.id, scan=10 if where == "scan" else 0, queues=["emails"])

    assert [f"{kind} {name}"] == [wait.name for wait in story.waits if wait.kind == "pause"]
    assert f"taskbridge control resume {kind} {name}" in [one.command for one in story.advice]


def test_a_resumed_queue_is_no_reason_any_more(bridge: Bridge):
    """Though some of what waited for it is yet to go on: what lies in an engine's queue does not wait for that."""
    waits, message = sent(bridge, queue="emails"), sent(bridge, queue="emails")
    bridge.store.control.pause("queue", "emails", who="ann", why="")
    begin(bridge.store, waits, CLAIM)
    bridge.store.control.resume("queue", "emails")
    bridge.store.outbox.put([message], 60_000)

    assert ["time"] == [wait.kind for wait in why(bridge, message.id).waits]
    (wait,) = why(bridge, waits.id).waits
    assert ("pause", []) == (wait.kind, why(bridge, waits.id).advice), "there is nothing to resume"
