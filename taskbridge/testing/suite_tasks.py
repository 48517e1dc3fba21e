"""The tasks of ``BackendSuite``. Each writes what it did as one line of a file that all processes append to."""

from __future__ import annotations

import enum
import sqlite3
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

from .. import default_bridge
from ..bridge import Bridge
from ..clock import SystemClock
from ..current import current
from ..errors import Drop, Reschedule, Retry, SoftTimeout, Throttled
from ..policies.lock import Lock
from ..policies.rate import RateLimit
from ..policies.retry import Backoff
from ..policies.schedule import every
from ..task import Task
from .suite_batches import declare_batches
from .suite_chunks import declare_chunked
from .suite_events import declare_heard
from .suite_hooks import declare_hooked
from .suite_ledger import declare_unrecorded
from .suite_links import declare_links
from .suite_notes import QUEUE, note
from .suite_shadows import declare_shadowed
from .suite_traces import declare_traced

_clock = SystemClock()


class Kind(enum.Enum):
    """An enum, as arguments have them."""

    CREDIT = "credit"
    DEBIT = "debit"


@dataclass
class Money:
    """A dataclass, as arguments have them."""

    amount: Decimal
    currency: str


class Address(TypedDict):
    """A typed dict, as arguments have them."""

    city: str


def typed(
    when: datetime,
    day: date,
    span: timedelta,
    price: Decimal,
    key: UUID,
    kind: Kind,
    money: Money,
    address: Address,
    maybe: date | None,
    table: dict[str, list[Decimal]],
) -> None:
    """Say what came, as Python writes it."""
    values = (when, day, span, price, key, kind, money, address, maybe, table)
    note("typed", values=[repr(value) for value in values])


def plain(n: int, text: str = "") -> None:
    """Say which one it was."""
    note("plain", n=n, text=text)


def failing(times: int) -> None:
    """Fail so many times, then succeed."""
    note("failing")
    if current().attempt <= times:
        raise ValueError(f"attempt {current().attempt}")


def doomed() -> None:
    """Fail always."""
    note("doomed")
    raise ValueError("always")


def asks_retry(after: float) -> None:
    """Ask for another attempt, once."""
    note("asks_retry")
    if current().attempt == 1:
        raise Retry("the provider is busy", after=after)


def polls(left: int) -> None:
    """Ask to be run again until nothing is left."""
    note("polls", left=left)
    if left:
        raise Reschedule(after=0.01, kwargs={"left": left - 1})


def polls_for(file: str, asked: int = 0) -> None:
    """Ask to be run again until a file is there."""
    note("polls_for", asked=asked)
    if not Path(file).exists():
        raise Reschedule(after=0.02, kwargs={"asked": asked + 1}, give_up_after=timedelta(minutes=1))


def polls_in_vain(give_up_after: float, asked: int = 0) -> None:
    """Ask to be run again until that is given up."""
    note("polls_in_vain", asked=asked)
    raise Reschedule(after=0.1, kwargs={"asked": asked + 1}, give_up_after=give_up_after)


def drops() -> None:
    """End itself."""
    note("drops")
    raise Drop("nothing to do")


def leaves() -> None:
    """Call ``sys.exit``."""
    note("leaves")
    sys.exit(3)


def waits_for(file: str) -> None:
    """Hold the worker until a file is there."""
    note("waits_for")
    while not Path(file).exists():
        _clock.sleep(0.01)


def pays(database: str) -> None:
    """Commit one effect per message."""
    with sqlite3.connect(database, isolation_level=None, timeout=10) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS paid (id TEXT)")
        with current().inbox(connection) as fresh:
            connection.execute("INSERT INTO paid VALUES (?)", (current().id,))
        note("pays", fresh=fresh)
        if current().attempt == 1:
            raise ValueError("after the commit")


def stays(seconds: float) -> None:
    """Take so long, and say what it was interrupted by."""
    try:
        _clock.sleep(seconds)
    except SoftTimeout as error:
        note("stays", met=str(error))
        raise


async def awaits(n: int) -> None:
    """Be a coroutine."""
    note("awaits", n=n)


def lenient(n: int) -> None:
    """Take what it knows."""
    note("lenient", n=n)


def strict(n: int) -> None:
    """Take nothing it does not know."""
    note("strict", n=n)


def guarded(who: str, n: int) -> None:
    """Run under a lock."""
    note("guarded", who=who, n=n, token=current().fencing_token)


def skipping(who: str) -> None:
    """Run under a lock, or not at all."""
    note("skipping")


def refusing(who: str) -> None:
    """Run under a lock, or fail."""
    note("refusing")


def paced(who: str, n: int) -> None:
    """Run at a pace."""
    note("paced", who=who, n=n)


def throttled(who: str, for_s: float) -> None:
    """Be told once that the far side has had too many."""
    note("throttled")
    if current().starts == 1:
        raise Throttled(for_s)


def only(who: str, n: int = 0) -> None:
    """Be the only one of its kind until it starts."""
    note("only", who=who, n=n)


def ticking(text: str) -> None:
    """Be run by a schedule."""
    note("ticking", text=text, due_ms=current().first_due_ms)


def declare(bridge: Bridge) -> dict[str, Task[..., Any]]:
    """Declare the tasks on a bridge as ``suite.<name>``; returns them by name."""
    quick = Backoff(max_retries=3, base=0.01)
    options: dict[Any, dict[str, Any]] = {
        doomed: {"retry": Backoff(max_retries=2, base=0.01)},
        leaves: {"retry": None},
        stays: {"retry": None},
        asks_retry: {"retry": Backoff(max_retries=1, base=30)},
        lenient: {"unknown_args": "drop"},
        strict: {"unknown_args": "fail"},
        guarded: {"lock": Lock("suite:{who}")},
        skipping: {"lock": Lock("suite:{who}", "skip")},
        refusing: {"lock": Lock("suite:{who}", "fail"), "retry": None},
        paced: {"rate_limit": RateLimit("20/s", key="{who}", burst=1)},
        throttled: {"rate_limit": RateLimit("100/s", key="{who}")},
        only: {"unique": "until_started", "unique_by": ("who",)},
        ticking: {"schedule": every(days=30, args=("tick",))},
        polls_for: {"unique": "until_done", "unique_by": ("file",)},
    }
    functions = (
        *(typed, plain, failing, doomed, asks_retry, drops, leaves, waits_for, pays, stays, awaits),
        *(guarded, skipping, refusing, paced, throttled, only, polls, polls_for, polls_in_vain, ticking),
    )
    declared = {
        function.__name__: bridge.task(
            **({"name": f"suite.{function.__name__}", "queue": QUEUE, "retry": quick} | options.get(function, {}))
        )(function)
        for function in (*functions, lenient, strict)
    }
    return {
        **declared,
        **declare_hooked(bridge),
        **declare_heard(bridge),
        **declare_chunked(bridge),
        **declare_links(bridge),
        **declare_traced(bridge),
        **declare_shadowed(bridge),
        **declare_unrecorded(bridge),
        **declare_batches(bridge, declared),
    }


declare(default_bridge)
