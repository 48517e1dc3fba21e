"""Run: the scopes of one attempt, made when somebody looks at them.

Most tasks tell Sentry nothing. To set a context variable takes long beside all else that is done for them here, so
scopes that nobody has looked at stay where they are, and are the next attempt's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import get_ident
from typing import TYPE_CHECKING

from sentry_sdk.scope import Scope
from sentry_sdk.scope import _current_scope as current_scope
from sentry_sdk.scope import _isolation_scope as isolation_scope

from ...current import running_here
from ...outcome import Ended, Outcome
from ...trace import Entered
from . import native
from .lazy import Lazy

if TYPE_CHECKING:
    from sentry_sdk.client import BaseClient
    from sentry_sdk.types import Event, Hint

    from .runs import Runs


class Run(Lazy):
    """The scope of one attempt, from when it begins until it is left.

    One that nobody has looked at stays where it is when it is left, for the next attempt of its thread. Until then it
    is what is around it. Whoever has it from an attempt that is over, as a thread that outlives its task may, finds a
    scope of its own.

    Args:
        entered: which attempt.
        runs: where it belongs.
    """

    __slots__ = ("beside", "close", "entered", "idle", "runs", "seen", "stays", "thread")

    def __init__(self, entered: Entered, runs: Runs) -> None:
        self.around = _in_use(isolation_scope.get() or Scope.get_isolation_scope())
        self.beside = Beside(_in_use(current_scope.get() or Scope.get_current_scope()), self)
        self._made = None
        self.entered = entered
        self.runs = runs
        self.idle = False
        self.thread = get_ident()
        self.stays = not isinstance(self.around, Lazy) and not isinstance(self.beside.around, Lazy)
        self.seen: Sequence[BaseException] = ()
        self.close: Callable[[Outcome | None], None] | None = None
        isolation_scope.set(self)
        current_scope.set(self.beside)

    def waits_for(self, runs: Runs) -> bool:
        """Whether it may be the scope of an attempt that begins here."""
        return self.idle and self.runs is runs and self.thread == get_ident() and current_scope.get() is self.beside

    def again(self, entered: Entered) -> None:
        """Be the scope of another attempt."""
        self.entered, self.idle = entered, False

    @property
    def client_around(self) -> BaseClient:
        """The client that there is without it; in the order of the SDK's own ``get_client``."""
        for scope in (self.beside.around, self.around):
            if scope.client.is_active():
                return scope.client
        return Scope.get_global_scope().client

    def made(self) -> Scope:
        return self.elsewhere(self) or super().made()

    def elsewhere(self, scope: Lazy) -> Scope | None:
        """Return what this scope, or the one beside it, is to who looks from outside of the attempt that goes on."""
        if scope._made is not None:
            return None
        here, entered = running_here(), self.entered
        if self.idle:
            return scope.around if here is None and self.thread == get_ident() else scope.around.fork()
        if here is None or (here.id, here.attempt) == (entered.message.id, entered.attempt):
            return None
        return scope.around.fork()

    def prepare(self, scope: Scope) -> None:
        scope.add_event_processor(self.describe)
        self.runs.of_its_own(scope, self.entered.message)

    def describe(self, event: Event, hint: Hint) -> Event:
        """Say whose a report is, and note that the task has told of this error."""
        if hint.get("exc_info"):
            self.seen = (*self.seen, hint["exc_info"][1])
        self.runs.describe(event, self.entered)
        return event

    def leave(self, outcome: Outcome | None) -> None:
        """The attempt is over."""
        try:
            if isinstance(outcome, Ended) and outcome.how == "dead":
                native.failed(self.entered.message.task, outcome)
                self.runs.ends(self, outcome)
            if self.close:
                self.close(outcome)
        finally:
            if self.stays and self._made is None and self.beside._made is None:
                self.idle = True
            else:
                self.restore()

    def restore(self) -> None:
        """Have the scopes again that were around it."""
        isolation_scope.set(self.around)
        current_scope.set(self.beside.around)


class Beside(Lazy):
    """The current scope of the attempt whose isolation scope ``run`` is."""

    __slots__ = ("run",)

    def __init__(self, around: Scope, run: Run) -> None:
        super().__init__(around)
        self.run = run

    def made(self) -> Scope:
        return self.run.elsewhere(self) or super().made()


def _in_use(scope: Scope) -> Scope:
    """Return a scope, or what is around one that stayed where it was and is of no use here."""
    run = scope if isinstance(scope, Run) else scope.run if isinstance(scope, Beside) else None
    return scope.around if isinstance(scope, Lazy) and run is not None and run.idle else scope
