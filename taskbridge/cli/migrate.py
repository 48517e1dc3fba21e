"""``taskbridge migrate``: from one engine or broker to another, while everything runs."""

from __future__ import annotations

import click

from .readiness import check

EXAMPLES = """\b
Examples:
  taskbridge migrate check app.tasks --to dramatiq
"""


@click.group(epilog=EXAMPLES)
def migrate() -> None:
    """Move tasks from one backend to another, and back."""


migrate.add_command(check)
