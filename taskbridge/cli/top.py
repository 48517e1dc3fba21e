"""``taskbridge top``: everything at a glance, looked at again and again."""

from __future__ import annotations

import math
import os
import select
import signal
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from .common import as_json, on_a_bridge, opened, queue_names
from .frame import SORTS, Look, frame
from .screen import say, say_json
from .terminal import Line, Terminal

if TYPE_CHECKING:
    from ..clock import Clock
    from ..operations.lookout import Lookout
    from ..operations.overview import Overview

EXAMPLES = """\b
Examples:
  taskbridge top
  taskbridge top --interval 5 --queues emails,ledger --sort oldest
  taskbridge top --once                 # one frame, also where there is no terminal
  taskbridge top --json
"""

#: How long a look may take, all together, seconds: one of many, and the only one.
LIVE_S, ONCE_S = 3.5, 10.0

#: How many lines a frame has that goes to a log.
UNBOUNDED = 10_000


@click.command(epilog=EXAMPLES)
@click.option(
    "--interval", default=2.0, type=click.FloatRange(0.2, 3600), help="Look so often, seconds. Defaults to 2."
)
@click.option("--once", is_flag=True, help="Print one frame and end; it takes no terminal.")
@click.option("--queues", default="", callback=queue_names, help="Comma-separated; show these only.")
@click.option("--sort", default="waiting", type=click.Choice(SORTS), help="What queues are sorted by.")
@on_a_bridge
@as_json
def top(interval: float, once: bool, queues: list[str], sort: str, module: str | None, chdir: str, json: bool) -> None:
    """Show queues, workers, what runs and for how long, how fast it goes, what waits, runs, and migrations; live.

    Keys: q quits, p pauses, s sorts by another column. What does not answer is shown as it was last seen,
    and marked as old.

    Tasks are watched for their throughput while somebody looks: it takes ten seconds until there are figures.
    """
    from ..operations.lookout import Lookout

    live = not (once or json)
    if live and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("this is no terminal: expected --once, which prints one frame, or --json")
    look = Look(sort=sort, queues=queues, interval_s=interval, live=live)
    with opened([module], chdir) as bridge:
        lookout = Lookout(bridge, queues, patience_s=LIVE_S if live else ONCE_S)
        ended = _live(lookout, look, bridge.clock) if live else _once(lookout.look(), look, as_json=json)
        lookout.close()
    sys.stdout.flush()
    if live:
        os._exit(ended)  # a look that hangs would hold up the end
    raise SystemExit(ended)


def _once(seen: Overview, look: Look, *, as_json: bool) -> int:
    """Print one frame; returns the exit code."""
    if as_json:
        say_json(plain(seen))
        return int("store" in seen.old)
    width = os.get_terminal_size().columns if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "0") or 0) or 120
    for line in frame(seen, replace(look, width=width, height=UNBOUNDED)):
        say(line.text)
    return int("store" in seen.old)


def _live(lookout: Lookout, look: Look, clock: Clock) -> int:
    """Show it until somebody ends it; returns the exit code."""
    told, tells = os.pipe()
    looker = ThreadPoolExecutor(1, "top")
    with Terminal(clock) as terminal:
        view = View(terminal, lookout, look, looker, tells)
        while not terminal.marks.ended and not view.quit:
            view.show(clock.monotonic_s())
            typed = terminal.key(min(0.25, look.interval_s), told)
            view.obey(typed)
            _emptied(told)
        ended = terminal.marks.ended
    looker.shutdown(wait=False, cancel_futures=True)
    return 0 if ended in (0, signal.SIGINT) else 128 + ended


class View:
    """What is shown, and the look that is under way: one at a time, in a thread of its own."""

    def __init__(
        self, terminal: Terminal, lookout: Lookout, look: Look, looker: ThreadPoolExecutor, tells: int
    ) -> None:
        self.quit = False
        self._terminal = terminal
        self._lookout = lookout
        self._look = look
        self._looker = looker
        self._tells = tells
        self._asked: Future[Overview] | None = None
        self._next_s = 0.0
        self._seen: Overview | None = None
        self._drawn: tuple[Any, ...] = ()

    def show(self, now_s: float) -> None:
        """Draw what is new, unless the frame before is on its way yet."""
        self._hear(now_s)
        width, height = self._terminal.size
        drawn = (id(self._seen), width, height, self._look)
        if self._terminal.busy or (drawn == self._drawn and self._terminal.shows):
            return
        self._drawn = drawn
        look = replace(self._look, width=width, height=height)
        self._terminal.draw(frame(self._seen, look) if self._seen else [Line("taskbridge top: looking ...")])

    def obey(self, typed: str) -> None:
        """Do what was typed."""
        for key in typed:
            if key in "qQ\x04":
                self.quit = True
            elif key in "pP ":
                self._look = replace(self._look, paused=not self._look.paused)
            elif key in "sS":
                after = SORTS[(SORTS.index(self._look.sort) + 1) % len(SORTS)]
                self._look = replace(self._look, sort=after)

    def _hear(self, now_s: float) -> None:
        if self._asked and self._asked.done():
            found, self._asked = self._asked.result(), None
            if not (self._look.paused and self._seen):  # what is paused stands still, however late its last look ends
                self._seen = found
        if self._asked is None and now_s >= self._next_s and not self._look.paused:
            self._next_s = now_s + self._look.interval_s
            self._asked = self._looker.submit(self._lookout.look)
            self._asked.add_done_callback(lambda _: os.write(self._tells, b"."))


def plain(seen: Overview) -> dict[str, Any]:
    """Return an overview as JSON has it: what never answered is null."""
    built = asdict(seen)
    built["old"] = {name: None if math.isinf(age_s) else round(age_s, 1) for name, age_s in seen.old.items()}
    built["throughput"]["by_backend"] = seen.throughput.by_backend
    return built


def _emptied(told: int) -> None:
    while select.select([told], [], [], 0)[0]:
        os.read(told, 512)
