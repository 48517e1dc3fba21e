"""``taskbridge migrate check``: is every task ready to move."""

from __future__ import annotations

import sys

import click

from .common import as_json, in_directory, opened
from .screen import say, say_json

EXAMPLES = """\b
Examples:
  taskbridge migrate check app.tasks --to dramatiq
  taskbridge migrate check app.celery app.tasks --from celery --to dramatiq   # Celery's own tasks, too
  taskbridge migrate check app.tasks --to new --json                          # for a pipeline
"""

MARKS = {"ready": "✓", "wait": "!", "declare": "→", "refused": "✗"}


@click.command("check", epilog=EXAMPLES)
@click.argument("modules", nargs=-1, required=True)
@click.option("--from", "origin", metavar="BACKEND", help="Where they run now. Defaults to TASKBRIDGE_BACKEND.")
@click.option("--to", "target", required=True, metavar="BACKEND", help="Where they would run.")
@in_directory
@as_json
def check(modules: tuple[str, ...], origin: str | None, target: str, chdir: str, json: bool) -> None:
    """List every task of MODULES with what would change on another backend, and whether it can move.

    The engine's own tasks are listed, too, with the decorator that declares them. Exit code 1 when one is refused.
    """
    from ..operations.readiness import readiness

    with opened(modules, chdir) as bridge:
        report = readiness(bridge, origin or bridge.settings.backend, target)
    if json:
        import msgspec

        say_json(msgspec.to_builtins(report) | {"ready": report.ready})
        sys.exit(not report.ready)
    for one in report.tasks:
        say(f"{MARKS[one.verdict]} {one.task}, queue {one.queue}: {one.verdict}")
        for line in [*([one.declaration] if one.declaration else []), *one.notes]:
            say(f"    {line}")
    for line in report.general:
        say(f"· {line}")
    counts = {verdict: sum(one.verdict == verdict for one in report.tasks) for verdict in MARKS}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    say(f"from {report.origin} to {report.target}: {told}")
    sys.exit(not report.ready)
