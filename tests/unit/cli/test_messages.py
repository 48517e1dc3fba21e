"""``taskbridge messages``."""

from __future__ import annotations

import msgspec
import pytest

from taskbridge import Bridge
from taskbridge.testing import a_message

from .conftest import Cli, begun, settled

CLAIM = "host.1.ab.0.1:celery:1"


@pytest.fixture
def ids(bridge: Bridge) -> dict[str, str]:
    """One message of each state, by state."""
    store = bridge.store
    made = {state: a_message(id=f"m-{state}", task="bank.pay", queue="emails") for state in ("running", "dead")}
    made |= {
        state: a_message(id=f"m-{state}", task="bank.mail", queue="slow") for state in ("delayed", "parked", "ready")
    }
    begun(store, made["running"], CLAIM)
    settled(store, made["dead"], "DEAD", why="TimeoutError: too late")
    settled(store, made["parked"], "PARKED", due_ms=60_000, group="bank.mail currency")
    store.outbox.put([made["delayed"]], 60_000)
    store.outbox.put([made["ready"]], 0)
    return {state: message.id for state, message in made.items()}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("running", ("bank.pay", "emails", "begun", "host.1.ab.0.1 on celery")),
        ("dead", ("bank.pay", "emails", "died", "TimeoutError: too late")),
        ("delayed", ("bank.mail", "slow", "due")),
        ("parked", ("bank.mail", "slow", "given up", "bank.mail currency")),
        ("ready", ("bank.mail", "slow", "due")),
    ],
)
def test_messages_of_a_state_are_listed(cli: Cli, ids: dict[str, str], state: str, told: tuple[str, ...]):
    """With what there is to say of it, and none of another; those that run unless a state is named."""
    shown = cli("messages", "--state", state).stdout

    assert [] == [text for text in (ids[state], *told) if text not in shown], shown
    assert [] == [id for other, id in ids.items() if other != state and id in shown]
    assert f"1 of 1 {state} messages" in shown
    assert (state == "running") is (shown == cli("messages").stdout)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), 3), (("--queue", "emails"), 2), (("--task", "bank.pay"), 2), (("--why", "TIME"), 1),
        (("--queue", "emails", "--task", "bank.mail"), 1), (("--queue", "reports"), 0),
    ],
)  # fmt: skip
def test_some_of_a_state_are_listed(cli: Cli, bridge: Bridge, words: tuple[str, ...], found: int):
    """By queue, task and reason, all of them."""
    for task, queue, why in (("pay", "emails", "OSError"), ("mail", "emails", "Timeout"), ("pay", "slow", "OSError")):
        settled(bridge.store, a_message(task=f"bank.{task}", queue=queue), "DEAD", why=why)

    said = cli.json("messages", "--state", "dead", *words)

    assert (found, 3, None) == (len(said["messages"]), said["total"], said["next_offset"])


def test_next_page_is_named(cli: Cli, bridge: Bridge):
    """By what leads there; no message is shown twice, and none is left out."""
    for n in range(5):
        bridge.store.outbox.put([a_message(id=f"m{n}")], 60_000 + n)

    first, last = (cli.json("messages", "--state", "delayed", "--limit", "3", "--offset", at) for at in ("0", "3"))
    shown = cli("messages", "--state", "delayed", "--limit", "3").stdout

    assert [f"m{n}" for n in range(5)] == [one["id"] for page in (first, last) for one in page["messages"]]
    assert (3, None) == (first["next_offset"], last["next_offset"])
    assert "3 of 5 delayed messages; others follow: --offset 3" in shown


def test_what_is_secret_or_steers_a_terminal_is_not_shown(cli: Cli, bridge: Bridge):
    """Neither in a table nor as JSON; bytes that are no message are told to be none."""
    kwargs = msgspec.Raw(b'{"pin":"998877"}')
    settled(bridge.store, a_message(task="t\x1b[2J", kwargs=kwargs), "DEAD", why="PIN 998877, api_key=k-12345\x1b[2J")
    bridge.store.dead.bury("bytes", "emails", b"\xff", "unreadable", None)

    shown = [cli("messages", "--state", "dead", *words).stdout for words in ((), ("--json",))]

    assert ["PIN [Filtered], api_key=[Filtered]" in text for text in shown] == [True, True], shown
    assert [] == [harm for harm in ("998877", "k-12345", "\x1b") for text in shown if harm in text]
    assert "(no message)" in shown[0]
