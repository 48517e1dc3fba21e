"""What users have run around their tasks: hooks in declared order, and middleware around the call. No I/O of its own.

``execution`` calls it inside ``running``; a worker calls ``start`` before it takes its first message. What may stop a
run raises: ``before_task`` and middleware. What only looks on cannot: ``after_task`` and ``on_failure`` are logged.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from .current import Current
from .definition import Definition
from .options import check_function
from .outcome import Again, Ended, Outcome

log = logging.getLogger("taskbridge.hooks")

#: Runs the rest: the middleware further in, then the task; returns its result, of an ``async def`` task too.
CallNext = Callable[[], Any]

#: Returns the result of the run. It stops the run by raising, or by not calling next.
Middleware = Callable[[CallNext, Current], Any]

#: What an integration does before a run and after it, told which task it is.
Outside = Callable[[Definition], None]

AfterTask = Callable[[Current, Outcome], object]
BeforeTask = Callable[[Current], object]
OnFailure = Callable[[Current, BaseException, bool], object]
OnWorkerStart = Callable[[], object]

F = TypeVar("F", bound=Callable[..., object])


class Hooks:
    """The hooks and the middleware of one bridge."""

    def __init__(self) -> None:
        self._outside: list[tuple[Outside, Outside]] = []
        self._before: list[BeforeTask] = []
        self._after: list[AfterTask] = []
        self._failure: list[OnFailure] = []
        self._middleware: list[Middleware] = []
        self._to_start: deque[OnWorkerStart] = deque()
        self._starting = threading.Lock()

    def before_task(self, hook: F) -> F:
        return _checked(self._before.append, hook, "before_task", "current")

    def after_task(self, hook: F) -> F:
        return _checked(self._after.append, hook, "after_task", "current", "outcome")

    def on_failure(self, hook: F) -> F:
        return _checked(self._failure.append, hook, "on_failure", "current", "error", "final")

    def on_worker_start(self, hook: F) -> F:
        return _checked(self._to_start.append, hook, "on_worker_start")

    def middleware(self, layer: F) -> F:
        return _checked(self._middleware.append, layer, "middleware", "call_next", "current")

    def outside(self, before: Outside, after: Outside) -> None:
        """Call these around every hook, whatever was declared before: for integrations. Twice is as good as once."""
        if (before, after) not in self._outside:
            self._outside.append((before, after))

    def start(self) -> None:
        """Call the start hooks, each once in this process; one that raises is called again next time."""
        if self._to_start:
            with self._starting:
                while self._to_start:
                    self._to_start[0]()
                    self._to_start.popleft()

    def begin(self, definition: Definition, me: Current) -> None:
        """Call what comes before a run; what one raises is the attempt's failure, and those after it are not called."""
        for before, _ in self._outside:
            before(definition)
        for hook in self._before:
            hook(me)

    def around(self, definition: Definition, me: Current, call: CallNext) -> Any:
        """Call inside the middleware, the bridge's outermost, and return the result."""
        for layer in reversed((*self._middleware, *definition.options.middleware)):
            call = partial(layer, call, me)
        return call()

    def fail(self, me: Current, error: BaseException, outcome: Outcome) -> None:
        """Tell of a failed attempt; a signal that spends none, or drops the message, is no failure."""
        final = isinstance(outcome, Ended) and outcome.how == "dead"
        if final or (isinstance(outcome, Again) and outcome.counted):
            for hook in self._failure:
                _harmless(hook, me, error, final)

    def end(self, definition: Definition, me: Current, outcome: Outcome) -> None:
        """Tell how a run ended, whatever became of it."""
        for hook in self._after:
            _harmless(hook, me, outcome)
        for _, after in self._outside:
            _harmless(after, definition)


def _checked(append: Callable[[Any], None], hook: F, kind: str, *takes: str) -> F:
    check_function(kind, hook, *takes)
    append(hook)
    return hook


def _harmless(hook: Callable[..., object], *told: object) -> None:
    try:
        hook(*told)
    except (Exception, SystemExit):
        log.exception("%r failed; what became of its message stands", hook)
