"""``taskbridge control``: pause, resume and cancel while everything runs, and who did what."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
import msgspec

from ..errors import TaskbridgeError
from ..observe.text import safe
from .common import as_json, on_a_bridge, opened
from .group import Group
from .screen import say, say_json, table

if TYPE_CHECKING:
    from ..operations.control import Cancelled

EXAMPLES = """\b
Examples:
  taskbridge control pause queue emails --why "the provider is down"
  taskbridge control pause task app.send_report
  taskbridge control pause key user:7
  taskbridge control paused
  taskbridge control resume queue emails
  taskbridge control cancel 5f2b...
  taskbridge control audit --limit 20
"""

PAUSE_EXAMPLES = """\b
Examples:
  taskbridge control pause task app.send_report
  taskbridge control pause queue emails --why "the provider is down"
  taskbridge control pause key user:7         # of a lock, or of a limit
  taskbridge control pause task app.new --anyway
"""

RESUME_EXAMPLES = """\b
Examples:
  taskbridge control resume task app.send_report
  taskbridge control resume key user:7
"""

PAUSED_EXAMPLES = """\b
Examples:
  taskbridge control paused
  taskbridge control paused --json
"""

CANCEL_EXAMPLES = """\b
Examples:
  taskbridge control cancel 5f2b... 77c1... --why "booked twice"
  taskbridge control cancel 5f2b... --kill    # ends its process, too, if it runs
"""

AUDIT_EXAMPLES = """\b
Examples:
  taskbridge control audit
  taskbridge control audit --limit 20 --offset 20
  taskbridge control audit --json
"""

KIND = click.argument("kind", type=click.Choice(["task", "queue", "key"]))
NAME = click.argument("name")
WHY = click.option("--why", default="", metavar="TEXT", help="It is kept, and shown to who looks.")


@click.group(cls=Group, epilog=EXAMPLES)
def control() -> None:
    """Pause, resume and cancel, on every engine and broker; and see who did what."""


@control.command(epilog=PAUSE_EXAMPLES)
@KIND
@NAME
@WHY
@click.option("--anyway", is_flag=True, help="Also where no live worker knows such a task or queue.")
@on_a_bridge
def pause(kind: str, name: str, why: str, anyway: bool, module: str | None, chdir: str) -> None:
    """Let nothing of KIND NAME begin. What runs goes on; what comes waits in the store or in its queue, in order."""
    from ..operations import control as work

    with opened([module], chdir) as bridge:
        work.pause(bridge, kind, name, why=why, anyway=anyway)
        remark = work.doubt(bridge, kind, name)
    say(f"the {kind} {safe(name)} is paused; `taskbridge control resume {kind} {safe(name)}` lets it go on")
    if remark:
        say(f"taskbridge: {remark}", error=True)


@control.command(epilog=RESUME_EXAMPLES)
@KIND
@NAME
@on_a_bridge
def resume(kind: str, name: str, module: str | None, chdir: str) -> None:
    """Let KIND NAME begin again. What waits for it goes on first, in its order."""
    from ..operations import control as work

    with opened([module], chdir) as bridge:
        done = work.resume(bridge, kind, name)
    say(f"the {kind} {safe(name)} goes on, {done.waiting:,} messages that wait in the store first")


@control.command(epilog=PAUSED_EXAMPLES)
@on_a_bridge
@as_json
def paused(module: str | None, chdir: str, json: bool) -> None:
    """List what is paused, since when, by whom and why, and how many messages wait for it in the store."""
    from ..operations.control import pauses
    from ..operations.words import instant

    with opened([module], chdir) as bridge:
        found = pauses(bridge)
    if json:
        say_json({"paused": msgspec.to_builtins(found)})
    elif found:
        rows = [
            (one.kind, one.name, "going on" if one.resumed else instant(one.at_ms), one.who, one.why, one.waiting)
            for one in found
        ]
        table(("kind", "name", "since", "who", "why", "waiting"), rows, numbers=("waiting",))
    else:
        say("nothing is paused")


@control.command(epilog=CANCEL_EXAMPLES)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--kill", is_flag=True, help="End the process of one that runs.")
@WHY
@on_a_bridge
@as_json
def cancel(ids: tuple[str, ...], kill: bool, why: str, module: str | None, chdir: str, json: bool) -> None:
    """End messages wherever they wait, runs, or chains at the link that stands.

    A message that runs ends with this attempt, unless it succeeds. Exit code 1 if one had ended already.
    """
    from ..operations import control as work

    done: list[Cancelled] = []
    refusals: list[dict[str, str]] = []
    with opened([module], chdir) as bridge:
        for id in dict.fromkeys(ids):
            try:
                done.append(work.cancel(bridge, id, kill=kill, why=why))
            except TaskbridgeError as error:
                refusals.append({"id": id, "why": str(error)})
    if json:
        say_json({"cancelled": [asdict(one) for one in done], "refused": refusals})
    else:
        for one in done:
            say(f"{one.kind} {safe(one.id)}: {safe(one.says)}")
        for refusal in refusals:
            say(f"taskbridge: {safe(refusal['why'])}", error=True)
    sys.exit(1 if refusals else 0)


@control.command(epilog=AUDIT_EXAMPLES)
@click.option("--limit", default=50, type=click.IntRange(1), show_default=True)
@click.option("--offset", default=0, type=click.IntRange(0), show_default=True)
@on_a_bridge
@as_json
def audit(limit: int, offset: int, module: str | None, chdir: str, json: bool) -> None:
    """List what operators did, the newest first; what was refused says so. The last 10,000 entries are kept."""
    from ..operations import audit as work
    from ..operations.words import instant

    with opened([module], chdir) as bridge:
        found = work.audit(bridge.store, limit, offset)
    if json:
        say_json({"audit": msgspec.to_builtins(found)})
    elif found:
        rows = [(instant(one.at_ms), one.who, one.verb, one.subject, one.detail) for one in found]
        table(("when", "who", "did", "to", "detail"), rows)
    else:
        say("nothing was done")
