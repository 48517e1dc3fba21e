"""``taskbridge status``."""

from __future__ import annotations

import pytest

from taskbridge import Bridge
from taskbridge.testing import a_message

from .conftest import Cli, begun, settled


def test_running_says_since_when_and_by_whom(cli: Cli, bridge: Bridge):
    """The claim names the worker and the backend."""
    message = begun(bridge.store, a_message(), "host.1.ab.0.1:dramatiq:7")

    said = cli.json("status", message.id)

    assert "running" == said["state"]
    assert ", by host.1.ab.0.1 on dramatiq" in said["why"]
    assert " since 20" in said["why"]
    assert 0 <= bridge.store.now_ms() - said["begun_ms"] < 60_000


@pytest.mark.parametrize(
    ("state", "more", "shown", "told"),
    [
        ("DELAYED", {"due_ms": 7_170_000, "why": "OSError: no"}, "delayed", "(in 1 h 59 min); last time: OSError: no"),
        ("READY", {}, "ready", "the relay publishes it now"),
        ("PARKED", {"due_ms": 60_000, "group": "a.b"}, "parked", "waits for a worker that knows the task a.b; dead at"),
        ("PARKED", {"due_ms": 60_000, "group": "a.b x y"}, "parked", "has the argument x, y of a.b"),
        ("DEAD", {"why": "failed 3 times"}, "dead", "failed 3 times; see taskbridge dead show"),
        ("DONE", {}, "ended", "done"),
        ("DONE", {"why": "dropped: nothing to do"}, "ended", "dropped: nothing to do"),
    ],
)
def test_every_state_is_told_with_its_reason(
    cli: Cli, bridge: Bridge, state: str, more: dict[str, object], shown: str, told: str
):
    """What it waits for, until when, and what went wrong."""
    message = settled(bridge.store, a_message(), state, **more)

    said = cli.json("status", message.id)

    assert shown == said["state"]
    assert told in said["why"]


def test_published_message_is_the_engines(cli: Cli, bridge: Bridge):
    """The store has handed it on and says to which queue it went."""
    message = a_message(queue="emails")
    bridge.store.outbox.put([message], 0)
    (due,) = bridge.store.outbox.take(1)
    bridge.store.outbox.mark([(due.id, due.seq)])

    said = cli.json("status", message.id)

    assert "published" == said["state"]
    assert "'emails'" in said["why"]
    assert "--scan" in said["why"]


def test_unknown_says_what_it_cannot_know(cli: Cli, bridge: Bridge):
    """A plain message that waits leaves no trace in the store; how to look for it is said."""
    bridge.backend("celery").publish([message := a_message()])

    result = cli("status", message.id)

    assert 0 == result.exit_code
    assert "leaves no trace" in result.stdout
    assert "--scan 1000" in result.stdout


def test_scan_finds_what_waits(cli: Cli, bridge: Bridge, engine: str):
    """On whichever engine, with how many wait before it."""
    messages = [a_message(queue="emails") for _ in range(5)]
    bridge.backend(engine).publish(messages)

    said = cli.json("status", messages[3].id, "--scan", "100", "--queues", "emails")

    assert ("waiting", engine, "emails", 3) == (said["state"], said["backend"], said["queue"], said["ahead"])


def test_scan_is_bounded(cli: Cli, bridge: Bridge, engine: str):
    """It looks through so many messages of each queue and says how far it came."""
    messages = [a_message(queue="emails") for _ in range(5)]
    bridge.backend(engine).publish(messages)

    said = cli.json("status", messages[3].id, "--scan", "3", "--queues", "emails")

    assert ("unknown", 3) == (said["state"], said["scanned"])
    assert "first 3 messages" in said["why"]


def test_scan_finds_what_the_store_has_published(cli: Cli, bridge: Bridge):
    """Its record names the queue, so none has to be named."""
    message = a_message(queue="emails")
    bridge.store.outbox.put([message], 0)
    (due,) = bridge.store.outbox.take(1)
    bridge.backend("celery").publish([message])
    bridge.store.outbox.mark([(due.id, due.seq)])

    assert "waiting" == cli.json("status", message.id, "--scan", "10")["state"]


def test_native_id_is_understood(cli: Cli, bridge: Bridge):
    """A native producer knows its message by another id than the ledger."""
    settled(bridge.store, a_message(id="native-1#0"), "DEAD", why="no")

    assert ("native-1#0", "dead") == tuple(cli.json("status", "native-1").values())[:2]


def test_reason_cannot_steer_the_terminal(cli: Cli, bridge: Bridge):
    """An error's text is a stranger's."""
    message = settled(bridge.store, a_message(task="t\x07"), "DEAD", why="bad \x1b[31m\nnews")

    result = cli("status", message.id)

    assert "bad \\x1b[31m\\nnews" in result.stdout
    assert not {"\x1b", "\x07"} & set(result.output)
