"""``taskbridge locks``."""

from __future__ import annotations

from taskbridge import Bridge
from taskbridge.needs import NeedsLock
from taskbridge.store import Begin
from taskbridge.testing import a_message

from .conftest import Cli


def ask(bridge: Bridge, claim: str) -> str:
    """Have a worker ask for the lock; returns the message's id."""
    message = a_message()
    lock = NeedsLock("user:7")
    bridge.store.claims.begin(Begin(message=message, body=b"x", claim=claim, max_crashes=5, locks=(lock,)))
    return message.id


def test_locks_are_listed(cli: Cli, bridge: Bridge):
    """Who holds each, and how many wait."""
    nobody = cli("locks", "list")
    id = ask(bridge, "c1")
    ask(bridge, "c2")

    assert "no lock is held" in nobody.stdout
    assert [{"key": "user:7", "holders": [id], "reserved": [], "waiting": 1}] == cli.json("locks", "list")["locks"]
    assert id in cli("locks", "list").stdout


def test_lock_is_broken_after_a_question(cli: Cli, bridge: Bridge):
    """No leaves it; yes gives it to the next in line."""
    holder, waiter = ask(bridge, "c1"), ask(bridge, "c2")

    refused = cli("locks", "break", "user:7", input="n\n")
    (still,) = bridge.store.waiting.locks()
    broken = cli("locks", "break", "user:7", "--yes")
    (now,) = bridge.store.waiting.locks()

    assert (1, (holder,)) == (refused.exit_code, still.holders)
    assert (0, (waiter,)) == (broken.exit_code, now.reserved)


def test_lock_that_nobody_holds_is_not_broken(cli: Cli):
    """It says so."""
    result = cli("locks", "break", "user:7", "--yes")

    assert 1 == result.exit_code
    assert "nobody holds a lock 'user:7'" in result.output
