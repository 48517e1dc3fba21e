"""``taskbridge dead``: the dead letters."""

from __future__ import annotations

import base64
import json as jsons
import sys
from typing import TYPE_CHECKING, Any

import click

from ..observe.text import safe, without_passwords
from .common import as_json, on_a_bridge, opened
from .group import Group
from .screen import say, say_json, shown_bytes, table

if TYPE_CHECKING:
    from ..operations.letters import Letter
    from ..store import Store

EXAMPLES = """\b
Examples:
  taskbridge dead list --limit 50
  taskbridge dead show 5f2b...
  taskbridge dead replay 5f2b... 77c1...
  taskbridge dead purge --all
"""

LIST_EXAMPLES = """\b
Examples:
  taskbridge dead list
  taskbridge dead list --limit 50 --offset 50
  taskbridge dead list --json
"""

SHOW_EXAMPLES = """\b
Examples:
  taskbridge dead show 5f2b...
  taskbridge dead show 5f2b... --json
"""

REPLAY_EXAMPLES = """\b
Examples:
  taskbridge dead replay 5f2b... 77c1...
  taskbridge dead replay --all         # asks first
"""

PURGE_EXAMPLES = """\b
Examples:
  taskbridge dead purge 5f2b...
  taskbridge dead purge --all --yes    # does not ask
"""


@click.group(cls=Group, epilog=EXAMPLES)
def dead() -> None:
    """See, replay and purge the dead letters: messages that failed for the last time, or could not be read."""


@dead.command("list", epilog=LIST_EXAMPLES)
@click.option("--limit", default=20, type=click.IntRange(1), show_default=True)
@click.option("--offset", default=0, type=click.IntRange(0), show_default=True)
@on_a_bridge
@as_json
def list_(limit: int, offset: int, module: str | None, chdir: str, json: bool) -> None:
    """List the dead letters, the newest first."""
    from ..operations.letters import count, letters
    from ..operations.words import instant

    with opened([module], chdir) as bridge:
        total, found = count(bridge.store), letters(bridge.store, limit, offset)
    if json:
        say_json({"total": total, "dead": [_plain(letter) for letter in found]})
        return
    if found:
        columns = ("died", "id", "task", "queue", "attempt", "why")
        table(columns, [_row(letter, instant(letter.record.at_ms)) for letter in found], numbers=("attempt",))
    say(f"{len(found)} of {total} dead letters")


@dead.command(epilog=SHOW_EXAMPLES)
@click.argument("id")
@on_a_bridge
@as_json
def show(id: str, module: str | None, chdir: str, json: bool) -> None:
    """Show one dead letter: task, arguments, why, traceback; of bytes that are no message, the bytes."""
    from ..operations.letters import letter
    from ..operations.runs import run_of
    from ..operations.words import instant

    with opened([module], chdir) as bridge:
        found = letter(bridge.store, id)
        run = run_of(bridge.store, id, found.message)
    if json:
        say_json(_plain(found) | ({"run": run} if run else {}))
        return
    record, message = found.record, found.message
    say(f"id         {safe(record.id)}")
    if run:
        say(f"run        {safe(run)}: it has failed, and goes on when this is replayed")
    say(f"died       {instant(record.at_ms)}, attempt {record.attempt}, started {record.starts} times")
    say(f"queue      {safe(record.queue)}")
    if message is None:
        say(f"bytes      {safe(shown_bytes(record.body))}")
    else:
        say(f"task       {safe(message.task)}")
        say(f"args       {safe(_text(message.args))}")
        say(f"kwargs     {safe(_text(message.kwargs))}")
    if found.link is not None:
        say(f"part of    {safe(found.link.why)}")
    say(f"why        {safe(without_passwords(record.why))}")
    if record.traceback:
        say(f"\n{without_passwords(record.traceback).rstrip()}")


@dead.command(epilog=REPLAY_EXAMPLES)
@click.argument("ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that are dead now.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_a_bridge
def replay(ids: tuple[str, ...], every: bool, yes: bool, module: str | None, chdir: str) -> None:
    """Make dead letters ready again, their attempts back at one. A link of a chain takes along what follows it."""
    from ..operations import letters

    with opened([module], chdir) as bridge:
        chosen = _chosen(ids, every, yes, "Replay", bridge.store)
        sys.exit(_told(chosen, letters.replay_all(bridge.store, chosen), "replayed"))


@dead.command(epilog=PURGE_EXAMPLES)
@click.argument("ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that are dead now.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_a_bridge
def purge(ids: tuple[str, ...], every: bool, yes: bool, module: str | None, chdir: str) -> None:
    """End dead letters for good. What follows a link of a chain is dropped with it."""
    from ..operations import letters

    with opened([module], chdir) as bridge:
        chosen = _chosen(ids, every, yes, "Purge", bridge.store)
        sys.exit(_told(chosen, letters.purge_all(bridge.store, chosen), "purged"))


def _chosen(ids: tuple[str, ...], every: bool, yes: bool, verb: str, store: Store) -> list[str]:
    from ..operations.letters import every_id

    if bool(ids) == every:
        raise click.UsageError("expected ids or --all, and not both")
    if not every:
        return list(dict.fromkeys(ids))
    chosen = every_id(store)
    if chosen and not yes:
        click.confirm(f"{verb} {len(chosen)} dead letters?", abort=True)
    return chosen


def _told(ids: list[str], refusals: list[str], done: str) -> int:
    """Tell how many it was done to, and why not to the others; return the exit code."""
    for why in refusals:
        say(f"taskbridge: {safe(why)}", error=True)
    say(f"{len(ids) - len(refusals)} {done}")
    return 1 if refusals else 0


def _row(letter: Letter, died: str) -> tuple[object, ...]:
    record, task = letter.record, letter.message.task if letter.message else "(no message)"
    return died, record.id, task, record.queue, record.attempt, without_passwords(record.why)


def _plain(letter: Letter) -> dict[str, Any]:
    record, message = letter.record, letter.message
    plain = {name: getattr(record, name) for name in ("id", "queue", "attempt", "starts", "crashes", "at_ms")}
    plain |= {"why": without_passwords(record.why), "traceback": without_passwords(record.traceback)}
    if letter.link is not None:
        plain |= {"chain": letter.link.chain, "link": letter.link.n, "left": letter.link.left}
    if message is None:
        body = {"raw": shown_bytes(record.body), "raw_base64": base64.b64encode(record.body).decode()}
        return plain | {"task": None} | body
    args, kwargs = jsons.loads(bytes(message.args)), jsons.loads(bytes(message.kwargs))
    return plain | {"task": message.task, "args": args, "kwargs": kwargs}


def _text(raw: bytes) -> str:
    return bytes(raw).decode("utf-8", errors="backslashreplace")
