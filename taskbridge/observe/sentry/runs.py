"""Runs: each attempt in a scope of its own, and what became of it told when the store knows it: final failures alone.

A retry is a breadcrumb, which the next attempt of the same message finds in the same process.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import sentry_sdk
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.scope import Scope, use_isolation_scope
from sentry_sdk.scope import _isolation_scope as isolation_scope

from ...bridge import Bridge
from ...errors import TaskbridgeError
from ...events import Buried, Failed, Retried
from ...events import Event as Told
from ...message import Message, decode
from ...outcome import Ended, Outcome
from ...shown.scrubbing import cut
from ...trace import Entered
from . import native
from .reports import RETRY, About, Reports
from .run import Run
from .traces import Traces, follow

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

#: Of so many messages the breadcrumbs are kept until they run again here.
MOST_CRUMBS = 1_000

#: And of one message so many, the last. Source: the SDK's own ``max_breadcrumbs``.
MOST_OF_ONE = 100


class Final(msgspec.Struct):
    """A report that waits for the store; ``told`` says that the task has told of this very error by itself."""

    scope: Scope
    event: Event
    hint: Hint
    error: BaseException | None
    told: bool


class Runs:
    """What of a bridge's runs Sentry is told.

    Args:
        bridge: whose.
        traces: its traces.
    """

    def __init__(self, bridge: Bridge, traces: Traces) -> None:
        self._bridge = bridge
        self._traces = traces
        self._reports = Reports(bridge.definitions)
        self._crumbs: OrderedDict[str, deque[dict[str, Any]]] = OrderedDict()
        self._finals: dict[str, Final] = {}

    def enter(self, entered: Entered) -> Callable[[Outcome | None], None] | None:
        """Give an attempt a scope of its own; returns what leaves it."""
        stayed = isolation_scope.get()
        run = stayed if isinstance(stayed, Run) and stayed.waits_for(self) else None
        client = run.client_around if run else Scope.get_client()
        if not client.is_active():
            return None
        native.here.failure = None
        traced = self._traces.on(client)
        if traced:
            native.around()
        if run is None:
            run = Run(entered, self)
        else:
            run.again(entered)
        if traced:
            try:
                run.close = self._traces.process(entered)
            except BaseException:
                run.restore()
                raise
        return run.leave

    def of_its_own(self, scope: Scope, message: Message) -> None:
        """Make a scope that of a message: its trace, its breadcrumbs."""
        follow(scope, message)
        self._clear(scope, message.id)

    def describe(self, event: Event, entered: Entered) -> None:
        """Say in a report which attempt has told of it."""
        self._reports.describe(event, About.entered(entered))

    def ends(self, run: Run, outcome: Ended) -> None:
        """Keep the report of a final failure until the store knows of it."""
        message = run.entered.message
        self._finals[message.id] = self._final(run, message.task, outcome)

    def failed(self, told: Failed) -> None:
        """Report a final failure."""
        final = self._finals.pop(told.id, None)
        if not sentry_sdk.get_client().is_active():  # then the store is not asked for what nobody is told
            return
        if final is None or final.error is not told.error:
            self._report(told, self._stored(told.id), told.error, told.why)
        elif not final.told:
            DedupeIntegration.reset_last_seen()  # two messages may fail with one error object
            with use_isolation_scope(final.scope):
                sentry_sdk.capture_event(final.event, final.hint)
        self._crumbs.pop(told.id, None)

    def buried(self, told: Buried) -> None:
        """Report bytes that are no message; what they are is not shown."""
        self._report(told, None, None, told.why.partition(", got ")[0])

    def retried(self, told: Retried) -> None:
        """Leave a breadcrumb of an attempt that has failed."""
        self._finals.pop(told.id, None)
        if not told.counted or not sentry_sdk.get_client().is_active():
            return
        crumb = {
            "category": RETRY,
            "type": "error",
            "level": "warning",
            "message": cut(
                f"attempt {told.attempt} failed and it runs again in {told.after_ms / 1000:g} s: {told.why}"
            ),
            "data": {"attempt": told.attempt, "after_ms": told.after_ms},
            "timestamp": datetime.fromtimestamp(self._bridge.clock.now_ms() / 1000, UTC),
        }
        self._crumbs.setdefault(told.id, deque(maxlen=MOST_OF_ONE)).append(crumb)
        while len(self._crumbs) > MOST_CRUMBS:
            self._crumbs.popitem(last=False)

    def ended(self, told: Told) -> None:
        """Forget what was kept of a message that has ended well, or went to another worker."""
        if self._finals:
            self._finals.pop(told.id, None)
        if self._crumbs:
            self._crumbs.pop(told.id, None)

    def _final(self, run: Run, task: str, outcome: Ended) -> Final:
        """Write the report where the frames of the error still have their variables."""
        error = outcome.error
        event, hint = self._reports.of_error(error, task) if error else self._reports.of_word(task, outcome.why)
        event["contexts"] = {"trace": sentry_sdk.get_current_scope().get_trace_context()}
        return Final(run, event, hint, error, any(one is error for one in run.seen))

    def _report(self, told: Told, message: Message | None, error: BaseException | None, why: str) -> None:
        """Report what did not run here."""
        about = About.told(told, message)
        with sentry_sdk.isolation_scope() as scope:
            self._clear(scope, told.id)
            if message is not None:
                follow(scope, message)
            event, hint = self._reports.of_error(error, told.task) if error else self._reports.of_word(told.task, why)
            self._reports.describe(event, about)
            sentry_sdk.capture_event(event, hint)

    def _clear(self, scope: Scope, id: str) -> None:
        """Leave only the breadcrumbs of this message."""
        scope.clear_breadcrumbs()
        for crumb in self._crumbs.get(id, ()):
            scope.add_breadcrumb(crumb)

    def _stored(self, id: str) -> Message | None:
        """Return a message that has failed without a run: its trace and its arguments are in the store."""
        try:
            record = self._bridge.store.messages.look(id)
            return decode(record.body) if record and record.body else None
        except TaskbridgeError:  # a report without them is better than none
            return None
