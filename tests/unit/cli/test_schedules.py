"""``taskbridge schedules``."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge import Bridge, cron, every
from taskbridge.events import Event, Sent
from taskbridge.operations.schedules import run_now
from taskbridge.schedules.declared import Declarer, declarer_of
from taskbridge.schedules.plan import in_force, tick_of
from taskbridge.store.schedules import ScheduleState

from .conftest import Cli

#: Midnight of the first day of each month.
MONTHLY = "0 0 1 * *"


@pytest.fixture
def declare(bridge: Bridge) -> Declarer:
    """A task with two schedules, as a worker declares them."""

    @bridge.task(name="app.report", queue="emails", schedule=[cron(MONTHLY, name="monthly"), every(days=30)])
    def report(kind: str = "all") -> None: ...

    declarer = declarer_of(bridge.definitions, bridge.sender)
    declarer()
    return declarer


def state(bridge: Bridge, name: str = "monthly") -> ScheduleState:
    return next(one for one in bridge.store.schedules.all() if one.name == name)


def listed(cli: Cli, name: str = "monthly") -> dict[str, Any]:
    (found,) = [one for one in cli.json("schedules", "list")["schedules"] if one["name"] == name]
    return dict(found)


def tick_now(bridge: Bridge, name: str = "monthly") -> str:
    """Fire the next tick as a relay would, though it is not due."""
    found = state(bridge, name)
    assert "fired" == bridge.store.schedules.fire(tick_of(found, in_force(found)))
    return state(bridge, name).last_id


@pytest.mark.usefixtures("declare")
def test_schedules_are_listed_with_their_next_tick(cli: Cli, bridge: Bridge):
    """By name, with what became of the last one."""
    assert ["app.report#2", "monthly"] == [one["name"] for one in cli.json("schedules", "list")["schedules"]]
    before = listed(cli)
    id = tick_now(bridge)
    after = listed(cli)

    assert ("on", "0 0 1 * * UTC", "app.report", "emails", 0, "") == tuple(
        before[word] for word in ("state", "when", "task", "queue", "last_ms", "outcome")
    )
    assert (before["next_ms"], id, "waits for its time", 1) == tuple(
        after[word] for word in ("last_ms", "last_id", "outcome", "fired")
    )
    assert after["next_ms"] > before["next_ms"]
    assert "monthly" in cli("schedules", "list").stdout
    assert "called with" in cli("schedules", "show", "monthly").stdout
    assert after == cli.json("schedules", "show", "monthly")


@pytest.mark.usefixtures("declare")
def test_schedule_is_paused_and_goes_on(cli: Cli, bridge: Bridge):
    """Paused it has no next tick, whatever code says again; resumed, what would have ticked meanwhile is left out."""
    before = state(bridge)

    assert 0 == cli("schedules", "pause", "monthly").exit_code
    paused = listed(cli)
    said = cli("schedules", "resume", "monthly")

    assert ("paused", 0) == (paused["state"], paused["next_ms"])
    assert "goes on; its next tick is at 20" in said.stdout
    assert (False, before.tick_ms) == (state(bridge).paused, state(bridge).tick_ms)


def test_schedule_is_set_and_given_back(cli: Cli, bridge: Bridge, declare: Declarer):
    """What is set holds, also when a worker declares it again; words add up; ``--reset`` gives it back."""
    declared = state(bridge)
    assert 0 == cli("schedules", "set", "monthly", "--cron", "30 6 * * *", "--tz", "Europe/Warsaw").exit_code
    declare()
    assert 0 == cli("schedules", "set", "monthly", "--missed", "skip", "--overlap", "skip", "--jitter", "1m").exit_code
    as_set = listed(cli)
    assert 0 == cli("schedules", "set", "monthly", "--every", "15m").exit_code
    in_fifteen = listed(cli)
    said = cli("schedules", "set", "monthly", "--reset")

    assert ("30 6 * * * Europe/Warsaw", "skip", "skip", 60_000) == tuple(
        as_set[word] for word in ("when", "missed", "overlap", "jitter_ms")
    )
    assert "30 6 * * * Europe/Warsaw, missed skip, overlap skip, jitter 60 s" == as_set["set"]
    assert as_set["next_ms"] - declared.now_ms <= 25 * 3_600_000
    assert ("every 900 s", "skip", 0) == (in_fifteen["when"], in_fifteen["missed"], in_fifteen["next_ms"] % 900_000)
    assert "is what was declared" in said.stdout
    assert (b"", declared.tick_ms, "") == (state(bridge).changes, state(bridge).tick_ms, listed(cli)["set"])


@pytest.mark.usefixtures("declare")
def test_what_does_not_change_the_times_keeps_the_tick(cli: Cli, bridge: Bridge):
    """A change of policy leaves a tick that is due where it is."""
    before = state(bridge)

    cli("schedules", "set", "monthly", "--missed", "all")

    assert before.tick_ms == state(bridge).tick_ms


def test_pause_outlives_a_change(cli: Cli, bridge: Bridge, declare: Declarer):
    """What is set while it is paused holds when it is resumed."""
    cli("schedules", "pause", "monthly")
    cli("schedules", "set", "monthly", "--every", "60")
    declare()
    paused = listed(cli)
    cli("schedules", "resume", "monthly")

    assert ("paused", "every 60 s") == (paused["state"], paused["when"])
    assert listed(cli)["next_ms"] - state(bridge).now_ms <= 60_000


@pytest.mark.usefixtures("declare")
def test_run_now_touches_no_tick(cli: Cli, bridge: Bridge):
    """One message more, at once, on the engine's queue."""
    before = state(bridge)

    id = cli.json("schedules", "run-now", "monthly")["id"]

    assert before.version == state(bridge).version
    assert 1 == bridge.backend("celery").depth("emails")
    assert id in cli("status", id, "--scan", "10", "--queues", "emails").stdout


def test_run_now_of_a_unique_task_gives_the_one_that_is_there(cli: Cli, bridge: Bridge):
    """As enqueueing it would."""

    @bridge.task(name="app.only", unique="until_done", schedule=every(days=30))
    def only() -> None: ...

    declarer_of(bridge.definitions, bridge.sender)()

    first = cli.json("schedules", "run-now", "app.only")
    again = cli.json("schedules", "run-now", "app.only")

    assert (True, False, first["id"]) == (first["created"], again["created"], again["id"])


def test_what_run_now_sends_is_told_once(bridge: Bridge, declare: Declarer):
    """To listeners of its process, as any message that was enqueued; one that was there already is not told again."""

    @bridge.task(name="app.only", unique="until_done", schedule=every(days=30))
    def only() -> None: ...

    declarer_of(bridge.definitions, bridge.sender)()
    heard: list[Event] = []
    bridge.events.subscribe(heard.append)

    ids = [run_now(bridge, name)[0] for name in ("monthly", "app.only", "app.only")]

    assert [(ids[0], "app.report"), (ids[1], "app.only")] == [(one.id, one.task) for one in heard]
    assert {Sent} == {type(one) for one in heard}


def test_schedule_that_ended_or_is_orphaned_says_so(cli: Cli, bridge: Bridge, declare: Declarer):
    """Taken out of the code it has ended; declared by nobody any more it is an orphan that still ticks."""
    Declarer(bridge.store, {}, ["app.report"])()
    said = cli("schedules", "pause", "monthly")

    assert "ended" == listed(cli)["state"]
    assert (1, True) == (said.exit_code, "ticks no more" in said.output)

    found = state(bridge)
    redis: Any = bridge.store
    redis.server.call("ZADD", redis.keys.schedules, found.now_ms - 1, "monthly")
    declare()
    redis.server.call("ZADD", redis.keys.schedules, found.now_ms - 1, "monthly")
    assert "orphaned" == listed(cli)["state"]
    assert listed(cli)["next_ms"]


@pytest.mark.usefixtures("declare")
def test_what_cannot_be_is_refused(cli: Cli):
    """A name that none has, words nobody knows, a cron that never fires, a schedule that is not paused or set."""
    said = {
        "did you mean 'monthly'": cli("schedules", "pause", "monthli"),
        "expected skip, last or all": cli("schedules", "set", "monthly", "--missed", "never"),
        "expected allow or skip": cli("schedules", "set", "monthly", "--overlap", "never"),
        "never fires": cli("schedules", "set", "monthly", "--cron", "0 0 30 2 *"),
        "expected a zone such as": cli("schedules", "set", "monthly", "--cron", MONTHLY, "--tz", "Mars/Base"),
        "a second or more": cli("schedules", "set", "monthly", "--every", "0"),
        "expected seconds, or a text": cli("schedules", "set", "monthly", "--every", "soon"),
        "is not paused": cli("schedules", "resume", "monthly"),
        "nothing was set": cli("schedules", "set", "monthly", "--reset"),
    }
    put_wrongly = [
        cli("schedules", "set", "monthly"),
        cli("schedules", "set", "monthly", "--reset", "--every", "5m"),
        cli("schedules", "set", "monthly", "--tz", "UTC"),
        cli("schedules", "set", "monthly", "--cron", MONTHLY, "--every", "5m"),
    ]

    assert {} == {text: one.output for text, one in said.items() if one.exit_code != 1 or text not in one.output}
    assert [2] * 4 == [one.exit_code for one in put_wrongly]


def test_nothing_declared_says_who_declares(cli: Cli):
    """An empty list is no riddle."""
    assert "a worker declares" in cli("schedules", "list").stdout
    assert "there is none: a worker declares" in cli("schedules", "pause", "x").output
