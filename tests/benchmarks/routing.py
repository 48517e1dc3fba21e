"""``python -m tests.benchmarks.routing``: what the route table adds to ``enqueue``, in microseconds a call.

The broker takes nothing and the store is in memory, so that only what is done in the producer is measured; the table is
read once a second as it is everywhere. Measured in turn, in many short rounds; the least of each is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as Shown

from taskbridge import Bridge, Settings, Task
from taskbridge.clock import SystemClock
from taskbridge.copies import Copies
from taskbridge.enqueue import Sender
from taskbridge.events import Events
from taskbridge.message import Message
from taskbridge.routing import Router, Rule, Table
from taskbridge.routing.table import encode
from taskbridge.store.memory import MemoryStore

#: Calls of a round, and rounds.
CALLS = 2_000
ROUNDS = 60

BY_USER = {"share": 50.0, "key": "{user_id}"}
TABLES: dict[str, list[dict[str, Any]]] = {
    "an empty table": [],
    "ten rules, none of this task": [{"task": f"mail.{n}"} for n in range(10)],
    "ten rules, one of this task takes it": [*({"task": f"mail.{n}"} for n in range(9)), {"task": "bank.*"}],
    "ten rules, one shares it by {user_id}": [
        *({"task": f"mail.{n}", **BY_USER} for n in range(9)),
        {"task": "bank.*", **BY_USER},
    ],
    "ten rules, all share it by {user_id}": [
        {"task": "bank.*", "key": "{user_id}", "share": float(n)} for n in range(10)
    ],
}


#: Shadows in place of rules.
SHADOWS: dict[str, list[dict[str, Any]]] = {
    "a shadow of another task": [{"task": "mail.send", **BY_USER}],
    "a shadow of it, of none": [{"task": "bank.pay", "key": "{user_id}", "share": 0.000001}],
    "a shadow of it, of half, sent": [{"task": "bank.pay", **BY_USER}],
}


class Nowhere:
    """A broker that takes nothing."""

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None: ...


def senders() -> dict[str, Task[..., Any]]:
    """The same task by senders with these tables; the first without a router."""
    clock, settings, bridge = SystemClock(), Settings(backend="celery"), Bridge()

    @bridge.task(name="bank.pay", queue="ledger", shadow_safe=True)
    def pay(user_id: int, amount: int) -> None: ...

    def sending(table: Table | None) -> Task[..., Any]:
        store, backend, router = MemoryStore(clock), Nowhere(), None
        words: Any = {"store": lambda: store, "backend": lambda name: backend}
        if table is not None:
            store.routes.write(0, encode(table), who="", note="")
            router = Router(settings, clock, store.routes.read, lambda name: None, bridge.definitions)
            words["copies"] = Copies(words["backend"], clock, Events())
        sender = Sender(settings=settings, clock=clock, router=router, **words)
        return Task(pay.definition, lambda: sender)

    routed = {name: sending(Table(rules=made(rules))) for name, rules in TABLES.items()}
    return (
        {"no table": sending(None)}
        | routed
        | {name: sending(Table(shadows=made(shadows))) for name, shadows in SHADOWS.items()}
    )


def made(rules: list[dict[str, Any]]) -> tuple[Rule, ...]:
    """Rules of these words."""
    return tuple(Rule(id=f"r{n}", to="dramatiq", **words) for n, words in enumerate(rules))


def timed(call: Callable[..., object]) -> float:
    """Microseconds a call."""
    began = time.perf_counter_ns()
    for n in range(CALLS):
        call(n, amount=5)
    return (time.perf_counter_ns() - began) / CALLS / 1000


def main() -> None:
    """Measure and print."""
    tasks = senders()
    rounds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(ROUNDS):
        for name, task in tasks.items():
            rounds[name].append(timed(task.enqueue))
    shown = Shown("table", "us a call", "more")
    bare = min(rounds["no table"])
    for name, found in rounds.items():
        shown.add_row(name, f"{min(found):.2f}", f"{min(found) - bare:+.2f}")
    Console().print(shown)


if __name__ == "__main__":
    main()
