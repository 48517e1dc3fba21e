"""``taskbridge schedules``: when tasks are enqueued by themselves, seen and changed while everything runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ..clock import milliseconds, seconds_of
from .common import as_json, examples, on_a_bridge, opened
from .group import Group
from .screen import say, say_json, table

if TYPE_CHECKING:
    from ..policies.ticks import Timing

EXAMPLES = """\b
Examples:
  taskbridge schedules list
  taskbridge schedules show nightly
  taskbridge schedules pause nightly
  taskbridge schedules resume nightly
  taskbridge schedules run-now nightly
  taskbridge schedules set nightly --cron "30 6 * * 1-5" --tz Europe/Warsaw
  taskbridge schedules set nightly --reset
"""

SET_EXAMPLES = """\b
Examples:
  taskbridge schedules set nightly --cron "30 6 * * 1-5" --tz Europe/Warsaw
  taskbridge schedules set nightly --every 15m --missed skip
  taskbridge schedules set nightly --overlap skip --jitter 30s
  taskbridge schedules set nightly --reset          # what code says holds again
"""

NAME = click.argument("name")


@click.group(cls=Group, epilog=EXAMPLES)
def schedules() -> None:
    """See and change schedules, for every worker of every engine, within a second. A change outlives restarts.

    Workers declare the schedules of their tasks when they start, and take back those that are gone from the code.
    """


@schedules.command("list", epilog=examples("taskbridge schedules list", "taskbridge schedules list --json"))
@on_a_bridge
@as_json
def list_(module: str | None, chdir: str, json: bool) -> None:
    """List schedules: when each ticks next, what became of its last tick, and how many were skipped or missed."""
    from ..operations import schedules as work
    from ..operations.words import instant

    with opened([module], chdir) as bridge:
        found = work.schedules(bridge.store)
    if json:
        say_json({"schedules": [asdict(one) for one in found]})
    elif found:
        rows = [
            (
                *(one.name, one.state, one.when + (" (set)" if one.set else "")),
                *(instant(one.next_ms) or "-", instant(one.last_ms) or "-", one.outcome or "-"),
                *(one.missed, one.overlap, one.skipped_count, one.missed_count),
            )
            for one in found
        ]
        columns = ("schedule", "state", "when", "next tick", "last tick", "outcome", "if missed", "if it overlaps")
        table((*columns, "skipped", "missed"), rows, numbers=("skipped", "missed"))
    else:
        say("no schedule was declared; a worker declares those of its tasks when it starts")


@schedules.command(epilog=examples("taskbridge schedules show nightly", "taskbridge schedules show nightly --json"))
@NAME
@on_a_bridge
@as_json
def show(name: str, module: str | None, chdir: str, json: bool) -> None:
    """Show all that is known of the schedule NAME."""
    from ..operations import schedules as work
    from ..operations.words import seen_from, span

    with opened([module], chdir) as bridge:
        found, now_ms = work.one(bridge.store, name), bridge.store.now_ms()
    if json:
        say_json(asdict(found))
        return
    rows = [
        ("state", found.state),
        ("task", f"{found.task} on queue {found.queue}"),
        ("called with", f"{found.args} {found.kwargs}"),
        ("declared in", found.origin),
        ("when", found.when),
        ("set at run time", found.set or "-"),
        ("next tick", seen_from(found.next_ms, now_ms) if found.next_ms else "-"),
        ("last tick", seen_from(found.last_ms, now_ms) if found.last_ms else "-"),
        ("its message", f"{found.last_id}: {found.outcome}" if found.last_id else "-"),
        ("if missed", found.missed),
        ("if it overlaps", found.overlap),
        ("jitter", span(found.jitter_ms) if found.jitter_ms else "-"),
        ("fired", found.fired),
        ("skipped", found.skipped_count),
        ("missed", found.missed_count),
    ]
    table(("schedule", name), rows)


@schedules.command(epilog=examples("taskbridge schedules pause nightly"))
@NAME
@on_a_bridge
def pause(name: str, module: str | None, chdir: str) -> None:
    """Let the schedule NAME tick no more, whatever code says. What it has enqueued already runs."""
    from ..operations import schedules as work

    with opened([module], chdir) as bridge:
        work.pause(bridge.store, name)
    say(f"{name} is paused; `taskbridge schedules resume {name}` lets it go on")


@schedules.command(epilog=examples("taskbridge schedules resume nightly"))
@NAME
@on_a_bridge
def resume(name: str, module: str | None, chdir: str) -> None:
    """Let the schedule NAME go on. What would have ticked meanwhile is left out, whatever its policy."""
    from ..operations import schedules as work

    with opened([module], chdir) as bridge:
        tick_ms = work.resume(bridge.store, name)
    say(f"{name} goes on; {_next(tick_ms)}")


@schedules.command("run-now", epilog=examples("taskbridge schedules run-now nightly"))
@NAME
@on_a_bridge
@as_json
def run_now(name: str, module: str | None, chdir: str, json: bool) -> None:
    """Enqueue at once what a tick of the schedule NAME would; paused or not. The ticks stay as they are."""
    from ..operations import schedules as work

    with opened([module], chdir) as bridge:
        id, created = work.run_now(bridge, name)
    if json:
        say_json({"id": id, "created": created})
    else:
        say(id if created else f"{id} is there already: the task is unique")


@schedules.command("set", epilog=SET_EXAMPLES)
@NAME
@click.option("--cron", metavar="FIELDS", help="Tick as this cron expression says.")
@click.option("--tz", metavar="ZONE", help="Whose clock the expression is read by. Defaults to UTC; needs --cron.")
@click.option("--every", metavar="SPAN", help="Tick every so long: seconds, or 90s, 5m, 2h, 1d.")
@click.option("--missed", metavar="WORD", help="What becomes of missed ticks: skip, last or all.")
@click.option("--overlap", metavar="WORD", help="While the last one has not ended: allow or skip.")
@click.option("--jitter", metavar="SPAN", help="Each is due a random part of this later.")
@click.option("--reset", is_flag=True, help="Take back all that was set; a pause stays.")
@on_a_bridge
def set_(
    name: str,
    cron: str | None,
    tz: str | None,
    every: str | None,
    missed: str | None,
    overlap: str | None,
    jitter: str | None,
    reset: bool,
    module: str | None,
    chdir: str,
) -> None:
    """Change the schedule NAME; what is not named stays. It holds until --reset, over restarts and releases."""
    from ..operations import schedules as work
    from ..schedules.plan import Changes

    asked = [cron, tz, every, missed, overlap, jitter]
    if reset == any(word is not None for word in asked):
        raise click.UsageError("name what to change (--cron, --every, --missed, --overlap, --jitter), or --reset alone")
    with opened([module], chdir) as bridge:
        if reset:
            tick_ms = work.reset(bridge.store, name)
            say(f"{name} is what was declared; {_next(tick_ms)}")
            return
        jitter_ms = milliseconds(seconds_of(jitter, "jitter"), "jitter") if jitter is not None else None
        timing = _timing(cron, tz, every)
        tick_ms = work.set_to(
            bridge.store, name, Changes(timing=timing, missed=missed, overlap=overlap, jitter_ms=jitter_ms)
        )
    say(f"{name} is changed; {_next(tick_ms)}. `taskbridge schedules set {name} --reset` gives it back")


def _timing(cron: str | None, tz: str | None, every: str | None) -> Timing | None:
    from ..policies.ticks import Crontab, Interval

    if cron is not None and every is not None:
        raise click.UsageError("--cron and --every exclude each other")
    if tz is not None and cron is None:
        raise click.UsageError("--tz needs --cron: --every counts real time")
    if cron is not None:
        return Crontab(cron, tz or "UTC")
    return Interval(milliseconds(seconds_of(every, "every"), "every")) if every is not None else None


def _next(tick_ms: int) -> str:
    from ..operations.words import instant

    return f"its next tick is at {instant(tick_ms)}" if tick_ms else "it has no next tick"
