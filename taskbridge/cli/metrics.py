"""``taskbridge metrics``: what stands in store and brokers, for Prometheus."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from ..config import load_log_format
from .common import address, on_a_bridge, opened, queue_names, stop_signals
from .screen import say

if TYPE_CHECKING:
    from ..observe.exposition import Address
    from ..observe.gauges import StoreGauges

EXAMPLES = """\b
Examples:
  taskbridge metrics                         # print it once
  taskbridge metrics --listen :9192          # serve it at http://localhost:9192/metrics
  taskbridge metrics --listen 127.0.0.1:9192 --celery
  taskbridge metrics --queues emails,reports # look at these too, also when no worker lives
"""

#: How often to look whether a signal came, seconds.
TICK_S = 0.2


@click.command(epilog=EXAMPLES)
@click.option("--listen", metavar="[HOST]:PORT", callback=address, help="Serve it at /metrics until Ctrl-C or SIGTERM.")
@click.option("--once", is_flag=True, help="Print it and end. The default without --listen.")
@click.option("--celery", is_flag=True, help="Also under the names that dashboards for Celery use.")
@click.option("--queues", default="", callback=queue_names, help="Comma-separated; look at these too.")
@on_a_bridge
def metrics(
    listen: Address | None, once: bool, celery: bool, queues: list[str], module: str | None, chdir: str
) -> None:
    """Show what stands in the store and at the brokers, as Prometheus reads it.

    Depths and ages of queues, what is delayed, waiting and dead, limits, runs, workers and the relay: all that can be
    told from anywhere. What processes do is served by `taskbridge worker --metrics`. With --once, the exit code is 1
    when the store or a broker did not answer; what answered is printed.
    """
    from ..observe.exposition import check_installed, registry_of, text_of
    from ..observe.logs import set_up_logs

    if listen and once:
        raise click.UsageError("--once prints and ends, --listen serves: give one of them")
    check_installed()
    from ..observe.gauges import StoreGauges

    set_up_logs("WARNING", load_log_format(here=Path(chdir)))
    with opened([module], chdir) as bridge:
        known = [*queues, *(one.options.queue for one in bridge.definitions.values())]
        gauges = StoreGauges(bridge, list(dict.fromkeys(known)), celery=celery)
        try:
            if listen:
                _serve(gauges, listen)
            else:
                click.echo(text_of(registry_of(gauges)), nl=False)
        finally:
            gauges.close()
    sys.exit(0 if listen or gauges.all_up else 1)


def _serve(gauges: StoreGauges, listen: Address) -> None:
    from ..observe.exposition import Exposition, registry_of

    with stop_signals() as stops:
        shown = Exposition(registry_of(gauges), listen)
        say(f"metrics are at {shown.url}", error=True)
        pause = Event()
        while not stops:
            pause.wait(TICK_S)
        shown.close()
