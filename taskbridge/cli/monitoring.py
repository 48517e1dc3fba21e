"""``taskbridge monitoring``: dashboards for Grafana, alert rules for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..errors import ConfigError
from ..monitoring.alerts import ALERTS, RECORDS
from ..monitoring.one_task import one_task
from ..monitoring.overview import overview
from ..monitoring.rules import RUNBOOKS, text_of_rules
from ..monitoring.thresholds import Bound, Thresholds, check_label
from .common import F
from .group import Group
from .screen import say

DASHBOARDS = """\b
Examples:
  taskbridge monitoring dashboards /var/lib/grafana/dashboards
  taskbridge monitoring dashboards grafana --label namespace
"""

RULES = """\b
Examples:
  taskbridge monitoring rules                            # print them
  taskbridge monitoring rules /etc/prometheus/rules/taskbridge.yml
  taskbridge monitoring rules taskbridge.yml --oldest-age 120 --oldest-age reports=3600
  taskbridge monitoring rules taskbridge.yml --failure-ratio 0.05 --failure-ratio bank.poll=0.5
  taskbridge monitoring rules taskbridge.yml --runbooks https://wiki.example/alerts
"""

GROUP = """\b
Examples:
  taskbridge monitoring dashboards grafana
  taskbridge monitoring rules taskbridge.yml --oldest-age 120
"""

LABEL = click.option(
    "--label",
    default="job",
    show_default=True,
    help="The label of Prometheus' targets that says whose namespace each serves.",
)


@click.group(cls=Group, epilog=GROUP)
def monitoring() -> None:
    """Write dashboards for Grafana and alert rules for Prometheus.

    They ask for what `taskbridge worker --metrics` and `taskbridge metrics --listen` serve. Scrape each namespace by a
    job of its own, or give its targets a label that --label names.
    """


def bound(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> Bound:
    """Read NUMBER and NAME=NUMBER, in any order; the default stands where no number is alone."""
    value: float = _default(parameter.name).value
    apart = {}
    try:
        for name, number in map(_named, given):
            if name:
                apart[name] = number
            else:
                value = number
        return Bound(value, apart)
    except ConfigError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def _named(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        return name, float(number)
    except ValueError:
        raise ConfigError(f"expected a number such as 300, or that of a name: reports=3600; got {text!r}") from None


def _apart(name: str, takes: str, says: str) -> Callable[[F], F]:
    """An option for a number that may be another for some queues or tasks."""
    said = f"{says} Defaults to {_default(name).value:g}."
    return click.option(name, multiple=True, callback=bound, metavar=takes, help=said)


def _number(name: str, says: str) -> Callable[[F], F]:
    return click.option(name, default=float(_default(name)), show_default=True, metavar="NUMBER", help=says)


def _default(option: str | None) -> Any:
    return getattr(Thresholds(), (option or "").strip("-").replace("-", "_"))


@monitoring.command(epilog=DASHBOARDS)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@LABEL
def dashboards(folder: Path, label: str) -> None:
    """Write two dashboards into FOLDER, for Grafana to import or to be provisioned with.

    taskbridge-overview.json has both engines side by side, taskbridge-task.json one task in depth.
    """
    check_label(label)
    made = {f"{one.uid}.json": one.text() for one in (overview(label), one_task(label))}
    _write({folder / name: text for name, text in made.items()})
    for name in made:
        say(f"{folder / name} is written", error=True)


@monitoring.command(epilog=RULES)
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@_apart("--oldest-age", "[QUEUE=]SECONDS", "How long the oldest message of a queue may wait.")
@_apart("--failure-ratio", "[TASK=]SHARE", "Which share of a task's messages may fail for good in 10 minutes.")
@_apart("--attempt-ratio", "[TASK=]SHARE", "Which share of its attempts may fail in 5 minutes, those made again, too.")
@_number("--failure-attempts", "Of fewer messages in 10 minutes, or attempts in 5, none is judged.")
@_apart("--dead-letters", "[QUEUE=]COUNT", "How many dead letters may come in 15 minutes.")
@_number("--growth", "By which share of what is begun a queue may grow.")
@_number("--behind", "How much work may wait while it grows, seconds.")
@_number("--store-p99", "How long 99 of 100 trips to the store may take, seconds.")
@_number("--relay-lag", "How late the relay may be, seconds.")
@_number("--spans", "Every window and wait times this; below 1 to try the rules out.")
@click.option("--runbooks", default=RUNBOOKS, metavar="URL", help="The page that has a heading for each alert.")
@LABEL
def rules(file: Path | None, runbooks: str, **numbers: float | Bound | str) -> None:
    """Write the alert rules into FILE, or print them.

    What each alert means and what to do is in docs/alerts.md. An option that takes NAME= may be given again for
    queues or tasks that differ.
    """
    text = text_of_rules(RECORDS, ALERTS, Thresholds(**numbers), runbooks)  # type: ignore[arg-type]
    if file is None:
        click.echo(text, nl=False)
        return
    _write({file: text})
    say(f"{file} is written", error=True)


def _write(files: dict[Path, str]) -> None:
    """Write files, and the folder they are in.

    Raises:
        ConfigError: they cannot be.
    """
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            raise ConfigError(f"{str(path)!r} cannot be written: {error.strerror}") from error
