"""``taskbridge purge``: end what waits in a queue."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from ..observe.text import safe
from .common import on_a_bridge, opened, own_name, queue_name
from .screen import say

if TYPE_CHECKING:
    from ..operations.purge import Purge
    from ..store import Store

EXAMPLES = """\b
Examples:
  taskbridge purge emails                       # asks first
  taskbridge purge emails --backend dramatiq    # only there
  taskbridge purge emails --yes
"""


@click.command(epilog=EXAMPLES)
@click.argument("queue", callback=queue_name)
@click.option("--backend", default="", help="Only there. Defaults to every backend of the settings and the routes.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_a_bridge
def purge(queue: str, backend: str, yes: bool, module: str | None, chdir: str) -> None:
    """End every message that waits in QUEUE: none of them runs. Asks first; Ctrl-C gives back what is left.

    What the store keeps of the queue stays: delayed, parked and dead messages, and those that run.
    """
    from ..operations.purge import Purge
    from ..operations.routes import backends_in_use

    with opened([module], chdir) as bridge:
        names = [backend] if backend else backends_in_use(bridge)
        purges = [Purge(bridge, bridge.backend(name), queue, own_name()) for name in names]
        total = sum(one.waiting for one in purges)
        if total and not yes:
            where = ", ".join(f"{one.waiting} on {safe(one.backend)}" for one in purges)
            click.confirm(f"End the messages that wait in {queue} ({where})? They never run.", abort=True)
        try:
            whole = _run(purges, total)
        finally:
            _tell(purges, queue, bridge.store)
    sys.exit(0 if whole else 1)


def _run(purges: list[Purge], total: int) -> bool:
    """Run each with a bar; False when Ctrl-C ended it."""
    with _progress(total) as advance, _interruption() as interrupted:
        for one in purges:
            with closing(one.run()) as steps:
                for _ in steps:
                    advance()
                    if interrupted():
                        return False
    return True


def _tell(purges: list[Purge], queue: str, store: Store) -> None:
    for one in purges:
        if not one.waiting:
            say(f"{safe(one.backend)}: nothing waits in {queue}")
            continue
        buried = f", {one.buried} were no messages and are dead letters now" if one.buried else ""
        copies = f", {one.recognised} were copies or had expired" if one.recognised else ""
        say(f"{safe(one.backend)}: purged {one.ended} of {one.waiting} in {queue}{buried}{copies}")
        if one.runs:
            say(f"  chunks were among them: these runs have ended: {safe(', '.join(one.runs))}")
    kept = [f"{number} {state.lower()}" for (name, state), number in store.messages.counts().items() if name == queue]
    if kept:
        say(f"the store keeps {', '.join(sorted(kept))} of {queue}: purge ends only what waits in the engine")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show a bar where somebody sees it."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("purging", total=total)
        yield lambda: bar.advance(task)


@contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Note a Ctrl-C instead of breaking off in the middle of a message; a second one breaks off."""
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)
        signal.signal(number, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, before)
