"""The template: imports the tasks once, opens nothing, and forks the children.

Its own process, started by the supervisor, so that the supervisor never imports the user's code. It hears and tells one
JSON word a line over a socket; when that closes, the supervisor wants no more of us, and our children go with us.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict
from types import FrameType

import msgspec

from ..announcement import known_of, limits_of, tasks_of
from ..backend import Runner, runner_of
from ..bridge import Bridge
from ..clock import milliseconds
from ..enqueue import Sender
from ..errors import NotSupported, TaskbridgeError
from ..events import KINDS
from ..observe.logs import dress, gather, log_event, set_up_logs
from ..operations.hints import hints
from ..policies.payload import refuse_payload
from ..policies.timeout import refuse_tasks
from ..schedules.declared import plans_of
from .child import Runners, die_with, forked, serve
from .memory import own_memory
from .modules import import_bridge
from .news import Hearer
from .options import Exited, Fork, Forked, Ready, Refused, Word, WorkerOptions, line, word
from .slots import Slot, shared_memory, slots_for
from .tenure import Tenure

log = logging.getLogger("taskbridge.worker")

#: The pipe of each group's bell: where it is heard, and where it is struck.
Bells = Mapping[str, tuple[int, int]]


class Template:
    """Waits for orders to fork, and for children to end."""

    def __init__(
        self, channel: socket.socket, memory_fd: int, news: socket.socket, bells: Bells, options: WorkerOptions
    ) -> None:
        self._channel = channel
        self._news = news
        self._options = options
        self._memory = shared_memory(memory_fd, slots_for(options.processes))
        self._bells = bells
        self._children: set[int] = set()

    def run(self) -> None:
        """Import, say so, then fork as told until the supervisor is gone."""
        try:
            if "metrics" in self._options.observers:
                _seat_metrics()
            bridge = import_bridge(self._options.modules, self._options.directory)
            names = self._options.backends or [bridge.settings.backend]
            runners = {name: _runner(bridge, name) for name in names}
            bridge.observe(*self._options.observers)
            _load_the_rest(bridge, names)
            ready = self._look(bridge)
        except TaskbridgeError as error:
            self._tell(Refused(why=str(error)))
            return
        for hint in hints(bridge):
            log.warning("%s", hint)
        dress(logging.getLogger().handlers)  # the modules may have brought their own
        bridge.events.subscribe(log_event)
        signal.signal(signal.SIGCHLD, _wake)
        signal.siginterrupt(signal.SIGCHLD, True)
        gc.collect()
        gc.freeze()
        self._tell(ready)
        self._listen(bridge, runners, ready.queues)

    def _look(self, bridge: Bridge) -> Ready:
        """See what there is to serve.

        Raises:
            ConfigError: a schedule that cannot be.
        """
        of_tasks = sorted({one.options.queue for one in bridge.definitions.values()})
        queues = {group.name: group.queues or of_tasks for group in self._options.groups}
        settings = msgspec.Raw(msgspec.json.encode(_plain(bridge)))
        # of the bridge's parts, and not its own sender, which asks the store for the time
        sender = Sender(
            settings=bridge.settings, clock=bridge.clock, store=lambda: bridge.store, backend=bridge.backend
        )
        schedules = plans_of(bridge.definitions, sender)
        return Ready(
            tasks=tasks_of(bridge.definitions),
            queues=queues,
            settings=settings,
            schedules=schedules,
            limits=limits_of(bridge.definitions),
            known=known_of(bridge.definitions, bridge.settings.timeouts),
            hears=[name for name, kind in KINDS.items() if bridge.subscribers.hears(kind)],
            handed=bridge.observing.hand_over,
        )

    def _listen(self, bridge: Bridge, runners: Runners, queues: dict[str, list[str]]) -> None:
        self._channel.settimeout(0.1)
        heard = b""
        while True:
            self._reap()
            try:
                more = self._channel.recv(4096)
            except (TimeoutError, InterruptedError):
                continue
            if not more:
                return
            *lines, heard = (heard + more).split(b"\n")
            for text in lines:
                order = word(text)
                if isinstance(order, Fork):
                    self._fork(order, bridge, runners, queues)

    def _fork(self, order: Fork, bridge: Bridge, runners: Runners, queues: dict[str, list[str]]) -> None:
        slot = Slot(self._memory, order.slot)
        parent = os.getpid()

        def child() -> int:
            self._channel.close()
            die_with(parent)
            gather(logging.getLogger().handlers, getattr(bridge.store, "server", None))
            tenure = Tenure(self._options.max_tasks, self._options.max_memory_mb, own_memory())
            bell = self._bells[order.group]
            news = Hearer(self._news, bridge)
            return serve(bridge, runners, queues[order.group], order.owner, slot, bell, tenure, news)

        pid = forked(child)
        self._children.add(pid)
        self._tell(Forked(slot=order.slot, pid=pid))

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._children.discard(pid)
            self._tell(Exited(pid=pid, code=os.waitstatus_to_exitcode(status)))

    def _tell(self, told: Word) -> None:
        self._channel.settimeout(None)
        self._channel.sendall(line(told))
        self._channel.settimeout(0.1)


def _runner(bridge: Bridge, name: str) -> Runner:
    backend = bridge.backend(name)
    if not backend.capabilities.processes:
        raise NotSupported(f"the backend {name!r} lives in one process: run its tasks with taskbridge.testing.Worker")
    refuse_tasks(bridge.definitions, bridge.settings.timeouts, backend.capabilities, f"the backend {name!r}")
    refuse_payload(bridge.settings.max_payload, backend.capabilities, f"the backend {name!r}")
    return runner_of(backend, bridge.definitions)


def _load_the_rest(bridge: Bridge, names: list[str]) -> None:
    """Load what each child would load for itself: before the fork it is in memory once. Opens nothing."""
    for name in names:
        bridge.backend(name).consumer([], "", bridge.store)  # reads their scripts
    "localhost".encode("idna")  # what the socket module looks hosts up with


def _seat_metrics() -> None:
    """Have the metrics of the tasks' modules kept where ours are, before they are declared."""
    from ..observe.metrics.seats import seat_metrics  # prometheus_client, which few have

    seat_metrics()


def _plain(bridge: Bridge) -> dict[str, object]:
    settings = bridge.settings
    plain: dict[str, object] = {name: getattr(settings, name) for name in ("backend", "broker_url", "store_url")}
    plain |= {name: getattr(settings, name) for name in ("namespace", "queue_prefix", "max_payload")}
    plain["store_wait"] = settings.store_wait
    plain["store_wait_timeout"] = milliseconds(settings.store_wait_timeout) / 1000
    plain["observers"] = settings.observers
    plain["sentry_crons"] = settings.sentry_crons
    plain["backends"] = {name: asdict(one) for name, one in settings.backends.items()}
    plain["shares"] = {name: {**one.to, "key": one.key} for name, one in settings.shares.items()}
    return plain


def _wake(_signal: int, _frame: FrameType | None) -> None:
    """Only interrupts the wait; children are reaped in the loop."""


def main() -> None:
    """Start as the supervisor says: its pid; options as JSON; and by file descriptor socket, memory, news, bells."""
    supervisor, channel, memory, news, *ends = map(int, sys.argv[1:-1])
    die_with(supervisor)  # an import may take its time, and does not hear that the channel was closed
    options = msgspec.json.decode(sys.argv[-1], type=WorkerOptions)
    bells = dict(zip((group.name for group in options.groups), zip(ends[::2], ends[1::2], strict=True), strict=True))
    for ignored in (signal.SIGINT, signal.SIGHUP):  # they are for the supervisor
        signal.signal(ignored, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # a child hears it as soon as it can obey
    set_up_logs(options.log_level, options.log_format)
    Template(socket.socket(fileno=channel), memory, socket.socket(fileno=news), bells, options).run()


if __name__ == "__main__":
    main()
