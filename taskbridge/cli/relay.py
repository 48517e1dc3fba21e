"""``taskbridge relay``: the relay alone."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from threading import Event, Thread

import click

from ..config import load_log_format, unknown_variables
from ..observe.logs import log_event, set_up_logs
from .common import on_a_bridge, opened, own_name, stop_signals, with_a_log

log = logging.getLogger("taskbridge.relay")

EXAMPLES = """\b
Examples:
  taskbridge relay                          # beside the engines' own workers; taskbridge worker has one inside
  taskbridge relay --module app.tasks       # it declares the schedules of these tasks, too
"""

#: How often to look whether a signal came, seconds.
TICK_S = 0.2


@click.command(epilog=EXAMPLES)
@on_a_bridge
@with_a_log
def relay(module: str | None, chdir: str, log_level: str, log_format: str | None) -> None:
    """Move what is due from the store to an engine, until SIGTERM or Ctrl-C.

    Of all relays and workers of a namespace one leads; the others wait to take its place. The schedules of the settings
    and of the module's tasks are declared meanwhile.
    """
    from ..relay import relay_of
    from ..schedules.declared import declarer_of

    set_up_logs(log_level, log_format or load_log_format(here=Path(chdir)))
    for warning in unknown_variables():
        log.warning("%s", warning)
    with opened([module], chdir) as bridge:
        bridge.events.subscribe(log_event)
        bridge.gather()
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
