"""``taskbridge batches``."""

from __future__ import annotations

from taskbridge import Bridge
from taskbridge.needs import Within
from taskbridge.testing import a_message

from .conftest import Cli, begun, settled


def a_batch(bridge: Bridge, id: str, *ends: str, builder: str = "", sealed: bool = True) -> None:
    """Fill a batch with members that came to these ends; an empty one is on its way."""
    bridge.store.batches.open(id, when="all_done", then=None, error=None, builder=builder)
    members = [a_message() for _ in ends]
    bridge.store.outbox.put(members, 0, Within(batches=(id,)))
    for member, end in zip(members, ends, strict=True):
        if end == "dropped":
            settled(bridge.store, member, "DONE", why="dropped: no use")
        elif end:
            settled(bridge.store, member, end)
    if sealed:
        bridge.store.batches.seal(id)


def test_batches_are_listed(cli: Cli, bridge: Bridge):
    """The newest first, with their counts and in one word how far they are."""
    a_batch(bridge, "b1", "DONE", "DEAD", "dropped")
    a_batch(bridge, "b2", "DONE", "")
    a_batch(bridge, "b3", "", sealed=False)

    said = cli.json("batches", "list")["batches"]
    shown = cli("batches", "list", "--limit", "2").stdout

    assert [
        ("filling", "b3", 1, 1, 0, 0, 0),
        ("running", "b2", 2, 1, 1, 0, 0),
        ("complete", "b1", 3, 0, 1, 1, 1),
    ] == [tuple(one[key] for key in ("state", "id", "total", "open", "done", "failed", "dropped")) for one in said]
    assert ["b3", "b2"] == [line.split()[0] for line in shown.splitlines()[2:]]


def test_one_batch_is_shown(cli: Cli, bridge: Bridge):
    """What it waits for, and who fills it."""
    a_batch(bridge, "b1", "DONE", "DEAD")
    a_batch(bridge, "b2", "", builder="m7", sealed=False)

    complete, filling = cli("batches", "show", "b1").stdout, cli("batches", "show", "b2").stdout

    assert "b1: complete" in complete
    assert "2 members: 0 open, 1 done, 1 failed, 0 dropped" in complete
    assert "complete since 20" in complete
    assert "among the dead letters" in complete
    assert "b2: filling" in filling
    assert "filled by the task of message m7; see taskbridge status m7" in filling
    assert "has not closed it" in filling
    assert ("complete", 2) == tuple(cli.json("batches", "show", "b1")[key] for key in ("state", "total"))


def test_nothing_is_told_of_what_is_unknown(cli: Cli):
    """No batch, a key of another kind that lies beside batches, a letter that would steer the terminal."""
    said = [cli("batches", "show", id) for id in ("nobody", "b1:sent", "\x1b[2J")]

    assert [1, 1, 1] == [one.exit_code for one in said]
    assert "no batch has the id 'nobody', or it is forgotten" in said[0].stderr
    assert "\x1b" not in said[2].stderr
    assert "no batch is known" in cli("batches", "list").stdout


def test_status_of_a_member_names_its_batch(cli: Cli, bridge: Bridge):
    """While it lives, and when it is dead."""
    bridge.store.batches.open("b1", when="all_done", then=None, error=None)
    lives, dies = a_message(), a_message()
    bridge.store.outbox.put([lives, dies], 0, Within(batches=("b1",)))
    begun(bridge.store, lives)
    settled(bridge.store, dies, "DEAD")

    assert [["b1"], ["b1"]] == [cli.json("status", one.id)["batches"] for one in (lives, dies)]
    assert "member of the batch b1" in cli("status", lives.id).stdout
    assert "batches" not in cli.json("status", settled(bridge.store, a_message(), "DEAD").id)
