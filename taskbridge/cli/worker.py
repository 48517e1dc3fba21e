"""``taskbridge worker``: run tasks."""

from __future__ import annotations

import os
import sys

import click

from ..config import unknown_variables
from ..observe.logs import set_up_logs
from ..worker.options import GRACE_S, WorkerOptions
from .common import queue_names, words

EXAMPLES = """\b
Examples:
  taskbridge worker app.tasks
  taskbridge worker app.tasks --queues emails,reports --processes 4
  taskbridge worker app.tasks --backends celery,dramatiq   # serve both engines' queues
  taskbridge worker app.tasks:bridge --grace 60            # a Bridge of your own
  taskbridge worker app.tasks --max-tasks 10000 --max-memory-mb 400 --hard-memory-mb 800
"""


@click.command(epilog=EXAMPLES)
@click.argument("modules", nargs=-1, required=True)
@click.option("--queues", default="", callback=queue_names, help="Comma-separated. Defaults to those of the tasks.")
@click.option("--backends", default="", callback=words, help="Comma-separated names. Defaults to TASKBRIDGE_BACKEND.")
@click.option("--processes", default=os.cpu_count() or 2, type=click.IntRange(1, 1000), show_default="the cores")
@click.option("--grace", default=GRACE_S, type=click.FloatRange(0), show_default=True, help="Seconds a drain may take.")
@click.option("--max-tasks", default=0, type=click.IntRange(0), help="Replace a child after so many tasks. 0: never.")
@click.option("--max-memory-mb", default=0, type=click.IntRange(0), help="Replace it after a task that left it over.")
@click.option("--hard-memory-mb", default=0, type=click.IntRange(0), help="End it at once; its task counts a crash.")
@click.option("--chdir", default=".", type=click.Path(exists=True, file_okay=False), help="Where modules are found.")
@click.option("--log-level", default="INFO", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]))
def worker(
    modules: tuple[str, ...],
    queues: list[str],
    backends: list[str],
    processes: int,
    grace: float,
    max_tasks: int,
    max_memory_mb: int,
    hard_memory_mb: int,
    chdir: str,
    log_level: str,
) -> None:
    """Run the tasks of MODULES until SIGTERM or Ctrl-C; a second signal ends it at once."""
    from ..worker.supervisor import Supervisor

    set_up_logs(log_level)
    for warning in unknown_variables():
        click.echo(f"taskbridge: warning: {warning}", err=True)
    options = WorkerOptions(
        modules=list(modules),
        queues=queues,
        backends=backends,
        processes=processes,
        grace_s=grace,
        max_tasks=max_tasks,
        max_memory_mb=max_memory_mb,
        hard_memory_mb=hard_memory_mb,
        directory=os.path.abspath(chdir),
        log_level=log_level,
    )
    sys.exit(Supervisor(options).run())
