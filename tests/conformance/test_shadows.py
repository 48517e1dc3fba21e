"""Shadows from the route table to the comparison: both engines under one worker, either of them the original's."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskbridge import Bridge, Settings, chain
from taskbridge.config import BackendSettings
from taskbridge.events import Shadowed
from taskbridge.operations.shadows import Wanted, remove_shadow, set_shadow
from taskbridge.routing import Rule, Table
from taskbridge.routing.router import TTL_S
from taskbridge.routing.rules import place_of_key
from taskbridge.routing.table import encode
from taskbridge.store.shadows import Tally
from taskbridge.testing.backend_suite import Arena, notes_in
from taskbridge.testing.suite_tasks import declare
from tests.servers import RedisServer, free_port, until

from .arenas import START_S
from .running import running

pytestmark = pytest.mark.service("redis")

TASK = "suite.shadowed"

OTHER = {"celery": "dramatiq", "dramatiq": "celery"}


@pytest.fixture(scope="module", params=list(OTHER))
def arena(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Arena]:
    """A producer on one engine, and a worker of both."""
    redis_server.cli().flushall()
    directory = tmp_path_factory.mktemp(request.param)
    notes, log = notes_in(directory), directory / "worker.log"
    environment = {**os.environ, "TASKBRIDGE_BACKEND": request.param, "TASKBRIDGE_BROKER_URL": redis_server.url()}
    command = ["taskbridge", "worker", "taskbridge.testing.suite_tasks", "--processes", "2"]
    bridge = Bridge(Settings(backend=request.param, broker_url=redis_server.url()))
    tasks = declare(bridge)
    with running([[*command, "--backends", "celery,dramatiq"]], environment, log):
        found = Arena(bridge, tasks, notes, lambda raw: None, lambda *_: None)
        try:
            until(lambda: bridge.store.documents.all("workers"), START_S, "the worker to live")
            yield found
        finally:
            sys.stderr.write(log.read_text(errors="replace")[-4000:])
    bridge.close()


@pytest.fixture
def shadow(arena: Arena) -> Iterator[Callable[..., str]]:
    """Sets the task's shadow on the other engine, lets a second pass, and returns its name; it is taken out again."""

    def set_to(share: float, key: str = "") -> str:
        wanted = Wanted(task=TASK, to=OTHER[arena.bridge.settings.backend], share=share, key=key)
        made = set_shadow(arena.bridge, wanted, "", modules=False, force=False, dry_run=False)
        arena.clock.sleep(TTL_S + 0.1)
        return made.shadow.id

    yield set_to
    remove_shadow(arena.bridge, TASK, "")


def tally(arena: Arena, rule: str) -> Tally:
    found = [one for one in arena.bridge.store.shadows.read(0)[0] if one.rule == rule]
    return found[0] if found else Tally(rule=rule, task=TASK)


def copies(arena: Arena, ids: list[str]) -> list[str]:
    """Of which of these messages a copy ran, as often as it did."""
    meant = set(ids)
    ran = [line["id"].removesuffix("~shadow") for line in arena.lines(what="shadowed") if line["shadow"]]
    return sorted(id for id in ran if id in meant)


def test_a_share_runs_twice_and_agrees(arena: Arena, shadow: Callable[..., str]):
    """Each call is done once by its engine; a copy of those whose key is in the share ran once on the other, with the
    same result; nothing is left of the copies but what was counted."""
    rule = shadow(30, "{n}")
    task = arena.tasks["shadowed"]

    sent = {task.enqueue(n).id: n for n in range(150)}
    task.enqueue_many((n,) for n in range(1_000, 1_050))

    for id in sent:
        arena.ended(id)
    meant = sorted(id for id, n in sent.items() if place_of_key(str(n)) >= 70)
    in_bulk = sum(place_of_key(str(n)) >= 70 for n in range(1_000, 1_050))
    arena.until(lambda: tally(arena, rule).pairs >= len(meant) + in_bulk, "all pairs to be compared")
    assert 20 < len(meant) < 70
    assert meant == copies(arena, list(sent))
    pairs = len(meant) + in_bulk
    expected = {"begun": pairs, "originals": pairs, "copies": pairs, "agreed": pairs, "outcome": 0, "result": 0}
    found = tally(arena, rule)
    assert expected == {word: getattr(found, word) for word in expected}
    assert found.original_us > 0 < found.copy_us
    assert [1] * len(sent) == [len(arena.lines(id)) for id in sent]
    assert {"absent"} == {arena.state(f"{id}~shadow") for id in sent}


def test_what_leaves_the_store_is_shadowed_too(arena: Arena, shadow: Callable[..., str]):
    """By the relay: what was delayed, each link of a chain, and its retries no second time."""
    rule = shadow(100)
    task = arena.tasks["shadowed"]

    later = task.using(delay=0.3).enqueue(1)
    linked = chain(task.si(2), task.si(3)).enqueue()
    fails = task.enqueue(4, "both")

    ids = [later.id, f"{linked.chain}:0", f"{linked.chain}:1", fails.id]
    for id in ids[:3]:
        arena.ended(id)
    arena.ended(fails.id, "DEAD")
    arena.until(lambda: tally(arena, rule).pairs >= 4, "all pairs to be compared")
    assert sorted(ids) == copies(arena, ids)
    assert [1, 2, 3] == [line["attempt"] for line in arena.lines(fails.id)]
    assert (4, 4) == (tally(arena, rule).agreed, tally(arena, rule).copies)


def test_a_disagreement_is_told_with_both_sides(arena: Arena, shadow: Callable[..., str]):
    """And is all that a failing copy leads to: no retry, no dead letter."""
    rule = shadow(100)
    dead = len(arena.bridge.store.dead.list(100))

    sent = arena.tasks["shadowed"].enqueue(5, "copy")

    arena.ended(sent.id)
    arena.until(lambda: tally(arena, rule).outcome, "the pair to be compared")
    found = next(one for one in arena.bridge.store.shadows.read(10)[1] if one.id == sent.id)
    here = arena.bridge.settings.backend
    assert (("succeeded", here), ("ValueError", OTHER[here])) == tuple(
        (side.outcome, side.backend) for side in (found.original, found.copy)
    )
    assert [sent.id] == copies(arena, [sent.id])
    assert dead == len(arena.bridge.store.dead.list(100))


def test_nothing_is_copied_when_the_shadow_is_gone(arena: Arena, shadow: Callable[..., str]):
    """A second after it was removed."""
    rule = shadow(100)
    remove_shadow(arena.bridge, TASK, "")
    arena.clock.sleep(TTL_S + 0.1)

    sent = [arena.tasks["shadowed"].enqueue(n) for n in range(20)]

    for one in sent:
        arena.ended(one.id)
    assert [] == copies(arena, [one.id for one in sent])
    assert 0 == tally(arena, rule).begun
    shadow(100)  # is taken out again


def test_a_broker_of_copies_that_is_away_harms_no_original(redis_server: RedisServer, tmp_path: Path):
    """Every call is sent, and only the first waits for it; each copy that is not sent is told."""
    redis_server.cli().flushall()
    away = BackendSettings(engine="dramatiq", broker_url=f"redis://127.0.0.1:{free_port()}")
    bridge = Bridge(Settings(backend="celery", broker_url=redis_server.url(), backends={"away": away}))
    told: list[Shadowed] = []
    bridge.events.subscribe(told.append, Shadowed)
    pay: Any = bridge.task(name="bank.pay", queue="ledger", shadow_safe=True)(lambda user_id: None)
    table = Table(shadows=(Rule(id="s1", to="away", task="bank.pay"),))
    bridge.store.routes.write(0, encode(table), who="me", note="")

    for n in range(50):
        pay.enqueue(n)
    pay.using(delay=0.01).enqueue(50)

    assert 50 == bridge.backend("celery").depth("ledger")
    assert [("unsent", "away")] * 50 == [(one.how, one.backend) for one in told]
    until(bridge.store.messages.counts, 5, "the delayed one to be kept")
    bridge.close()
