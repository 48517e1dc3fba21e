"""``taskbridge migrate status`` and ``list``: how far it is, what both sides do, and every step that was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..observe.text import safe
from .common import as_json, examples, on_a_bridge, opened
from .screen import grid, live, say, say_json, table

if TYPE_CHECKING:
    from rich.console import Group

    from ..bridge import Bridge
    from ..migration.book import Migration
    from ..operations.progress import Status

EXAMPLES = """\b
Examples:
  taskbridge migrate status
  taskbridge migrate status --watch     # until the migration ends, or Ctrl-C
  taskbridge migrate status --id m1 --json
"""

#: How often a watched migration is looked at, seconds.
WATCH_S = 2.0

#: How many of the last steps are shown.
SHOWN_STEPS = 8


@click.command(epilog=EXAMPLES)
@click.option("--id", "id", default="", metavar="NAME", help="Which migration. Defaults to the only one.")
@click.option("--watch", is_flag=True, help="Look again every two seconds, until it ends.")
@on_a_bridge
@as_json
def status(id: str, watch: bool, module: str | None, chdir: str, json: bool) -> None:
    """Show how a migration stands: its share, both sides' figures on the same tasks, their queues, and its last steps.

    Exit code 1 when its share was taken back.
    """
    from ..operations import progress as work

    if watch and json:
        raise click.UsageError("expected --watch or --json")
    with opened([module], chdir) as bridge:
        found = work.status(bridge, id=id)
        if watch:
            found = _watch(bridge, found)
    if json:
        say_json(_plain_status(found))
    elif not watch:
        _show(found)
    raise SystemExit(found.migration.state == "taken back")


@click.command("list", epilog=examples("taskbridge migrate list", "taskbridge migrate list --json"))
@on_a_bridge
@as_json
def list_(module: str | None, chdir: str, json: bool) -> None:
    """List the migrations that go on and the last that have ended, the newest first."""
    from ..operations import progress as work

    with opened([module], chdir) as bridge:
        found = work.migrations(bridge)
    if json:
        say_json({"migrations": list(map(plain, found))})
    elif found:
        rows = [(one.id, one.what, one.origin, one.target, f"{one.share:g} %", one.state) for one in found]
        table(("id", "moves", "from", "to", "share", "state"), rows, numbers=("share",))
    else:
        say("no migration was ever begun")


def say_step(migration: Migration) -> None:
    """Print what a step came to."""
    step = migration.steps[-1]
    say(f"{migration}")
    told = f"{step.what}: {migration.share:g} % goes to {migration.target}"
    say(told + (", within a second" if step.what in ("shared", "taken back") else ""))
    if migration.state == "ramping" and migration.ramp is not None:
        steps = ", ".join(f"{one:g}" for one in migration.ramp.steps[migration.ramp.at + 1 :])
        say(f"the relay raises it to {steps} %, each held for {_span(migration.ramp.hold_ms)} at least")
    elif migration.state == "finished":
        ids = " ".join(rule.id for rule in migration.rules)
        say(f"its rules stay; when {migration.target} is the default, `taskbridge routes remove {ids}` takes them out")


def plain(migration: Migration) -> dict[str, Any]:
    """Return a migration as JSON has it."""
    import msgspec

    from ..operations.words import instant

    built: dict[str, Any] = msgspec.to_builtins(migration)
    for step in built["steps"]:
        step["at"] = instant(step.pop("at_ms"))
    return built


def _plain_status(found: Status) -> dict[str, Any]:
    import msgspec

    return {
        "migration": plain(found.migration),
        "evidence": msgspec.to_builtins(found.evidence),
        "holds": found.holds,
        "tasks": found.tasks,
        "waiting": [{"queue": one.queue, "old": one.old, "new": one.new} for one in found.waits],
    }


def _watch(bridge: Bridge, found: Status) -> Status:
    """Show it until it ends or is taken back; Ctrl-C leaves the migration as it is."""
    from ..operations.progress import status as look

    id = found.migration.id
    with live(_picture(found)) as show:
        while not found.migration.ended and found.migration.state != "taken back":
            bridge.clock.sleep(WATCH_S)
            found = look(bridge, id=id)
            show(_picture(found))
    return found


def _picture(found: Status) -> Group:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    bar = ProgressBar(total=100, completed=found.migration.share)
    columns = _columns(found)
    figures = grid(columns, _figures(found), numbers=columns[1:])
    return Group(Text(safe("\n".join(_lines(found)), lines=True)), bar, Text(), Text(), figures)


def _show(found: Status) -> None:
    from ..operations.words import instant

    for line in _lines(found):
        say(line)
    say()
    table(_columns(found), _figures(found), numbers=_columns(found)[1:])
    say()
    rows = [
        (instant(step.at_ms), step.who, step.what, f"{step.share:g} %", step.why or "-")
        for step in found.migration.steps[-SHOWN_STEPS:]
    ]
    table(("when", "who", "step", "share", "why"), rows, numbers=("share",))


def _lines(found: Status) -> list[str]:
    migration = found.migration
    reasons = "; ".join(found.evidence.verdict.reasons)
    lines = {
        "migration": str(migration),
        "share": f"{migration.share:g} %" + (f", sticky by {migration.key}" if migration.key else ""),
        "state": migration.state + (f": {found.holds}" if found.holds else ""),
        "routes": "" if migration.held else "they have not this share yet: the relay sets it within a second",
        "ramp": _ramp(found),
        "evidence": f"of {_span(found.evidence.until_ms - found.evidence.since_ms)}: "
        + found.evidence.verdict.word.replace("_", " ")
        + (f": {reasons}" if reasons else ""),
    }
    return [f"{name:<10} {line}" for name, line in lines.items() if line]


def _ramp(found: Status) -> str:
    ramp = found.migration.ramp
    if ramp is None or found.migration.state not in ("ramping", "paused"):
        return ""
    steps = " ".join(f"[{one:g}]" if n == ramp.at else f"{one:g}" for n, one in enumerate(ramp.steps))
    return f"{steps} %, each held for {_span(ramp.hold_ms)} at least"


def _columns(found: Status) -> tuple[str, str, str]:
    return "", found.migration.origin, found.migration.target


def _figures(found: Status) -> list[tuple[str, str, str]]:
    """Rows: what was counted and measured of both sides, and what lies in their queues."""
    verdict = found.evidence.verdict
    rows = [("ended", f"{verdict.old_ended:,}", f"{verdict.new_ended:,}")]
    for one in verdict.figures:
        old, new = _said(one.name, one.old, verdict.old_ended), _said(one.name, one.new, verdict.new_ended)
        rows.append((one.name, old, new))
    for queue in found.waits:
        old, new = ("?" if number is None else f"{number:,}" for number in (queue.old, queue.new))
        rows.append((f"in {queue.queue}", old, new))
    return rows


def _said(name: str, value: float, ended: int) -> str:
    """Return a figure of a side; of nothing that has ended there is none."""
    if not (ended or value):
        return "-"
    return f"{value:.2%}" if name == "failed" else f"{value:,.1f} ms"


def _span(ms: int) -> str:
    from ..operations.words import span

    return span(ms)
