"""``taskbridge migrate``: from one engine or broker to another, while everything runs. The group of its verbs."""

from __future__ import annotations

import click

from .drain import drain
from .group import Group
from .migration import finish, pause, ramp, resume, rollback, share, start
from .migration_status import list_, status
from .readiness import check

EXAMPLES = """\b
Examples:
  taskbridge migrate check app.tasks --to dramatiq
  taskbridge migrate start --from celery --to dramatiq --tasks 'bank.*' --key '{user_id}'
  taskbridge migrate share 5
  taskbridge migrate status --watch
  taskbridge migrate ramp --steps 10,25,50,100 --hold 5m
  taskbridge migrate rollback --note "errors over there"
  taskbridge migrate drain --from celery --to dramatiq --dry-run
  taskbridge migrate finish
"""


@click.group(cls=Group, epilog=EXAMPLES)
def migrate() -> None:
    """Move tasks from one backend to another, and back.

    A migration is a share of some tasks' messages that goes to another backend. What lies in an engine's queue stays
    there for its workers, so both sides' must run. Each step is kept, with who, when, why and its evidence.
    """


for verb in (check, start, share, ramp, pause, resume, rollback, drain, finish, status, list_):
    migrate.add_command(verb)
