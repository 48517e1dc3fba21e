"""The tasks of ``BackendSuite`` that are links of chains."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from ..bridge import Bridge
from ..current import current
from ..task import Task
from .suite_notes import QUEUE, note


class Sum(NamedTuple):
    """What goes from link to link."""

    amount: Decimal
    currency: str


def earns(amount: Decimal) -> Sum:
    """Begin a chain."""
    note("earns")
    return Sum(amount, "EUR")


async def doubles(money: Sum) -> Sum:
    """Be given what the one before returned."""
    note("doubles", value=repr(money))
    return Sum(money.amount * 2, money.currency)


def banks(money: Sum | None, text: str = "") -> str:
    """Be the end of it, or not."""
    note("banks", value=repr(money), text=text, chain=current().chain, link=current().link)
    return text


def gated(money: Sum | None, file: str) -> Sum | None:
    """Fail until a file is there."""
    note("gated")
    if not Path(file).exists():
        raise ValueError("no such file")
    return money


def overflows(money: Sum) -> str:
    """Return more than a message may carry."""
    note("overflows")
    return "x" * 70_000


def told(id: str, text: str) -> None:
    """Be called when a chain has failed."""
    note("told", of=id, text=text)


def declare_links(bridge: Bridge) -> dict[str, Task[..., Any]]:
    """Declare them on a bridge as ``suite.<name>``; returns them by name."""
    return {
        function.__name__: bridge.task(name=f"suite.{function.__name__}", queue=QUEUE, retry=None)(function)
        for function in (earns, doubles, banks, gated, overflows, told)
    }
