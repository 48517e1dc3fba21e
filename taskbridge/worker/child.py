"""A child: a fork of the template that serves one slot until told to stop, or until its template is gone."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from types import FrameType

from ..backend import Runner
from ..bridge import Bridge
from ..patience import patiently
from .bell import Bell
from .loop import Loop, Source
from .news import Hearer
from .slots import Slot
from .tenure import Tenure

log = logging.getLogger("taskbridge.worker")

#: What runs attempts inside the engines' hooks, by backend; made before the fork, started after it.
Runners = Mapping[str, Runner]

#: Source: Linux prctl(2), PR_SET_PDEATHSIG.
PR_SET_PDEATHSIG = 1


def serve(
    bridge: Bridge,
    runners: Runners,
    queues: list[str],
    owner: str,
    slot: Slot,
    bell: tuple[int, int],
    tenure: Tenure,
    news: Hearer,
) -> int:
    """Be a child: run the loop, and return the exit code. Called right after the fork, with SIGTERM blocked."""
    waker = Bell(bell)
    sources = [
        Source(backend=name, consumer=bridge.backend(name).consumer(queues, owner, bridge.store), runner=runner)
        for name, runner in runners.items()
    ]
    loop = Loop(
        owner,
        sources,
        bridge.runtime,
        slot,
        waker.wait,
        waker.ring,
        queues=queues,
        watch=slot,
        tenure=tenure,
        records=lambda _: slot.records,
    )
    _on_terminate(loop)
    faulthandler.register(signal.SIGUSR1)  # the stacks of all threads go to the log, whoever holds the GIL
    with closing(bridge):
        bridge.clock.agree_with(patiently(bridge.store.now_ms, bridge.clock))
        for source in sources:
            source.runner.start()
        started = _started(bridge)
        if started:
            news.start()
            loop.run()
        for source in sources:
            source.runner.stop()
        news.rest()
    return 0 if started else 1


def _started(bridge: Bridge) -> bool:
    try:
        bridge.hooks.start()
    except (Exception, SystemExit):
        log.exception("on_worker_start failed: this child ends having taken nothing, and another is started")
        return False
    return True


def _on_terminate(loop: Loop) -> None:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        loop.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def die_with(parent: int) -> None:
    """Have the kernel kill us when the process that started us dies; elsewhere the lost claim stops a child."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def forked(run: Callable[[], int]) -> int:
    """Fork; return the child's pid here, run and exit there."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = run()
    except BaseException:
        log.exception("the child died of its own error")
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
