"""``taskbridge batches``: how far batches are."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from ..observe.text import safe
from ..store.flow import BatchState
from .common import as_json, on_a_bridge, opened
from .group import Group
from .screen import say, say_json, table

EXAMPLES = """\b
Examples:
  taskbridge batches list
  taskbridge batches show 5f2b...
"""

LIST_EXAMPLES = """\b
Examples:
  taskbridge batches list
  taskbridge batches list --limit 100 --json
"""

SHOW_EXAMPLES = """\b
Examples:
  taskbridge batches show 5f2b...
  taskbridge batches show 5f2b... --json
"""


@click.group(cls=Group, epilog=EXAMPLES)
def batches() -> None:
    """See how far batches are."""


@batches.command("list", epilog=LIST_EXAMPLES)
@click.option("--limit", default=20, type=click.IntRange(1), show_default=True)
@on_a_bridge
@as_json
def list_(limit: int, module: str | None, chdir: str, json: bool) -> None:
    """List batches, the newest first: those with open members, and those that ended of late."""
    from ..operations.words import instant

    with opened([module], chdir) as bridge:
        found = bridge.store.batches.newest(limit)
    if json:
        say_json({"batches": [_plain(one) for one in found]})
    elif found:
        rows = [
            (one.id, instant(one.made_ms), _state(one), one.total, one.open, one.done, one.failed, one.dropped)
            for one in found
        ]
        numbers = ("members", "open", "done", "failed", "dropped")
        table(("batch", "opened", "state", *numbers), rows, numbers=numbers)
    else:
        say("no batch is known")


@batches.command(epilog=SHOW_EXAMPLES)
@click.argument("id")
@on_a_bridge
@as_json
def show(id: str, module: str | None, chdir: str, json: bool) -> None:
    """Show how far the batch ID is, and what it waits for."""
    with opened([module], chdir) as bridge:
        found, now_ms = bridge.store.batches.look(id), bridge.store.now_ms()
    if found is None:
        say(
            f"taskbridge: no batch has the id {safe(id)!r}, or it is forgotten; see taskbridge batches list", error=True
        )
        sys.exit(1)
    if json:
        say_json(_plain(found))
        return
    say(f"{safe(found.id)}: {_state(found)}")
    for line in _lines(found, now_ms):
        say(f"  {safe(line)}")


def _lines(one: BatchState, now_ms: int) -> list[str]:
    from ..operations.words import seen_from

    lines = [
        f"{one.total} members: {one.open} open, {one.done} done, {one.failed} failed, {one.dropped} dropped",
        f"opened at {seen_from(one.made_ms, now_ms)}",
    ]
    if one.builder:
        lines.append(f"filled by the task of message {one.builder}; see taskbridge status {one.builder}")
    if one.ended_ms:
        lines.append(f"complete since {seen_from(one.ended_ms, now_ms)}")
    elif not one.sealed:
        lines.append("whoever fills it has not closed it: it calls nobody back before that")
    if one.failed:
        lines.append("the failed ones are among the dead letters: taskbridge dead list")
    return lines


def _state(one: BatchState) -> str:
    """``filling`` until it is closed, ``running`` while members are open, then ``complete``."""
    return "complete" if one.ended_ms else "running" if one.sealed else "filling"


def _plain(one: BatchState) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(one)
    return plain | {"state": _state(one)}
