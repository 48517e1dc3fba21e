"""``taskbridge check``: is all well."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from ..errors import TaskbridgeError
from ..observe.text import safe
from .common import as_json, in_directory, opened
from .screen import say, say_json

if TYPE_CHECKING:
    from ..operations.checkup import Finding

EXAMPLES = """\b
Examples:
  taskbridge check                  # settings, backends, brokers, store
  taskbridge check app.tasks        # and the tasks of a module
  taskbridge check app.tasks --json # for a pipeline: exit code 1 when something is wrong
"""

MARKS = {"ok": "✓", "warning": "!", "error": "✗", "advice": "·"}


@click.command(epilog=EXAMPLES)
@click.argument("modules", nargs=-1)
@in_directory
@as_json
def check(modules: tuple[str, ...], chdir: str, json: bool) -> None:
    """Look at settings, backends, brokers, the store and the tasks of MODULES; each fault names what to change.

    Exit code 1 when a worker would not run, or a variable means nothing.
    """
    findings, settings = _look(modules, chdir)
    well = all(one.level != "error" for one in findings)
    if json:
        rows = [{"level": one.level, "about": one.about, "text": one.text} for one in findings]
        say_json({"ok": well, "findings": rows, "settings": settings})
    else:
        for one in findings:
            text = safe(one.text, lines=True).replace("\n", "\n    ")
            say(f"{MARKS[one.level]} {safe(one.about)}: {text}")
    sys.exit(0 if well else 1)


def _look(modules: tuple[str, ...], chdir: str) -> tuple[list[Finding], dict[str, object] | None]:
    from ..operations.checkup import checkup, faulty, shown

    faults: list[Finding] = []
    importable: list[str] = []
    for module in modules:
        try:
            with opened([module], chdir):
                importable.append(module)
        except TaskbridgeError as error:
            faults.append(faulty("modules", error))
    with opened(importable, chdir) as bridge:
        findings = [*faults, *checkup(bridge, importable, os.environ)]
        try:
            return findings, shown(bridge.settings)
        except TaskbridgeError:  # is among the findings
            return findings, None
