"""``taskbridge status`` and ``taskbridge dead`` on links of chains."""

from __future__ import annotations

import pytest

from taskbridge import Bridge, ChainReceipt, Task, chain
from taskbridge.message import Message, decode

from .conftest import Cli, settled


@pytest.fixture
def step(bridge: Bridge) -> Task[..., int]:
    @bridge.task(name="app.step", queue="steps")
    def step(n: int | None = 0) -> int:
        return (n or 0) + 1

    return step


def a_chain(step: Task[..., int], on_error: str = "stop") -> ChainReceipt:
    return chain((step.s() for _ in range(4)), on_error=on_error).enqueue()


def published(bridge: Bridge) -> Message:
    (due,) = bridge.store.outbox.take(1)
    bridge.store.outbox.mark([(due.id, due.seq)])
    return decode(due.body)


def test_status_of_a_link_says_what_follows(cli: Cli, bridge: Bridge, step: Task[..., int]):
    """By its own id, or by the chain's."""
    sent = a_chain(step)
    settled(bridge.store, published(bridge), "DONE")

    by_chain, by_link = cli.json("status", sent.chain), cli.json("status", f"{sent.chain}:1")

    assert by_chain == by_link
    assert ("ready", sent.chain, 1, 2) == tuple(by_link[name] for name in ("state", "chain", "link", "left"))
    assert f"  link 2 of chain {sent.chain}; 2 more follow\n" in cli("status", sent.chain).stdout


def test_status_of_what_is_no_link_says_nothing_of_one(cli: Cli, bridge: Bridge, step: Task[..., int]):
    """Most messages are none."""
    sent = step.using(delay=60).enqueue(1)

    assert {"chain", "link", "left"}.isdisjoint(cli.json("status", sent.id))


def test_dead_link_is_shown_with_its_chain_and_replayed(cli: Cli, bridge: Bridge, step: Task[..., int]):
    """What follows it is kept until it is replayed."""
    sent = a_chain(step)
    settled(bridge.store, published(bridge), "DEAD", why="ValueError: no")

    shown = cli("dead", "show", sent.id).stdout
    (listed,) = cli.json("dead", "list")["dead"]
    replayed = cli("dead", "replay", sent.id)

    assert f"part of    link 1 of chain {sent.chain}; 3 more follow\n" in shown
    assert (sent.chain, 0, 3) == (listed["chain"], listed["link"], listed["left"])
    assert "1 replayed" in replayed.stdout
    settled(bridge.store, published(bridge).copy(seq=2), "DONE")
    assert f"{sent.chain}:1" == published(bridge).id


def test_dead_link_that_is_purged_drops_the_rest(cli: Cli, bridge: Bridge, step: Task[..., int]):
    """The whole of it has ended then."""
    sent = a_chain(step)
    settled(bridge.store, published(bridge), "DEAD", why="ValueError: no")

    assert "1 purged" in cli("dead", "purge", sent.id).stdout

    assert None is bridge.store.chains.look(sent.chain)
    assert "unknown" == cli.json("status", sent.chain)["state"]


@pytest.mark.parametrize("ends", [False, True])
def test_dead_link_of_a_chain_without_it(cli: Cli, bridge: Bridge, step: Task[..., int], ends: bool):
    """It has gone on, or has ended."""
    sent = a_chain(step, "continue")
    settled(bridge.store, published(bridge), "DEAD", why="ValueError: no")
    for _ in range(3 * ends):
        settled(bridge.store, published(bridge), "DONE")

    shown = cli("dead", "show", sent.id).stdout

    end = "which has ended" if ends else "which has gone on without it"
    assert f"part of    link 1 of chain {sent.chain}, {end}\n" in shown
