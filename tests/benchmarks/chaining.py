"""Rows: what a link of a chain of 10,000 takes, from link to link, and how large its message is, beside a chain of ten.

The links do nothing. Both columns are taskbridge; the native one is the short chain.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..servers import RedisServer
from .processes import produce, worker
from .runner import Case, Figures, Row, Target
from .sides import BRIDGED, TASKS, Side

SHORT, LONG = 10, 10_000

#: A link of the long one takes at most a fifth longer; its message is no larger.
AS_FAST, AS_SMALL = Target(ratio=0.8), Target(ratio=1.0)


def cases() -> list[Case]:
    """Return the cases of this family."""
    return [_case(engine) for engine in BRIDGED]


def _case(engine: str) -> Case:
    plain, tasks = BRIDGED[engine], f"{TASKS}.chained"
    words = tuple(tasks if word == plain.tasks else word for word in plain.command)
    side = replace(plain, tasks=tasks, command=words)
    return Case(
        rows=(
            Row(name=f"{engine}: a link of a chain of {LONG:,}", unit="ms", less_is_better=True, target=AS_FAST),
            Row(name=f"{engine}: message of a chain of {LONG:,}", unit="bytes", less_is_better=True, target=AS_SMALL),
        ),
        shown=f"a chain of {SHORT}",
        native=partial(_measure, side, SHORT),
        taskbridge=partial(_measure, side, LONG),
    )


def _measure(side: Side, links: int) -> Figures:
    with RedisServer() as server, worker(side, server):
        took_ms, size = produce(side, server, "chained", str(links), str(server.directory / "chains"))
        return took_ms, size
