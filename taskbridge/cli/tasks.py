"""``taskbridge tasks``: what can be run."""

from __future__ import annotations

from collections.abc import Mapping

import click

from .common import as_json, in_directory, opened
from .screen import say, say_json, table

EXAMPLES = """\b
Examples:
  taskbridge tasks app.tasks
  taskbridge tasks app.tasks:bridge --json
"""


@click.command(epilog=EXAMPLES)
@click.argument("modules", nargs=-1, required=True)
@in_directory
@as_json
def tasks(modules: tuple[str, ...], chdir: str, json: bool) -> None:
    """List the tasks of MODULES: name, queue, the options that are set, arguments."""
    from ..operations.catalogue import catalogue

    with opened(modules, chdir) as bridge:
        found = catalogue(bridge.definitions)
    if json:
        say_json([{"name": t.name, "queue": t.queue, "options": t.options, "arguments": t.arguments} for t in found])
    elif found:
        rows = [(t.name, t.queue, _told(t.said), t.arguments) for t in found]
        table(("task", "queue", "options", "arguments"), rows)
    else:
        say(f"{', '.join(modules)} declares no task on this bridge; MODULE:NAME names one of your own")


def _told(options: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())
