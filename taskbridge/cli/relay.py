"""``taskbridge relay``: the relay alone."""

from __future__ import annotations

import sys
from threading import Event, Thread

import click

from ..config import unknown_variables
from ..observe.logs import set_up_logs
from .common import on_a_bridge, opened, own_name, stop_signals
from .screen import say

EXAMPLES = """\b
Examples:
  taskbridge relay                          # beside the engines' own workers; taskbridge worker has one inside
  taskbridge relay --module app.tasks       # it declares the schedules of these tasks, too
"""

#: How often to look whether a signal came, seconds.
TICK_S = 0.2


@click.command(epilog=EXAMPLES)
@on_a_bridge
@click.option("--log-level", default="INFO", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]))
def relay(module: str | None, chdir: str, log_level: str) -> None:
    """Move what is due from the store to an engine, until SIGTERM or Ctrl-C.

    Of all relays and workers of a namespace one leads; the others wait to take its place. The schedules of the settings
    and of the module's tasks are declared meanwhile.
    """
    from ..relay import relay_of
    from ..schedules.declared import declarer_of

    set_up_logs(log_level)
    for warning in unknown_variables():
        say(f"taskbridge: warning: {warning}", error=True)
    with opened([module], chdir) as bridge:
        stopping = Event()
        declaring = declarer_of(bridge.definitions, bridge.sender)
        Thread(target=declaring.keep_on, args=(stopping,), name="schedules", daemon=True).start()
        sys.exit(_run(Thread(target=relay_of(bridge.sender, own_name()).run, args=(stopping,)), stopping))


def _run(thread: Thread, stopping: Event) -> int:
    """Run until a signal comes or the thread dies."""
    with stop_signals() as stops:
        thread.start()
        try:
            while thread.is_alive() and not stops:
                thread.join(TICK_S)
        finally:
            stopping.set()
            thread.join()
        return 0 if stops else 1
