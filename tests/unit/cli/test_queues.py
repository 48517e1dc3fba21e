"""``taskbridge queues``."""

from __future__ import annotations

from typing import Any

from taskbridge import Bridge
from taskbridge.announcement import Announcement, announce
from taskbridge.testing import a_message

from .conftest import Cli, begun, settled


def of(said: dict[str, Any], queue: str) -> dict[str, Any]:
    """One queue of those that were shown."""
    return next(one for one in said["queues"] if one["queue"] == queue)


def test_nothing_known_is_told(cli: Cli):
    """No worker, no message: it says how to name a queue."""
    result = cli("queues")

    assert 0 == result.exit_code
    assert "--queues" in result.stdout


def test_each_queue_has_its_depth_on_each_backend(cli: Cli, bridge: Bridge, engine: str):
    """What waits in an engine is counted there, in all bands; also on an engine that the settings do not name."""
    bridge.backend(engine).publish([a_message(queue="emails", priority=priority) for priority in (0, 5, 9)])

    said = cli.json("queues", "--queues", "emails")

    assert {"waiting": 3, "running": 0, "processes": 0} == of(said, "emails")["backends"][engine]


def test_each_state_is_counted(cli: Cli, bridge: Bridge):
    """Ready, delayed, parked and dead as the store counts them, running by its backend."""
    store = bridge.store
    store.outbox.put([a_message(queue="emails")], 0)
    store.outbox.put([a_message(queue="emails"), a_message(queue="emails")], 60_000)
    settled(store, a_message(queue="emails"), "PARKED", due_ms=60_000, group="x")
    settled(store, a_message(queue="emails"), "DEAD", why="no")
    begun(store, a_message(queue="emails"), "host.1.ab.0.1:dramatiq:7")

    shown = of(cli.json("queues"), "emails")

    assert {"ready": 1, "delayed": 2, "parked": 1, "dead": 1}.items() <= shown.items()
    assert 1 == shown["backends"]["dramatiq"]["running"]
    assert {"waiting": 0, "running": 0, "processes": 0} == shown["backends"]["celery"]


def test_queues_of_live_workers_are_known(cli: Cli, bridge: Bridge):
    """With how many processes serve each, on which backend."""
    for name in ("one", "other"):
        served = {"queues": ["emails"], "processes": 2, "tasks": {}}
        announce(bridge.store, Announcement(name=name, backends=["celery", "dramatiq"], **served))

    shown = of(cli.json("queues"), "emails")["backends"]

    assert [4, 4] == [shown["celery"]["processes"], shown["dramatiq"]["processes"]]


def test_queues_of_a_module_are_known(cli: Cli):
    """Those of its tasks."""
    assert ["emails", "slow"] == [one["queue"] for one in cli.json("queues", "--module", "app")["queues"]]


def test_table_has_a_row_per_backend(cli: Cli, bridge: Bridge):
    """What the store keeps stands in the queue's first row only, so that columns can be added up."""
    bridge.store.outbox.put([a_message(queue="emails")], 60_000)
    bridge.backend("dramatiq").publish([a_message(queue="emails")])

    *_, celery, dramatiq = cli("queues").stdout.splitlines()

    assert ["emails", "celery", "0", "0", "0", "0", "1", "0", "0", "0", "0", "0", "0"] == celery.split()
    assert ["dramatiq", "1", "0", "0"] == dramatiq.split()


def test_what_answers_is_shown_though_another_does_not(cli: Cli, bridge: Bridge, nowhere: str):
    """A broker that is away is told, and the rest is shown: exit code 1."""
    cli.write("t.toml", f"[backends.old]\nengine = 'dramatiq'\nbroker_url = '{nowhere}'\n")
    cli.set(CONFIG="t.toml")
    bridge.backend("celery").publish([a_message(queue="emails")])

    said = cli.json("queues", "--queues", "emails", code=1)

    assert 1 == of(said, "emails")["backends"]["celery"]["waiting"]
    assert of(said, "emails")["backends"]["old"]["waiting"] is None
    assert "backend old: " in said["problems"][0]
    assert "hush" not in str(said)


def test_store_that_is_away_says_nothing_of_workers_and_messages(cli: Cli, nowhere: str):
    """Whether a worker lives or a message is kept is not known then."""
    cli.set(BROKER_URL=nowhere)

    result = cli("queues")

    assert 1 == result.exit_code
    assert "the store: " in result.stderr
    assert "no queue is known without the store; name some with --queues or --module" == result.stdout.strip()


def test_names_cannot_steer_the_terminal(cli: Cli, bridge: Bridge):
    """A queue of a foreign producer may be called anything."""
    settled(bridge.store, a_message(queue="q\x1b[2J"), "DEAD", why="no")

    result = cli("queues")

    assert "q\\x1b[2J" in result.stdout
    assert "\x1b" not in result.output
