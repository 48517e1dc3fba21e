"""Look at what may hang, in a thread of its own, so that it holds nobody up who looks at something else, too."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from logging import Logger
from threading import Lock
from typing import Generic, TypeVar

from ..errors import TaskbridgeError

T = TypeVar("T")


class Reader(Generic[T]):
    """Looks in a thread of its own, at one thing at a time: connections belong to threads, and a server may hang.

    ``why`` says why the last answer did not come; it is empty when it did.

    Args:
        what: is looked at, in words.
        log: is told of a failure that is new; best by who has nobody to tell. Defaults to nobody.
    """

    def __init__(self, what: str, log: Logger | None = None) -> None:
        self.why = ""
        self._what = what
        self._log = log
        self._lock = Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._asked: Future[T] | None = None

    def ask(self, look: Callable[[], T]) -> Future[T]:
        """Begin to look, unless the last look has not ended: then that one is shared."""
        with self._lock:
            self._thread = self._thread or ThreadPoolExecutor(1, f"gauges of {self._what}")
            if self._asked is None or self._asked.done():
                self._asked = self._thread.submit(look)
            return self._asked

    def answer(self, asked: Future[T], patience_s: float) -> tuple[bool, T | None]:
        """Wait for it; whether it came, and what it was."""
        try:
            found = asked.result(max(0.0, patience_s))
        except TimeoutError:
            return self._failed("no answer in time")
        except TaskbridgeError as error:
            return self._failed(str(error))
        except Exception as error:  # our own fault, or a vendor's: the rest is shown
            if self._log:
                self._log.exception("the gauges of %s cannot be read", self._what)
            self.why = f"{type(error).__name__}: {error}"
            return False, None
        self.why = ""
        return True, found

    def close(self) -> None:
        """End the thread, when its look has ended."""
        with self._lock:
            if self._thread:
                self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = self._asked = None

    def _failed(self, why: str) -> tuple[bool, None]:
        if self._log and not self.why:
            self._log.warning("the gauges of %s are not shown until it answers: %s", self._what, why)
        self.why = why
        return False, None
