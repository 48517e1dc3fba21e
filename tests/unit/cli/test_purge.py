"""``taskbridge purge``."""

from __future__ import annotations

import signal

import pytest

from taskbridge import Bridge
from taskbridge.routing import Rule, Table
from taskbridge.routing.table import encode
from taskbridge.store import Finish
from taskbridge.store.redis.claims import RedisClaims
from taskbridge.testing import a_message

from .conftest import Cli


def test_purge_asks_first(cli: Cli, bridge: Bridge):
    """It says how many there are and where; no and silence leave them alone."""
    bridge.backend("celery").publish([a_message(queue="emails") for _ in range(3)])

    refused = [cli("purge", "emails", input=answer) for answer in ("n\n", "")]

    assert [1, 1] == [one.exit_code for one in refused]
    assert "3 on celery" in refused[0].output
    assert 3 == bridge.backend("celery").depth("emails")


def test_purged_messages_have_ended(cli: Cli, bridge: Bridge, engine: str):
    """Each through the ledger, so that a copy that comes later is recognised; no shelf is left behind."""
    cli.set(BACKEND=engine)
    messages = [a_message(queue="emails", priority=n % 10) for n in range(250)]
    bridge.backend(engine).publish(messages)

    result = cli("purge", "emails", input="y\n")

    states = {record.state for one in messages if (record := bridge.store.messages.look(one.id))}
    assert 0 == result.exit_code, result.output
    assert "purged 250 of 250 in emails" in result.stdout
    assert (0, {"DONE"}) == (bridge.backend(engine).depth("emails"), states)
    assert [] == bridge.store.messages.running()
    assert [] == bridge.store.server.call("KEYS", "*held*")


def test_every_backend_of_the_settings_is_purged(cli: Cli, bridge: Bridge):
    """Unless one is named."""
    cli.write("t.toml", "[backends.old]\nengine = 'dramatiq'\n")
    cli.set(CONFIG="t.toml")
    for engine in ("celery", "dramatiq"):
        bridge.backend(engine).publish([a_message(queue="emails")])

    one = cli("purge", "emails", "--backend", "old", "--yes")
    left = [bridge.backend(engine).depth("emails") for engine in ("celery", "dramatiq")]
    both = cli("purge", "emails", "--yes")

    assert "old: purged 1 of 1" in one.stdout
    assert [1, 0] == left
    assert "celery: purged 1 of 1" in both.stdout
    assert "old: nothing waits" in both.stdout


def test_what_the_store_keeps_stays_and_is_told(cli: Cli, bridge: Bridge):
    """Delayed messages of the queue are none that wait in the engine."""
    bridge.store.outbox.put([message := a_message(queue="emails")], 60_000)

    result = cli("purge", "emails", "--yes")

    record = bridge.store.messages.look(message.id)
    assert record is not None
    assert "DELAYED" == record.state
    assert "the store keeps 1 delayed of emails" in result.stdout


def test_interruption_gives_the_rest_back(cli: Cli, bridge: Bridge, engine: str, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C ends it between two messages: the rest is in its queue as it was, and how many were purged is said."""
    cli.set(BACKEND=engine)
    messages = [a_message(queue="emails") for _ in range(30)]
    bridge.backend(engine).publish(messages)
    finish, calls, before = RedisClaims.finish, [], signal.getsignal(signal.SIGINT)

    def interrupted(claims: RedisClaims, request: Finish) -> str:
        calls.append(request.id)
        if len(calls) == 10:
            signal.raise_signal(signal.SIGINT)
        return finish(claims, request)

    monkeypatch.setattr(RedisClaims, "finish", interrupted)

    result = cli("purge", "emails", "--yes")

    waiting = [one.id for one in bridge.backend(engine).scan("emails", 100)]
    assert 1 == result.exit_code
    assert "purged 10 of 30" in result.stdout
    assert [one.id for one in messages[10:]] == waiting
    assert before is signal.getsignal(signal.SIGINT)


def test_bytes_that_are_no_message_are_buried(cli: Cli, bridge: Bridge):
    """As a worker does; they can be seen among the dead letters."""
    bridge.store.server.call("LPUSH", "emails", b"\x00 no message")

    result = cli("purge", "emails", "--yes")

    assert "1 were no messages" in result.stdout
    assert [b"\x00 no message"] == [record.body for record in bridge.store.dead.list(10)]


def test_where_routes_lead_is_purged_too(cli: Cli, bridge: Bridge):
    """The settings need not name that backend."""
    rule = Rule(id="r1", to="dramatiq", task="*", share=0)
    bridge.store.routes.write(0, encode(Table(rules=(rule,))), who="me", note="")
    bridge.backend("dramatiq").publish([a_message(queue="emails")])

    said = cli("purge", "emails", "--yes")

    assert "dramatiq: purged 1 of 1 in emails" in said.stdout
