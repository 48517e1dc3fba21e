"""``taskbridge limits``: rate limits, seen and changed while everything runs."""

from __future__ import annotations

from dataclasses import asdict

import click

from .common import as_json, examples, on_a_bridge, opened
from .group import Group
from .screen import say, say_json, table

EXAMPLES = """\b
Examples:
  taskbridge limits list --module app.tasks
  taskbridge limits set provider 10/s
  taskbridge limits pause provider
  taskbridge limits resume provider
  taskbridge limits reset provider
"""

LIST_EXAMPLES = """\b
Examples:
  taskbridge limits list                     # those that were set or are waited at
  taskbridge limits list --module app.tasks  # those of its tasks, too
  taskbridge limits list --json
"""

SET_EXAMPLES = """\b
Examples:
  taskbridge limits set provider 10/s
  taskbridge limits set app.send 1000/m --burst 50
  taskbridge limits set provider 0/s         # as pause
"""

NAME = click.argument("name")


@click.group(cls=Group, epilog=EXAMPLES)
def limits() -> None:
    """See and change rate limits, for every worker of every engine, within a second. A change outlives restarts."""


@limits.command("list", epilog=LIST_EXAMPLES)
@on_a_bridge
@as_json
def list_(module: str | None, chdir: str, json: bool) -> None:
    """List limits: what their tasks say, what was set, and how many messages wait at how many of their keys."""
    from ..operations import limits as work

    with opened([module], chdir) as bridge:
        found = work.limits(bridge)
    if json:
        say_json({"limits": [asdict(one) for one in found]})
    elif found:
        rows = [
            (one.name, one.declared or "-", "paused" if one.paused else one.set or "-", one.keys, one.waiting)
            for one in found
        ]
        table(("limit", "declared", "set to", "keys", "waiting"), rows, numbers=("keys", "waiting"))
    else:
        say("no limit was set or is waited at; --module shows those that tasks declare")


@limits.command("set", epilog=SET_EXAMPLES)
@NAME
@click.argument("rate")
@click.option("--burst", default=0, type=click.IntRange(0), help="How many may start at once. Defaults by the rate.")
@on_a_bridge
def set_(name: str, rate: str, burst: int, module: str | None, chdir: str) -> None:
    """Give the limit NAME another RATE, such as 10/s; it holds from the next start on."""
    from ..operations import limits as work

    with opened([module], chdir) as bridge:
        remark = work.unheard_of(bridge, name)
        work.set_rate(bridge.store, name, rate, burst)
    say(f"{name} is {rate} now, whatever its task says; `taskbridge limits reset {name}` gives it back")
    _remark(remark)


@limits.command(
    epilog=examples("taskbridge limits pause provider", "taskbridge limits pause app.send  # its task's own")
)
@NAME
@on_a_bridge
def pause(name: str, module: str | None, chdir: str) -> None:
    """Let nobody start at the limit NAME. What waits keeps its place."""
    from ..operations import limits as work

    with opened([module], chdir) as bridge:
        remark = work.unheard_of(bridge, name)
        work.pause(bridge.store, name)
    say(f"{name} is paused; `taskbridge limits resume {name}` lets it go on")
    _remark(remark)


@limits.command(epilog=examples("taskbridge limits resume provider"))
@NAME
@on_a_bridge
def resume(name: str, module: str | None, chdir: str) -> None:
    """Let the limit NAME go on as before its pause."""
    from ..operations import limits as work

    with opened([module], chdir) as bridge:
        work.resume(bridge.store, name)
    say(f"{name} goes on")


@limits.command(epilog=examples("taskbridge limits reset provider"))
@NAME
@on_a_bridge
def reset(name: str, module: str | None, chdir: str) -> None:
    """Take back what was set for the limit NAME: its task's own word holds again."""
    from ..operations import limits as work

    with opened([module], chdir) as bridge:
        work.reset(bridge.store, name)
    say(f"{name} is what its task says")


def _remark(text: str) -> None:
    if text:
        say(f"taskbridge: {text}", error=True)
