"""``taskbridge worker``: run tasks."""

from __future__ import annotations

import logging
import os
import re
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config import (
    MAX_PROCESSES,
    GroupSettings,
    check_group_name,
    load_groups,
    load_log_format,
    unknown_variables,
)
from ..errors import ConfigError
from ..observe.logs import set_up_logs
from ..worker.options import GRACE_S, Group, WorkerOptions
from .common import address, queue_names, with_a_log, words

if TYPE_CHECKING:
    from ..observe.exposition import Address

log = logging.getLogger("taskbridge.worker")

EXAMPLES = """\b
Examples:
  taskbridge worker app.tasks
  taskbridge worker app.tasks --queues emails,reports --processes 4
  taskbridge worker app.tasks --group high=2:urgent --group low=6:emails,urgent
  taskbridge worker app.tasks --backends celery,dramatiq   # serve both engines' queues
  taskbridge worker app.tasks:bridge --grace 60            # a Bridge of your own
  taskbridge worker app.tasks --max-tasks 10000 --max-memory-mb 400 --hard-memory-mb 800
  taskbridge worker app.tasks --log-format json            # one object a line
  taskbridge worker app.tasks --metrics :9191              # Prometheus reads http://this-machine:9191/metrics
  taskbridge worker app.tasks --reload                     # while you develop
"""


def named_groups(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> dict[str, GroupSettings]:
    """Read ``NAME=PROCESSES:QUEUE,QUEUE`` as often as it is given."""
    groups: dict[str, GroupSettings] = {}
    for text in texts:
        name, named, rest = text.partition("=")
        number, counted, queues = rest.partition(":")
        try:
            if not (named and counted):
                raise ConfigError(f"expected NAME=PROCESSES:QUEUE,QUEUE such as high=2:urgent, got {text!r}")
            check_group_name(name)
            if name in groups:
                raise ConfigError(f"expected each group once, got {name!r} twice")
            processes: Any = int(number) if re.fullmatch("-?[0-9]+", number) else number
            groups[name] = GroupSettings(processes=processes, queues=words(context, parameter, queues))
        except ConfigError as error:
            raise click.BadParameter(str(error), context, parameter) from None
    return groups


@click.command(epilog=EXAMPLES)
@click.argument("modules", nargs=-1, required=True)
@click.option("--queues", default="", callback=queue_names, help="Comma-separated. Defaults to those of the tasks.")
@click.option("--backends", default="", callback=words, help="Comma-separated names. Defaults to TASKBRIDGE_BACKEND.")
@click.option("--processes", type=click.IntRange(1, MAX_PROCESSES), help="How many. Defaults to the cores.")
@click.option(
    "--group",
    "groups",
    multiple=True,
    callback=named_groups,
    metavar="NAME=PROCESSES:QUEUE,...",
    help="Processes for these queues alone; may be given again. Defaults to the groups of the settings' file.",
)
@click.option("--grace", default=GRACE_S, type=click.FloatRange(0), show_default=True, help="Seconds a drain may take.")
@click.option("--max-tasks", default=0, type=click.IntRange(0), help="Replace a child after so many tasks. 0: never.")
@click.option("--max-memory-mb", default=0, type=click.IntRange(0), help="Replace it after a task that left it over.")
@click.option("--hard-memory-mb", default=0, type=click.IntRange(0), help="End it at once; its task counts a crash.")
@click.option("--chdir", default=".", type=click.Path(exists=True, file_okay=False), help="Where modules are found.")
@with_a_log
@click.option("--metrics", callback=address, metavar="[HOST]:PORT", help="Serve /metrics for Prometheus here.")
@click.option("--metrics-celery", is_flag=True, help="Also under the names that dashboards for Celery use.")
@click.option("--reload", is_flag=True, help="Take new code by itself when Python files below --chdir change.")
def worker(
    modules: tuple[str, ...],
    queues: list[str],
    backends: list[str],
    processes: int | None,
    groups: dict[str, GroupSettings],
    grace: float,
    max_tasks: int,
    max_memory_mb: int,
    hard_memory_mb: int,
    chdir: str,
    log_level: str,
    log_format: str | None,
    metrics: Address | None,
    metrics_celery: bool,
    reload: bool,
) -> None:
    """Run the tasks of MODULES until SIGTERM or Ctrl-C; a second signal ends it at once.

    SIGHUP takes new code without a gap.
    """
    from ..worker.metering import metered
    from ..worker.supervisor import Supervisor

    log_format = log_format or load_log_format(here=Path(chdir))
    set_up_logs(log_level, log_format)
    for warning in unknown_variables():
        log.warning("%s", warning)
    if groups and (queues or processes):
        raise click.UsageError("--group says its processes and queues itself: leave out --queues and --processes")
    if metrics_celery and metrics is None:
        raise click.UsageError("--metrics-celery says under which names: say where by --metrics HOST:PORT")
    options = WorkerOptions(
        modules=list(modules),
        groups=_groups(queues, processes, groups, Path(chdir)),
        backends=backends,
        grace_s=grace,
        max_tasks=max_tasks,
        max_memory_mb=max_memory_mb,
        hard_memory_mb=hard_memory_mb,
        directory=os.path.abspath(chdir),
        log_level=log_level,
        log_format=log_format,
        reload=reload,
        observers=["metrics"] if metrics else [],
    )
    with metered(metrics, celery=metrics_celery) if metrics else nullcontext() as meter:
        sys.exit(Supervisor(options, meter).run())


def _groups(queues: list[str], processes: int | None, groups: dict[str, GroupSettings], directory: Path) -> list[Group]:
    """Those of the command line; else those of the file; else one without a name."""
    if not (groups or queues or processes):
        groups = load_groups(here=directory)
    if not groups:
        return [Group(queues=queues, processes=processes or os.cpu_count() or 2)]
    return [Group(name=name, queues=list(one.queues), processes=one.processes) for name, one in groups.items()]
