"""``taskbridge migrate drain``: what is left in the old backend's queues moves to the new one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from .common import as_json, on_a_bridge, opened, own_name, queue_names, stop_signals
from .screen import say, say_json, table

if TYPE_CHECKING:
    from ..drain.loop import Drain
    from ..drain.report import Report

EXAMPLES = """\b
Examples:
  taskbridge migrate drain --from celery --to dramatiq --dry-run
  taskbridge migrate drain --from celery --to dramatiq --queues emails,slow
  taskbridge migrate drain --from celery --to dramatiq --watch     # until native producers are silent
"""


@click.command("drain", epilog=EXAMPLES)
@click.option("--from", "origin", required=True, metavar="BACKEND", help="Where the messages lie.")
@click.option("--to", "target", required=True, metavar="BACKEND", help="Where they go.")
@click.option("--queues", default="", callback=queue_names, help="Only these: a,b. Defaults to all that are known.")
@click.option("--dry-run", is_flag=True, help="Say what would move, and what cannot and why; move nothing.")
@click.option("--watch", is_flag=True, help="Look again until nothing came for a while.")
@click.option(
    "--quiet-for", default=30.0, type=click.FloatRange(0.1), show_default=True, help="How long that is, seconds."
)
@click.option(
    "--visibility",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="The native workers' visibility_timeout: what they hold for longer is moved even while such workers are seen.",
)
@click.option("--force", is_flag=True, help="Also what no live worker of the target is seen to take.")
@on_a_bridge
@as_json
def drain(
    origin: str,
    target: str,
    queues: list[str],
    dry_run: bool,
    watch: bool,
    quiet_for: float,
    visibility: float | None,
    force: bool,
    module: str | None,
    chdir: str,
    json: bool,
) -> None:
    """Move what is left in one backend's queues to another: messages of taskbridge, and of the engine's own producers.

    Each runs once, however often the drain is stopped and started again; one with an ETA waits in the store and is on
    time. What only its own engine can do stays where it is and is told. Exit code 1 when something is left.
    """
    from ..operations.drain import drain_of

    with opened([module], chdir) as bridge:
        one = drain_of(
            bridge,
            origin,
            target,
            queues,
            own_name(),
            modules=module is not None,
            force=force,
            visibility_s=visibility,
            dry_run=dry_run,
        )
        try:
            whole = _run(one, dry_run=dry_run, quiet_s=quiet_for if watch else 0.0)
        except BaseException:
            if one.counts.dealt():
                _tell(one.report(dry_run=dry_run), json=json, whole=False)
            raise
        report = one.report(dry_run=dry_run)
        _tell(report, json=json, whole=whole)
    sys.exit(0 if whole and report.empty else 1)


def _run(one: Drain, *, dry_run: bool, quiet_s: float) -> bool:
    """Run it with a bar; False when it was told to stop."""
    steps = one.preview() if dry_run else one.run(quiet_s)
    with _progress(one.waiting()) as advance, stop_signals() as stops, closing(steps):
        for many in steps:
            advance(many)
            if stops:
                return False
    return True


def _tell(report: Report, *, json: bool, whole: bool) -> None:
    from ..drain.verdict import LATER

    if json:
        import msgspec

        more = {"moved": report.moved, "empty": report.empty, "whole": whole}
        say_json(msgspec.to_builtins(report) | more)
        return
    _say_moved(report)
    if report.staying:
        many = sum(one.many for one in report.staying)
        say(f"{many:,} {'would stay' if report.dry_run else 'stay'} on {report.origin}:")
        rows = [(f"{one.many:,}", one.task or "?", one.why) for one in report.staying]
        table(("messages", "task", "why"), rows, numbers=("messages",))
        if any(one.why.startswith(LATER) for one in report.staying):
            say(f"`taskbridge routes set --queue NAME --to {report.target}` has what is due later go there")
    if report.held:
        say(_held(report))
    if report.hidden:
        say(f"what {report.origin}'s own workers hold is not seen ({report.hidden}): drain again when they are stopped")
    if not whole:
        say("it was stopped; what is left is whole, and the same command goes on", error=True)


def _say_moved(report: Report) -> None:
    done = "would move" if report.dry_run else "moved"
    say(f"{done} {report.moved:,} from {report.origin} to {report.target}, queues {', '.join(report.queues)}")
    rows = [
        (one.task, f"{one.moved:,}", f"{one.delayed:,}", f"{one.copies:,}")
        for one in report.tasks
        if one.moved or one.copies
    ]
    if rows:
        columns = ("task", done, "due later", "copies")
        table(columns, rows, numbers=columns[1:])


def _held(report: Report) -> str:
    seen = {None: "whether they live is not known", 0: "none of them is seen to live"}
    workers = seen.get(report.workers, f"{report.workers} of them seen to live")
    what = f"{report.held:,} messages are in the hands of {report.origin}'s own workers, unacknowledged ({workers})"
    if report.free:
        return f"{what}; {report.free:,} of them can be moved now"
    return f"{what}: stop these workers, then drain again"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar where somebody sees it; it grows with what comes meanwhile."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("draining", total=total)
        done = 0

        def advance(many: int) -> None:
            nonlocal done
            done += many
            bar.update(task, completed=done, total=max(total, done))

        yield advance
