"""``taskbridge migrate start``, ``share``, ``ramp``, ``pause``, ``resume``, ``rollback``, ``finish``: it moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..clock import milliseconds, seconds_of
from .common import as_json, examples, on_a_bridge, opened, queue_names, words
from .migration_status import plain, say_step
from .screen import say, say_json

if TYPE_CHECKING:
    from ..bridge import Bridge
    from ..migration.book import Migration

F = TypeVar("F", bound=Callable[..., Any])

START_EXAMPLES = """\b
Examples:
  taskbridge migrate start --from celery --to dramatiq --dry-run             # every task; what would be wrong
  taskbridge migrate start --from celery --to dramatiq --tasks 'bank.*' --key '{user_id}'
  taskbridge migrate start --from celery --to celery-sqs --queues mail,reports --note "TICKET-7"
"""

SHARE_EXAMPLES = """\b
Examples:
  taskbridge migrate share 5
  taskbridge migrate share 0.5 --note "the first hundred users"
  taskbridge migrate share 50 --id m2
"""

RAMP_EXAMPLES = """\b
Examples:
  taskbridge migrate ramp                                            # 1, 5, 25, 50, 100 %, two minutes each
  taskbridge migrate ramp --steps 10,50,100 --hold 10m
  taskbridge migrate ramp --max-error-ratio 1.1 --max-latency-ratio 2 && taskbridge migrate status --watch
"""

ROLLBACK_EXAMPLES = """\b
Examples:
  taskbridge migrate rollback
  taskbridge migrate rollback --note "errors over there"
"""

FINISH_EXAMPLES = """\b
Examples:
  taskbridge migrate finish                # at 100 %, when the old queues are empty; at 0 %, to give it up
  taskbridge migrate finish --force        # although something lies there
"""

NOTE = click.option("--note", default="", metavar="TEXT", help="Why; it is kept with the step.")
ID = click.option("--id", "id", default="", metavar="NAME", help="Which migration. Defaults to the only one.")
FORCE = click.option("--force", is_flag=True, help="Also where no live worker would take the messages.")


def one_migration(command: F) -> F:
    """Give a verb that moves one migration its ``--id``, ``--note``, ``--module``, ``--chdir`` and ``--json``."""
    return ID(NOTE(on_a_bridge(as_json(command))))


@click.command(epilog=START_EXAMPLES)
@click.option("--from", "origin", required=True, metavar="BACKEND", help="Where the messages go now.")
@click.option("--to", "target", required=True, metavar="BACKEND", help="Where they are to go.")
@click.option(
    "--tasks", callback=words, default="", metavar="NAMES", help="These tasks; * is any text. Defaults to all."
)
@click.option("--queues", callback=queue_names, default="", metavar="NAMES", help="All tasks in these queues.")
@click.option(
    "--key", default="", metavar="TEMPLATE", help="What shares are sticky by: '{user_id}'. Defaults to the id."
)
@NOTE
@FORCE
@click.option("--dry-run", is_flag=True, help="Say what would move and what would be wrong; change nothing.")
@on_a_bridge
@as_json
def start(
    origin: str,
    target: str,
    tasks: list[str],
    queues: list[str],
    key: str,
    note: str,
    force: bool,
    dry_run: bool,
    module: str | None,
    chdir: str,
    json: bool,
) -> None:
    """Begin a migration; nothing moves yet: its share is 0.

    Refused is what would lead nowhere: an unknown backend or task, tasks that another migration moves or that do not
    go to the old backend today, a backend that cannot keep what a task asks for or that no live worker serves.
    """
    from ..operations import migration as work

    with opened([module], chdir) as bridge:
        done = work.start(
            bridge,
            origin=origin,
            target=target,
            tasks=tasks,
            queues=queues,
            key=key,
            note=note,
            modules=module is not None,
            force=force,
            dry_run=dry_run,
        )
    if json:
        say_json(plain(done.migration) | {"matches": done.tasks, "known": done.known, "dry_run": dry_run})
        return
    shown = ", ".join(done.tasks[:5]) + (" ..." if len(done.tasks) > 5 else "")
    say(f"{done.migration}{f', sticky by {key}' if key else ''}")
    say(f"it moves {len(done.tasks)} of {done.known} known tasks{': ' if shown else ''}{shown}")
    say(
        "nothing was changed"
        if dry_run
        else "its share is 0 %: `taskbridge migrate share 5` or `migrate ramp` moves it"
    )


@click.command(epilog=SHARE_EXAMPLES)
@click.argument("percent", type=float)
@FORCE
@one_migration
def share(percent: float, force: bool, id: str, note: str, module: str | None, chdir: str, json: bool) -> None:
    """Send PERCENT of the messages to the new backend, up or down; a ramp ends there.

    It holds for every producer within a second. Shares are nested: raising one moves no key back.
    """
    from ..operations import migration as work

    _move(lambda bridge: work.share(bridge, percent, id=id, note=note, force=force), module, chdir, json=json)


@click.command(epilog=RAMP_EXAMPLES)
@click.option("--steps", default="1,5,25,50,100", show_default=True, metavar="PERCENTS", help="The shares, in order.")
@click.option(
    "--hold", default="2m", show_default=True, metavar="SPAN", help="Hold each so long: seconds, 90s, 5m, 2h."
)
@click.option(
    "--max-error-ratio", default=1.2, show_default=True, help="Attempts may fail so many times as often, not more."
)
@click.option(
    "--max-latency-ratio", default=1.5, show_default=True, help="They may run and wait so many times as long, not more."
)
@click.option("--min-samples", default=50, show_default=True, help="So many must have ended on each side to go on.")
@one_migration
def ramp(
    steps: str,
    hold: str,
    max_error_ratio: float,
    max_latency_ratio: float,
    min_samples: int,
    id: str,
    note: str,
    module: str | None,
    chdir: str,
    json: bool,
) -> None:
    """Have the share raised step by step, by itself, as long as the new side is no worse.

    The relay that leads does it, here or elsewhere; this command returns at once. Each step is held for its time, and
    as long as the evidence does not do; a side that is worse is taken back to 0 %. `migrate status --watch` shows it.
    """
    from ..evidence.judge import Bounds
    from ..operations import migration as work

    shares = _shares(steps)
    hold_ms = milliseconds(seconds_of(hold, "hold"), "hold")
    bounds = Bounds(max_error_ratio=max_error_ratio, max_latency_ratio=max_latency_ratio, min_samples=min_samples)
    _move(lambda bridge: work.ramp(bridge, shares, hold_ms, bounds, id=id, note=note), module, chdir, json=json)


@click.command(epilog=examples('taskbridge migrate pause --note "over lunch"'))
@one_migration
def pause(id: str, note: str, module: str | None, chdir: str, json: bool) -> None:
    """Leave a ramp where it is: nothing moves by itself, not back either.

    `resume` lets it go on; `ramp`, `share` and `rollback` take it elsewhere.
    """
    from ..operations import migration as work

    _move(lambda bridge: work.pause(bridge, id=id, note=note), module, chdir, json=json)


@click.command(epilog=examples("taskbridge migrate resume", "taskbridge migrate resume --id m2"))
@one_migration
def resume(id: str, note: str, module: str | None, chdir: str, json: bool) -> None:
    """Let a paused ramp go on; its step is held anew."""
    from ..operations import migration as work

    _move(lambda bridge: work.resume(bridge, id=id, note=note), module, chdir, json=json)


@click.command(epilog=ROLLBACK_EXAMPLES)
@one_migration
def rollback(id: str, note: str, module: str | None, chdir: str, json: bool) -> None:
    """Take the whole share back, at once: within a second no producer sends to the new backend.

    What lies in its queues is run by its workers, so leave them running.
    """
    from ..operations import migration as work

    _move(lambda bridge: work.rollback(bridge, id=id, note=note), module, chdir, json=json)


@click.command(epilog=FINISH_EXAMPLES)
@click.option("--force", is_flag=True, help="Also where messages lie in the queues that it leaves.")
@one_migration
def finish(force: bool, id: str, note: str, module: str | None, chdir: str, json: bool) -> None:
    """End a migration: at 100 % its rules stay in the routes, at 0 % they are taken out.

    Refused while messages lie in the queues that it leaves: somebody must run them.
    """
    from ..operations import migration as work

    _move(lambda bridge: work.finish(bridge, id=id, note=note, force=force), module, chdir, json=json)


def _move(step: Callable[[Bridge], Migration], module: str | None, chdir: str, *, json: bool) -> None:
    with opened([module], chdir) as bridge:
        moved = step(bridge)
    if json:
        say_json(plain(moved))
    else:
        say_step(moved)


def _shares(text: str) -> list[float]:
    try:
        return [float(word.strip().removesuffix("%")) for word in text.split(",") if word.strip()]
    except ValueError:
        raise click.BadParameter(
            f"expected percents such as 1,5,25,50,100; got {text!r}", param_hint="--steps"
        ) from None
