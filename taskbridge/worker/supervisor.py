"""The supervisor: has a template started, orders children from it, watches, replaces and drains them.

Its main thread does no I/O but the channels to templates, so nothing that is away delays it; what talks to store and
brokers runs in threads (``keep.py``, the relay, one watch per backend and group). A reload brings a new generation on:
when that can serve, the children of the older ones make room, in each group one after another (``succession.py``).
"""

from __future__ import annotations

import logging
import os
import select
import signal
import tempfile
from functools import partial
from types import FrameType

from ..clock import SystemClock
from ..orders import EMPTY
from .changes import watch_code
from .generation import GONE_S, Generation
from .limits import Limits
from .meter import Meter
from .options import Exited, Forked, WorkerOptions
from .posts import Post
from .roster import Roster
from .slots import SLOT_SIZE, Slot, shared_memory, slots_for
from .succession import Succession

log = logging.getLogger("taskbridge.worker")

#: How often the supervisor looks around, seconds.
TICK_S = 0.05

#: A child that ends sooner than this, with nothing settled, is not replaced at once: longer each time up to the cap.
TOO_SOON_S = 2.0
PATIENCE_S = 10.0

#: A child that runs one task for so long holds nothing else in hand meanwhile, seconds.
LONG_RUN_S = 1.0

#: A child that has work waiting, and takes none for so long, is deaf, seconds.
DEAF_S = 30.0


class Supervisor:
    """One worker: the children of ``options.groups`` and what keeps them.

    Args:
        options: what it is to be.
        meter: who looks at its processes. Defaults to nobody.
    """

    def __init__(self, options: WorkerOptions, meter: Meter | None = None) -> None:
        self._options = options
        self._meter = meter
        self._clock = SystemClock()
        slots = slots_for(options.processes)
        with tempfile.TemporaryFile() as page:
            page.truncate(slots * SLOT_SIZE)
            self._page = os.dup(page.fileno())
        memory = shared_memory(self._page, slots)
        self._bells = {group.name: _bell() for group in options.groups}
        self._limits = Limits(options.hard_memory_mb)
        self._roster = Roster(options.groups, partial(Slot, memory), slots)
        self._posts = self._roster.posts
        self._succession = Succession(self._posts, self._start, PATIENCE_S)
        self._orders = EMPTY
        self._stops = 0
        self._has_terminal = os.isatty(0)

    def run(self) -> int:
        """Serve until told to stop; returns the exit code.

        Raises:
            TaskbridgeError: the first template, or the store, cannot serve, and says why.
        """
        if self._options.reload:
            watch_code(self._options.directory, self._succession.ask)
        self._listen_for_signals()
        try:
            while not self._stops:
                self._tick()
            self._drain()
        finally:  # its threads would keep a supervisor that failed alive, and its claims
            self._succession.end()
        return 0

    def _tick(self) -> None:
        self._hear()
        now_s = self._clock.monotonic_s()
        self._count_the_dead()
        self._succession.step(now_s)
        self._obey(now_s)
        for post in self._posts:
            if post.wants_child(now_s):
                self._succession.order(post, now_s)
            elif post.pid:
                self._limits.look(post, now_s)
                self._look_at(post, now_s)
        self._succession.make_room(now_s)
        self._measure(now_s)

    def _obey(self, now_s: float) -> None:
        """Do what operators ask of this worker, by any of the names that it has had.

        After a reload what was read before stands until the new keep has read it, too.
        """
        keep = self._succession.serving
        if keep is None or keep.orders is EMPTY or keep.orders is self._orders:
            return
        self._orders = keep.orders
        if self._orders.stops_one_of(self._succession.names) and not self._stops:
            log.info("an operator asked this worker to end")
            self._stops += 1
        self._roster.obey(self._orders, self._succession.names, now_s)

    def _measure(self, now_s: float) -> None:
        if self._meter is not None:
            self._meter.look(self._roster.wanted, self._posts, self._succession.keeps, now_s)

    def _look_at(self, post: Post, now_s: float) -> None:
        keep = post.keep
        running = post.slot.running()
        self._end_cancelled(post)
        if running and not post.hand_emptied and now_s - running[0].since_s > LONG_RUN_S:
            post.hand_emptied = True
            keep.give_back_hand(post)
        elif not running:
            post.hand_emptied = False
            if keep.work_waits(post.group, DEAF_S) and now_s - post.slot.last_life_s > DEAF_S:
                log.error("child %d has work waiting and takes none: replaced", post.pid)
                post.end_for("deaf")
        if post.retiring_for_s(now_s) > self._options.grace_s and not post.draining:
            log.warning("the grace time of child %d is over: what is unfinished is given back", post.pid)
            post.draining = True
            post.kill()

    def _end_cancelled(self, post: Post) -> None:
        """End a child that runs what an operator has cancelled and wants ended."""
        if post.pid and not post.ended_for and (id := post.keep.to_end(post.slot.running())):
            log.warning("child %d is ended: %s was cancelled", post.pid, id)
            post.end_for("cancel")

    def _drain(self) -> None:
        """Let children finish within the grace time; give back what is unfinished then."""
        log.info("draining: at most %.0f s; a second signal ends it at once", self._options.grace_s)
        self._succession.give_up_the_next()
        deadline_s = self._clock.monotonic_s() + self._options.grace_s
        for post in self._posts:
            post.terminate()
        while self._children_left() and self._stops < 2:
            if self._clock.monotonic_s() > deadline_s:
                log.warning("the grace time is over: what is unfinished is given back")
                break
            self._hear()
            for post in self._posts:
                self._limits.look(post, self._clock.monotonic_s())
                self._end_cancelled(post)
            self._measure(self._clock.monotonic_s())
        for post in self._posts:
            post.draining = True
            post.kill()
        deadline_s = self._clock.monotonic_s() + GONE_S
        while self._children_left():
            if self._clock.monotonic_s() > deadline_s:
                self._succession.kill()
            self._hear()

    def _children_left(self) -> bool:
        """Whether children are there or on their way; a template that died took them along."""
        self._count_the_dead()
        return any(post.taken for post in self._posts)

    def _hear(self) -> None:
        """Take what the templates say, waiting at most one tick."""
        generations = self._succession.generations
        channels = [one.channel for one in generations if not one.ended]
        if channels:
            select.select(channels, [], [], TICK_S)
        else:
            self._clock.sleep(TICK_S)
        for generation in generations:
            for said in generation.hear():
                if isinstance(said, Forked):
                    self._came(self._posts[said.slot], said.pid)
                else:
                    self._went(generation, said)

    def _came(self, post: Post, pid: int) -> None:
        post.forked(pid)
        if post.draining:
            post.kill()
        elif self._stops:
            post.terminate()
        elif not post.wanted:
            post.retire(self._clock.monotonic_s())

    def _went(self, generation: Generation, said: Exited) -> None:
        for post in generation.posts:
            if post.pid == said.pid:
                self._gone(post, said.code)

    def _count_the_dead(self) -> None:
        """A template that died took its children along."""
        for generation in self._succession.generations:
            for post in generation.posts if generation.ended else []:
                if post.taken:
                    self._gone(post, -signal.SIGKILL, "template")

    def _gone(self, post: Post, code: int, why: str = "") -> None:
        if code and not post.draining and not post.ended_for:
            log.warning("child %d ended with %s", post.pid, _told(code))
        post.keep.settle(post)
        now_s = self._clock.monotonic_s()
        if self._meter is not None and not self._stops:
            self._meter.went(post, why or post.went_for(code), now_s)
        post.vacated(now_s, too_soon_s=TOO_SOON_S, patience_s=PATIENCE_S)

    def _start(self) -> Generation:
        return Generation(self._options, self._posts, self._page, self._bells)

    def _listen_for_signals(self) -> None:
        def stop(_signal: int, _frame: FrameType | None) -> None:
            self._stops += 1

        def reload(number: int, frame: FrameType | None) -> None:
            if self._has_terminal and not os.isatty(0):  # nobody asks for a reload: the terminal was closed
                stop(number, frame)
            else:
                self._succession.ask()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, reload)


def _bell() -> tuple[int, int]:
    bell = os.pipe()
    for end in bell:
        os.set_blocking(end, False)
    return bell


def _told(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
