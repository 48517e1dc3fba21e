"""The soft timeout: raises ``SoftTimeout`` inside a task whose time is over, and each second until it has left.

By the process's own timer (``setitimer`` and SIGALRM), so only in its main thread, and only while the task's own code
runs: a signal that falls between the task's return and the end of the timer is nothing. It ends ``sleep``, a blocking
socket and a loop in Python, but no C code that looks for no signals, and what swallows it (``__del__``, a bare
``except``) meets it again. In a coroutine it is raised where the coroutine waits. Spans are seconds.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # it has no stubs
import inspect
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from .errors import SoftTimeout

if TYPE_CHECKING:
    import asyncio

#: What ``signal.signal`` calls. That makes enums of both handlers, by way of an exception each: ten times the work.
#: Source: CPython, Lib/signal.py.
set_handler: Callable[[int, Any], Any] = _signal.signal

#: How long a task that did not leave is left alone, seconds.
AGAIN_S = 1.0


def can_ring() -> bool:
    """Whether a soft timeout can be kept in this thread."""
    return threading.current_thread() is threading.main_thread()


class Alarm:
    """The timer of one attempt.

    Args:
        after_s: how long until it rings first; 0 is never.
        await_: runs a coroutine to its end.
    """

    def __init__(self, after_s: float, await_: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self.armed = False
        self._after_s = after_s
        self._await = await_
        self._waiting: Waiting | None = None

    def around(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call the function under the timer and return what it returns; without a time there is no timer."""
        if not self._after_s:
            result = function(*args, **kwargs)
            return self._await(result) if inspect.iscoroutine(result) else result
        if not hasattr(function, "__code__"):  # its own frame is none of Python's, so it gets one
            function, args = _called, (function, *args)
        before = set_handler(signal.SIGALRM, self._ring)
        try:
            self.armed = True
            signal.setitimer(signal.ITIMER_REAL, self._after_s, AGAIN_S)
            result = function(*args, **kwargs)
            self.armed = False
            if not inspect.iscoroutine(result):
                return result
            self._waiting = Waiting(result, self)
            return self._await(self._waiting)
        finally:
            self.armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            if before is not None:  # C code had set it, and Python cannot give it back
                set_handler(signal.SIGALRM, before)

    def error(self) -> SoftTimeout:
        """Return what is raised."""
        return SoftTimeout(f"soft timeout after {self._after_s:g} s")

    def _ring(self, _signal: int, frame: FrameType | None) -> None:
        if not self.armed:
            return
        in_the_task = frame is None or frame.f_code not in _OURS
        if self._waiting is not None and not self._waiting.wants_raising():
            return
        if in_the_task:
            raise self.error()


class Waiting(Coroutine[Any, Any, Any]):
    """A task's coroutine under the timer: ``SoftTimeout`` is thrown in where it waits.

    The event loop knows only cancelling, so that is what it is asked for; what it throws in then is exchanged.
    """

    def __init__(self, inner: Coroutine[Any, Any, Any], alarm: Alarm) -> None:
        self._inner = inner
        self._alarm = alarm
        self._task: asyncio.Task[Any] | None = None
        self._steps = False
        self._asked = self._cancelled = False

    def send(self, value: Any) -> Any:
        if self._task is None:
            self._begin()
        self._cancelled = self._asked = False  # something on the way has swallowed it; a second later it comes again
        return self._step(self._inner.send, value)

    def throw(self, error: Any, *more: Any) -> Any:
        from asyncio import CancelledError

        if self._cancelled and self._task and isinstance(error, CancelledError):
            self._task.uncancel()
            error, more = self._alarm.error(), ()
        self._cancelled = self._asked = False
        return self._step(self._inner.throw, error, *more)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Any:
        return self

    def wants_raising(self) -> bool:
        """Whether the code that runs now is to be interrupted; if not, the coroutine will be, where it waits.

        What runs beside the coroutine is interrupted only when, a second later, it still keeps the loop from going on.
        """
        from asyncio import current_task

        if self._steps:
            return True
        if self._task is None:
            return False
        loop = self._task.get_loop()
        if self._asked:
            return current_task(loop) is not None
        self._asked = True
        loop.call_soon_threadsafe(self._cancel)
        return False

    def _begin(self) -> None:
        from asyncio import current_task

        self._task = current_task()
        self._alarm.armed = True

    def _cancel(self) -> None:
        if self._task is not None and self._alarm.armed:
            self._cancelled = True
            self._task.cancel()

    def _step(self, go: Callable[..., Any], *what: Any) -> Any:
        self._steps = True
        try:
            return go(*what)
        except BaseException:  # the coroutine has come to its end
            self._alarm.armed = False
            raise
        finally:
            self._steps = False


def _called(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


#: What the alarm never interrupts: between these and the task lie its results.
_OURS = frozenset(
    one.__code__
    for one in (Alarm.around, Alarm.error, Waiting.send, Waiting.throw, Waiting._step, Waiting._begin, Waiting._cancel)
)
