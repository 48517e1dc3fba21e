"""``taskbridge workers``: those that live, what they run, how many processes they have, and their end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
import msgspec

from .common import as_json, examples, on_a_bridge, opened
from .group import Group
from .screen import say, say_json, table

if TYPE_CHECKING:
    from ..operations.workers import Scaled, WorkerView

EXAMPLES = """\b
Examples:
  taskbridge workers list
  taskbridge workers scale high 8
  taskbridge workers reset high
  taskbridge workers shutdown web-1.4711.9f3a
"""

LIST_EXAMPLES = """\b
Examples:
  taskbridge workers list
  taskbridge workers list --json
"""

SCALE_EXAMPLES = """\b
Examples:
  taskbridge workers scale high 8                             # in each worker with this group
  taskbridge workers scale high 8 --worker web-1.4711.9f3a    # in one
  taskbridge workers scale low 0                              # shuts the group down
  taskbridge workers scale default 4                          # of workers without groups
"""

SHUTDOWN_EXAMPLES = """\b
Examples:
  taskbridge workers shutdown web-1.4711.9f3a          # asks first
  taskbridge workers shutdown --all --yes
"""

WORKER = click.option("--worker", default="", metavar="NAME", help="Only in this one. Defaults to all that have it.")


@click.group(cls=Group, epilog=EXAMPLES)
def workers() -> None:
    """See the workers that live, give their groups more or fewer processes, and end them."""


@workers.command("list", epilog=LIST_EXAMPLES)
@on_a_bridge
@as_json
def list_(module: str | None, chdir: str, json: bool) -> None:
    """List the workers of `taskbridge worker` that live, and what each runs. The engines' own commands tell nothing."""
    from ..operations import workers as work

    with opened([module], chdir) as bridge:
        found, now_ms = work.workers(bridge), bridge.store.now_ms()
    if json:
        say_json({"workers": [msgspec.to_builtins(asdict(one)) for one in found]})
    elif found:
        columns = ("worker", "backends", "processes", "group=processes:queues", "runs")
        table(columns, [_row(one, now_ms) for one in found], numbers=("processes",))
    else:
        say("no worker lives: start one by taskbridge worker MODULE")


@workers.command(epilog=SCALE_EXAMPLES)
@click.argument("group")
@click.argument("processes", type=int)
@WORKER
@on_a_bridge
def scale(group: str, processes: int, worker: str, module: str | None, chdir: str) -> None:
    """Have GROUP have so many PROCESSES within a second; it holds for workers that start later, too.

    What a process runs it finishes, within its worker's grace time. 0 shuts the group down.
    """
    from ..operations import workers as work

    with opened([module], chdir) as bridge:
        done = work.scale(bridge, group, processes, worker=worker)
    say(f"{group}: {processes} processes in {_each(done.workers)}, {_told(done)} before")
    say(f"`taskbridge workers reset {group}` gives back what they were started with")
    if done.unserved:
        say(f"taskbridge: nobody serves {', '.join(done.unserved)} then: what is sent there waits", error=True)


@workers.command(
    epilog=examples(
        "taskbridge workers reset high                              # in each worker with this group",
        "taskbridge workers reset high --worker web-1.4711.9f3a      # in one",
    )
)
@click.argument("group")
@WORKER
@on_a_bridge
def reset(group: str, worker: str, module: str | None, chdir: str) -> None:
    """Have GROUP have as many processes as its workers were started with."""
    from ..operations import workers as work

    with opened([module], chdir) as bridge:
        done = work.reset(bridge, group, worker=worker)
    say(f"{group}: as many processes as it was started with in {_each(done.workers)}, {_told(done)} before")


@workers.command(epilog=SHUTDOWN_EXAMPLES)
@click.argument("names", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="All that live.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_a_bridge
def shutdown(names: tuple[str, ...], everyone: bool, yes: bool, module: str | None, chdir: str) -> None:
    """Have the workers NAMES finish what they run and end, as SIGTERM does. What started them may start others."""
    from ..operations import workers as work

    if bool(names) == everyone:
        raise click.UsageError("say which workers by NAMES, or --all")
    with opened([module], chdir) as bridge:
        asked: Sequence[str] = [one.name for one in work.workers(bridge)] if everyone else names
        if not asked:
            say("no worker lives")
            return
        if not (yes or click.confirm(f"End {', '.join(asked)}?", err=True)):
            sys.exit(1)
        done = work.shutdown(bridge, asked)
    say(f"asked to end: {', '.join(done)}")


def _row(one: WorkerView, now_ms: int) -> Sequence[object]:
    groups = [
        f"{name}={team.processes}{'*' if name in one.asked else ''}:{','.join(team.queues)}"
        for name, team in one.groups.items()
    ]
    runs = [f"{run.task or run.id} for {max(0, now_ms - run.since_ms) / 1000:.0f} s" for run in one.running]
    name = f"{one.name} (ends)" if one.ends else one.name
    return name, ", ".join(one.backends), one.processes, " ".join(groups), ", ".join(runs) or "-"


def _each(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"each of {len(names)} workers"


def _told(done: Scaled) -> str:
    return ", ".join(str(number) for number in sorted(set(done.before.values())))
