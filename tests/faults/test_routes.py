"""A share of the traffic moves to the other engine and back while two producers send and both engines run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from taskbridge.announcement import announced
from taskbridge.routing.router import TTL_S
from taskbridge.routing.rules import place_of_key
from taskbridge.store.redis import RedisStore
from tests.servers import until

from .evidence import Tally
from .harness import PATIENCE_S, ROOT, Stage
from .route_producer import DELAYED, USERS

pytestmark = pytest.mark.service("redis")

PRODUCERS = 2

#: A producer's numbers begin at its place times this.
APART = 1_000_000

#: From one message of a producer to its next, seconds.
PACE_S = 0.007

#: The shares, one after another, and how many are sent while each holds: however long the command takes that sets one.
SHARES, MESSAGES = (0, 50, 0), 1_600


def produce(stage: Stage, number: int) -> subprocess.Popen[bytes]:
    """Start one of the producers."""
    words = [stage.server.url(), str(number * APART), str(PACE_S), str(stage.folder / f"sent-{number}")]
    words += [str(stage.folder / "enough")]
    log = (stage.folder / f"producer-{number}.log").open("wb")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.route_producer", *words], cwd=ROOT, stdout=log, stderr=log
        )


def routes(stage: Stage, *words: str) -> Any:
    """Run ``taskbridge routes``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TASKBRIDGE_")}
    environment["TASKBRIDGE_BROKER_URL"] = stage.server.url()
    command = [sys.executable, "-m", "taskbridge", "routes", *words, "--json"]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120).stdout)


def sent(stage: Stage) -> dict[int, tuple[int, int]]:
    """When each number was sent: began to be, and had been (unix ms)."""
    notes = [path.read_text() for path in stage.folder.glob("sent-*")]
    lines = [line.split() for text in notes for line in text[: text.rfind("\n") + 1].splitlines()]
    return {int(n): (int(began_ms), int(over_ms)) for n, began_ms, over_ms in lines}


def in_force(changes: list[tuple[int, float]], from_ms: float, until_ms: float) -> set[float]:
    """The shares that held at some time in between; instants are rounded."""
    ends_ms = [at_ms for at_ms, _ in changes[1:]] + [sys.maxsize]
    return {
        share
        for (at_ms, share), end_ms in zip(changes, ends_ms, strict=True)
        if at_ms <= until_ms + 1 and end_ms > from_ms - 2
    }


def test_share_moves_there_and_back(tmp_path: Path, figures: Callable[[Tally], None]):
    """From a second after each change every message of a user is on the side that the table says, from both producers;
    nothing is lost, and nothing runs twice."""
    with Stage("celery", tmp_path / "stage") as stage:
        store = RedisStore(stage.server.url(), "taskbridge")
        stage.worker(processes=3, tasks="tests.faults.route_tasks", options=["--backends", "celery,dramatiq"])
        until(lambda: announced(store), PATIENCE_S, "the worker announces its tasks")
        rule = routes(stage, "set", "--tag", "routed", "--to", "dramatiq", "--share", "0", "--key", "{user_id}")
        began_s = time.monotonic()
        producers = [produce(stage, number) for number in range(PRODUCERS)]
        for turn, share in enumerate(SHARES):
            if turn:  # the first was set before
                routes(stage, "set", "--rule", "r1", "--share", str(share))
            many = len(sent(stage)) + MESSAGES
            until(partial(lambda many: len(sent(stage)) > many, many), 90, f"{many} to be sent")
        (stage.folder / "enough").touch()
        assert [0] * PRODUCERS == [one.wait(90) for one in producers]
        numbers = sent(stage)
        stage.until_done(numbers, numbers)
        changes = [(one.at_ms, json.loads(one.document)["rules"][0]["share"]) for one in store.routes.history(10)[::-1]]
        sides = stage.evidence.look().others
        store.close()

        judged, wrong = dict.fromkeys(range(len(changes)), 0), []
        for n, (began_ms, over_ms) in numbers.items():
            held = in_force(changes, began_ms - TTL_S * 1000, over_ms)
            if n % DELAYED and len(held) == 1:
                (share,) = held
                side = "dramatiq" if place_of_key(str(n % USERS)) < share else "celery"
                judged[sum(at_ms <= began_ms for at_ms, _ in changes) - 1] += 1
                wrong += [n] if n not in sides[side] else []
        moved = len(sides["dramatiq"])
        tally = stage.evidence.tally(
            numbers, time.monotonic() - began_s, numbers, moved=moved, judged=judged, wrong=len(wrong)
        )

    figures(tally)
    assert ["tests.faults.route_tasks.routed"] == rule["tasks"]
    assert list(SHARES) == [share for _, share in changes]
    assert set() == sides["celery"] & sides["dramatiq"]
    assert [] == wrong
    assert min(judged.values()) > 100, judged
    assert len(SHARES) * MESSAGES < tally.sent, tally
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
