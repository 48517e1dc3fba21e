"""``taskbridge messages``: what the store keeps, by state, queue and task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .common import as_json, on_a_bridge, opened, queue_name
from .screen import say, say_json, table

if TYPE_CHECKING:
    from ..operations.browse import Browsed, Line
    from ..operations.disclosure import Disclosure

EXAMPLES = """\b
Examples:
  taskbridge messages                                # what runs, the first to lapse first
  taskbridge messages --state delayed --queue emails
  taskbridge messages --state dead --task app.boom --why timeout
  taskbridge messages --state delayed --task app.send_report --offset 1000
  taskbridge messages --state parked --json
"""

#: Of each state: what its instant and its last column are called.
STATES = {
    "ready": ("due", "why"),
    "delayed": ("due", "why"),
    "running": ("begun", "by"),
    "parked": ("given up", "waits for"),
    "dead": ("died", "why"),
}


@click.command(epilog=EXAMPLES)
@click.option("--state", default="running", show_default=True, type=click.Choice(list(STATES)), help="Where they are.")
@click.option("--queue", default="", metavar="QUEUE", callback=queue_name, help="Those of this queue.")
@click.option("--task", default="", metavar="TASK", help="Those of this task.")
@click.option("--why", default="", metavar="TEXT", help="Those with this in their reason.")
@click.option("--limit", default=20, type=click.IntRange(1, 10_000), show_default=True)
@click.option("--offset", default=0, type=click.IntRange(0), show_default=True, help="Begin behind so many.")
@on_a_bridge
@as_json
def messages(
    state: str, queue: str, task: str, why: str, limit: int, offset: int, module: str | None, chdir: str, json: bool
) -> None:
    """List messages that the store keeps in a state: of a queue, a task, with a text in the reason.

    A look for some of many goes through a thousand of them, and says where to go on. What lies in an engine's queue is
    counted by `taskbridge queues`, what waits at a lock or a limit by `locks list` and `limits list`; `why ID` tells
    all of one.
    """
    from ..operations.browse import SHELVES, Wanted, browse
    from ..operations.disclosure import Disclosure

    (shelf,) = (one for one in SHELVES if one == state)
    with opened([module], chdir) as bridge:
        found = browse(bridge.store, shelf, Wanted(queue=queue, task=task, why=why), limit=limit, offset=offset)
        disclosure = Disclosure(bridge)
        if json:
            listed = [_plain(line, disclosure) for line in found.lines]
            counts = {"total": found.total, "looked": found.looked, "next_offset": found.next_offset}
            say_json({"state": state, **counts, "messages": listed})
            return
        rows = [_row(state, line, disclosure) for line in found.lines]
    if rows:
        table(("id", "task", "queue", "attempt", *STATES[state]), rows, numbers=("attempt",))
    say(_seen(found, state))


def _row(state: str, line: Line, disclosure: Disclosure) -> tuple[object, ...]:
    from ..operations.depths import backend_of, owner_of
    from ..operations.words import instant

    record = line.record
    last = disclosure.of(line.message).text(record.why)
    at_ms = record.at_ms
    if state == "running":
        at_ms, last = record.begun_ms, f"{owner_of(record.claim)} on {backend_of(record.claim) or 'its own command'}"
    elif state == "parked":
        last = record.group
    task = line.task or ("(no message)" if record.body else "(code)")
    return record.id, task, record.queue, record.attempt, instant(at_ms) if at_ms else "", last


def _seen(found: Browsed, state: str) -> str:
    said = f"{len(found.lines)} of {found.total} {state} messages"
    if found.looked > len(found.lines):
        said += f", among {found.looked} that were looked at"
    return said if found.next_offset is None else f"{said}; others follow: --offset {found.next_offset}"


def _plain(line: Line, disclosure: Disclosure) -> dict[str, Any]:
    record = line.record
    names = ("id", "queue", "attempt", "starts", "crashes", "at_ms", "begun_ms", "claim", "group")
    return {name: getattr(record, name) for name in names} | {
        "task": line.task or None,
        "why": disclosure.of(line.message).text(record.why),
    }
