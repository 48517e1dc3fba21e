"""Rows: what each policy costs where nothing waits: no-op tasks a second with it, beside those without it.

The keys are distinct and the limit is above what is reached. The native column is taskbridge without the policy. What
``unique`` keeps in the store is published by a relay before the worker starts, for that is no work of the worker's.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from taskbridge.store.keys import Keys

from ..servers import RedisServer
from .processes import command, produce, worker
from .runner import Case, Figures, Row, Target
from .sides import BRIDGED, TASKS, Side
from .working import COUNT, PATIENCE_S, rate

#: A task with it does at least so much of the work of one without.
TARGET = Target(ratio=0.9)

POLICIES = {"lock": "locked", "rate_limit": "limited", "unique": "unique", "timeout": "timed"}


def cases() -> list[Case]:
    """Return the cases of this family."""
    return [_case(engine, policy, module) for engine in BRIDGED for policy, module in POLICIES.items()]


def _case(engine: str, policy: str, module: str) -> Case:
    plain = BRIDGED[engine]
    tasks = f"{TASKS}.{module}"
    with_it = replace(
        plain, tasks=tasks, command=tuple(tasks if word == plain.tasks else word for word in plain.command)
    )
    return Case(
        rows=(Row(name=f"{engine}: no-op tasks with {policy}", unit="per s", target=TARGET),),
        shown="taskbridge without it",
        native=partial(_measure, plain),
        taskbridge=partial(_measure, with_it),
    )


def _measure(side: Side) -> Figures:
    with RedisServer() as server:
        produce(side, server, "fill", str(COUNT))
        if server.cli().zcard(Keys("taskbridge").due):
            with command(side, server, ("taskbridge", "relay")):
                _published(server)
        with worker(side, server) as process:
            return (rate(side, server, process),)


def _published(server: RedisServer) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while server.cli().zcard(Keys("taskbridge").due):
        assert time.monotonic() < deadline_s, f"a relay did not publish {COUNT} within {PATIENCE_S} s"
        time.sleep(0.05)
