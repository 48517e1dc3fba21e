"""The supervisor: starts a template, orders children from it, watches, replaces and drains them.

Its main thread does no I/O but the channel to the template, so nothing that is away delays it; what talks to store and
brokers runs in threads (``keep.py``, the relay, one watch per backend).
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
from types import FrameType

import msgspec

from ..clock import SystemClock
from ..errors import ConfigError
from .keep import Keep
from .limits import Limits
from .options import Exited, Fork, Forked, Ready, Refused, WorkerOptions, line, word
from .posts import Post
from .slots import SLOT_SIZE, Slot, shared_memory

log = logging.getLogger("taskbridge.worker")

#: How often the supervisor looks around, seconds.
TICK_S = 0.05

#: How long to leave an absent store alone at the start, seconds.
AWAY_S = 1.0

#: A child that ends sooner than this, with nothing settled, is not replaced at once: longer each time up to the cap.
TOO_SOON_S = 2.0
PATIENCE_S = 10.0

#: How long children that were killed may take to be gone, seconds, before the template is killed too.
GONE_S = 5.0

#: A child that runs one task for so long holds nothing else in hand meanwhile, seconds.
LONG_RUN_S = 1.0

#: A child that has work waiting, and takes none for so long, is deaf, seconds.
DEAF_S = 30.0


class Supervisor:
    """One worker: ``options.processes`` children and what keeps them.

    Args:
        options: what it is to be.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._clock = SystemClock()
        with tempfile.TemporaryFile() as page:
            page.truncate(options.processes * SLOT_SIZE)
            self._page = os.dup(page.fileno())
        memory = shared_memory(self._page, options.processes)
        self._bell = os.pipe()
        for end in self._bell:
            os.set_blocking(end, False)
        self._limits = Limits(options.hard_memory_mb)
        self._posts = [Post(number, Slot(memory, number)) for number in range(options.processes)]
        self._stops = 0
        self._keep: Keep | None = None
        self._template: subprocess.Popen[bytes] | None = None
        self._template_due_s = 0.0
        self._channel = socket.socket()
        self._heard = b""

    def run(self) -> int:
        """Serve until told to stop; returns the exit code.

        Raises:
            ConfigError: the template cannot serve, and says why.
        """
        self._listen_for_signals()
        ready = self._start_template()
        if ready is None:
            return 0
        self._keep = Keep(self._options, ready, self._posts, self._bell[1])
        while not self._stops and not self._keep.store_is_fit():
            self._clock.sleep(AWAY_S)
        self._keep.start()
        try:
            log.info("serving %s with %d processes", ", ".join(ready.queues), len(self._posts))
            while not self._stops:
                self._tick()
            self._drain()
        finally:  # its threads would keep a supervisor that failed alive, and its claims
            self._keep.stop()
            self._channel.close()
        return 0

    def _tick(self) -> None:
        self._hear()
        now_s = self._clock.monotonic_s()
        if not self._template_lives():
            self._replace_template(now_s)
            return
        for post in self._posts:
            if post.wants_child(now_s):
                self._order(post, now_s)
            elif post.pid:
                self._limits.look(post, now_s)
                self._look_at(post, now_s)

    def _order(self, post: Post, now_s: float) -> None:
        post.ordered(self._owner(post), now_s)
        try:
            self._channel.sendall(line(Fork(slot=post.number, owner=post.owner)))
        except OSError as error:
            log.debug("the template is gone, as the next tick will see: %s", error)

    def _look_at(self, post: Post, now_s: float) -> None:
        assert self._keep is not None
        running = post.slot.running()
        if running and not post.hand_emptied and now_s - running[0].since_s > LONG_RUN_S:
            post.hand_emptied = True
            self._keep.give_back_hand(post)
        elif not running:
            post.hand_emptied = False
            if self._keep.work_waits(DEAF_S) and now_s - post.slot.last_life_s > DEAF_S:
                log.error("child %d has work waiting and takes none: replaced", post.pid)
                post.kill()

    def _drain(self) -> None:
        """Let children finish within the grace time; give back what is unfinished then."""
        assert self._keep is not None
        log.info("draining: at most %.0f s; a second signal ends it at once", self._options.grace_s)
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
        for post in self._posts:
            post.draining = True
            post.kill()
        deadline_s = self._clock.monotonic_s() + GONE_S
        while self._children_left():
            if self._clock.monotonic_s() > deadline_s and self._template:
                self._template.kill()
            self._hear()

    def _children_left(self) -> bool:
        """Whether children are there or on their way; a template that died took them along."""
        if not self._template_lives():
            self._all_gone()
        return any(post.taken for post in self._posts)

    def _hear(self) -> None:
        """Take what the template says, waiting at most one tick."""
        self._channel.settimeout(TICK_S)
        try:
            more = self._channel.recv(4096)
        except (TimeoutError, InterruptedError):
            return
        except OSError:
            more = b""
        if not more:
            self._clock.sleep(TICK_S)
            return
        *lines, self._heard = (self._heard + more).split(b"\n")
        for text in lines:
            said = word(text)
            if isinstance(said, Forked):
                self._came(self._posts[said.slot], said.pid)
            elif isinstance(said, Exited):
                for post in self._posts:
                    if post.pid == said.pid:
                        self._gone(post, said.code)

    def _came(self, post: Post, pid: int) -> None:
        post.forked(pid)
        if post.draining:
            post.kill()
        elif self._stops:
            post.terminate()

    def _all_gone(self) -> None:
        for post in self._posts:
            if post.taken:
                self._gone(post, -signal.SIGKILL)

    def _gone(self, post: Post, code: int) -> None:
        assert self._keep is not None
        if code and not post.draining and not post.ended_for:
            log.warning("child %d ended with %s", post.pid, _told(code))
        self._keep.settle(post)
        post.vacated(self._clock.monotonic_s(), too_soon_s=TOO_SOON_S, patience_s=PATIENCE_S)

    def _start_template(self) -> Ready | None:
        """Start one and wait for it; None when we are told to stop first."""
        ours, theirs = socket.socketpair()
        self._channel, self._heard = ours, b""
        fds = (theirs.fileno(), self._page, *self._bell)
        options = msgspec.json.encode(self._options).decode()
        self._template = subprocess.Popen(
            [sys.executable, "-m", "taskbridge.worker.template", *map(str, fds), options],
            pass_fds=fds,
            start_new_session=True,  # Ctrl-C is for us; we tell the children
            cwd=self._options.directory,
        )
        theirs.close()
        said = self._first_word()
        if isinstance(said, Refused):
            raise ConfigError(said.why)
        if said is None:
            self._template.kill()
        assert said is None or isinstance(said, Ready)
        return said

    def _first_word(self) -> object:
        self._channel.settimeout(TICK_S)
        text = b""
        while not text.endswith(b"\n"):
            if self._stops:
                return None
            try:
                more = self._channel.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                more = b""
            if not more:
                raise ConfigError("the process that imports the tasks died before it could say why; see the log above")
            text += more
        return word(text)

    def _replace_template(self, now_s: float) -> None:
        """The template died, and its children with it."""
        self._all_gone()
        if now_s < self._template_due_s:
            return
        log.error("the template process died; starting another")
        self._channel.close()
        try:
            self._start_template()
        except ConfigError as error:
            log.error("no new template, trying again in %.0f s: %s", PATIENCE_S, error)  # noqa: TRY400
            self._template_due_s = self._clock.monotonic_s() + PATIENCE_S

    def _template_lives(self) -> bool:
        return self._template is not None and self._template.poll() is None

    def _owner(self, post: Post) -> str:
        assert self._keep is not None
        return f"{self._keep.name}.{post.number}.{post.boots + 1}"

    def _listen_for_signals(self) -> None:
        def stop(_signal: int, _frame: FrameType | None) -> None:
            self._stops += 1

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)


def _told(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
