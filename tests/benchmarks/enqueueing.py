"""Rows: how many calls a second one producer process sends, one by one and in bulk. No worker runs.

Producer and server share a core. On two, a virtual machine mostly measures how long a sleeping core takes to wake: the
same producer then makes 7,000 or 30,000 calls a second, by luck.
"""

from __future__ import annotations

from functools import partial

from ..servers import RedisServer
from .processes import one_core, produce
from .runner import Case, Figures, Row, Target
from .sides import BRIDGED, CELERY, DRAMATIQ, Side

#: How many calls are timed.
ONE_BY_ONE = 5_000
IN_BULK = 20_000

#: Engine, its side, its call, and how much faster than a loop of that ``enqueue_many`` is to be.
ENGINES = (("celery", CELERY, "delay", 25.0), ("dramatiq", DRAMATIQ, "send", 8.0))


def cases() -> list[Case]:
    """Return the cases of this family."""
    one = [_case(f"{engine}: one enqueue", native, call, "one", 1.0, engine) for engine, native, call, _ in ENGINES]
    many = [_case(f"{engine}: enqueue_many", native, call, "bulk", by, engine) for engine, native, call, by in ENGINES]
    return one + many


def _case(name: str, native: Side, call: str, how: str, target: float, engine: str) -> Case:
    return Case(
        rows=(Row(name=name, unit="per s", target=Target(ratio=target)),),
        shown=f"a loop of {call}, 2 kwargs",
        native=partial(_measure, native, "one"),
        taskbridge=partial(_measure, BRIDGED[engine], how),
    )


def _measure(side: Side, how: str) -> Figures:
    count = IN_BULK if how == "bulk" else ONE_BY_ONE
    with one_core(), RedisServer() as server:
        return tuple(produce(side, server, how, str(count)))
