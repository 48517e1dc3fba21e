"""``taskbridge status``: where is my message, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..observe.text import safe
from .common import as_json, on_a_bridge, opened, queue_names
from .screen import say, say_json

if TYPE_CHECKING:
    from ..operations.whereabouts import Whereabouts

EXAMPLES = """\b
Examples:
  taskbridge status 5f2b...
  taskbridge status 5f2b... --scan 1000               # look through the first 1000 messages of each queue, too
  taskbridge status 5f2b... --scan 1000 --queues emails
  taskbridge status 5f2b... --json
"""


@click.command(epilog=EXAMPLES)
@click.argument("id")
@click.option("--scan", default=0, type=click.IntRange(0), help="Look through so many messages of each queue.")
@click.option("--queues", default="", callback=queue_names, help="Comma-separated; scan these too.")
@on_a_bridge
@as_json
def status(id: str, scan: int, queues: list[str], module: str | None, chdir: str, json: bool) -> None:
    """Say where the message ID is, and why.

    ID may be a chain's: then it is the link that stands, or has failed.

    A plain message that no worker has begun lies in the engine's queue only: it takes --scan to find it.
    """
    from ..operations.runs import look
    from ..operations.whereabouts import whereabouts

    with opened([module], chdir) as bridge:
        more = [*queues, *(one.options.queue for one in bridge.definitions.values())]
        found = whereabouts(bridge, id, scan=scan, queues=more)
        run = look(bridge.store, found.run) if found.run else None
    for problem in found.problems:
        say(f"taskbridge: {problem}", error=True)
    if json:
        say_json(_plain(found) | ({"run": run.state.id, "run_state": run.word} if run else {}))
        return
    say(f"{safe(found.id)}: {found.state}")
    say(f"  {safe(found.why)}")
    if found.message is not None:
        say(f"  task {safe(found.message.task)} of queue {safe(found.message.queue)}")
    if found.link is not None:
        say(f"  {safe(found.link.why)}")
    for batch in found.record.batches if found.record else ():
        say(f"  member of the batch {safe(batch)}; see taskbridge batches show {safe(batch)}")
    if run is not None:
        say(f"  a chunk of a run, which is {run.word}; see taskbridge runs show {safe(run.state.id)}")


def _plain(found: Whereabouts) -> dict[str, object]:
    plain: dict[str, object] = {"id": found.id, "state": found.state, "why": found.why, "scanned": found.scanned}
    if found.message is not None:
        plain |= {"task": found.message.task, "queue": found.message.queue}
    if found.link is not None:
        plain |= {"chain": found.link.chain, "link": found.link.n, "left": found.link.left}
    if found.found is not None:
        plain |= {"backend": found.found.backend, "ahead": found.found.ahead}
    if found.record is not None:
        names = ("attempt", "starts", "crashes", "seq", "claim", "group", "at_ms", "begun_ms")
        plain |= {name: getattr(found.record, name) for name in names}
        if found.record.batches:
            plain["batches"] = list(found.record.batches)
    return plain
