"""The process that calls the workload: ``python -m taskbridge.comparison.producer``, started by ``play.py``.

It imports what the worker will, says what it has found, waits for a line, then enqueues and says how much. One JSON
word a line on standard output; what the user's code prints goes to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ..bridge import Bridge
from ..config import load
from ..enqueue import Enqueued
from ..errors import ConfigError, TaskbridgeError, nearest
from ..operations.schedules import pause
from ..schedules.declared import declarer_of
from ..worker.modules import import_bridge


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to call: ``function`` of ``module``; ``modules`` hold the tasks, and name the bridge."""

    module: str
    function: str
    modules: list[str]
    directory: str


class Ready(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """It can begin; the tasks have these queues."""

    queues: list[str]


class Enqueuing(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """It has ended; so many calls were enqueued, by its own word."""

    calls: int


class Refused(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """It cannot be called, or has said what no workload says."""

    why: str


Word = Ready | Enqueuing | Refused


def prepare(order: Order) -> tuple[Bridge, Any]:
    """Import the tasks and the workload, and let no schedule of theirs tick.

    Raises:
        ConfigError: a module does not import, there is no such function, or the bridge has settings of its own.
    """
    bridge = import_bridge(order.modules, order.directory)
    module = sys.modules[order.module]
    workload = getattr(module, order.function, None)
    if not callable(workload):
        functions = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise ConfigError(f"{order.module} has no function {order.function!r}{nearest(order.function, functions)}")
    if bridge.settings != load():
        raise ConfigError(
            f"the bridge of {order.module} has settings in its code, which would lead to where they say: "
            "have it read the environment, Bridge(), to be compared"
        )
    if not bridge.definitions:
        raise ConfigError(f"{', '.join(order.modules)} declares no task on this bridge: name the right one by --module")
    declarer_of(bridge.definitions, bridge.sender)()
    for state in bridge.store.schedules.all():
        pause(bridge.store, state.name)
    return bridge, workload


def calls_of(returned: Any) -> int:
    """Return how many calls a workload says that it has enqueued; a generator enqueues while it is counted.

    Raises:
        ConfigError: it says no number, and none above zero.
    """
    calls = returned
    if isinstance(returned, Enqueued):
        calls = returned.created
    elif isinstance(returned, Iterable) and not isinstance(returned, str | bytes):
        calls = sum(1 for _ in returned)
    if isinstance(calls, bool) or not isinstance(calls, int):
        raise ConfigError(f"expected the workload to return how many calls it has enqueued, got {returned!r}")
    if calls < 1:
        raise ConfigError(f"the workload has enqueued nothing: it returned {returned!r}")
    return calls


def words(order: Order, orders: Iterable[bytes]) -> Iterator[Word]:
    """Yield what is to be said; it goes on when the next order has come."""
    try:
        bridge, workload = prepare(order)
        yield Ready(queues=sorted({one.options.queue for one in bridge.definitions.values()}))
        if next(iter(orders), b""):
            yield Enqueuing(calls=calls_of(workload(bridge)))
        bridge.close()
    except TaskbridgeError as error:
        yield Refused(why=str(error))


def main() -> None:
    """Read the order from the arguments."""
    out = os.dup(1)
    os.dup2(2, 1)
    order = msgspec.json.decode(sys.argv[1], type=Order)
    for word in words(order, sys.stdin.buffer):
        os.write(out, msgspec.json.encode(word) + b"\n")


if __name__ == "__main__":
    main()
