"""Traces: whoever sends is joined to whoever runs it, and both are spans where the client samples transactions.

The names are those of Sentry's Queues module. Without a sample rate there are no spans, and errors are joined all the
same: then the incoming trace is read when something is told.
Touches of the SDK that its documentation does not name: ``PropagationContext``, ``Scope._propagation_context``;
``tests/unit/observe/sentry/test_traces.py`` holds that they say what the SDK's own way says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import msgspec
import sentry_sdk
from sentry_sdk.tracing_utils import PropagationContext, has_tracing_enabled

from ...bridge import Bridge
from ...events import Sent
from ...message import Message
from ...outcome import Done, Ended, Outcome
from ...trace import Entered
from ..messaging import size_of, system_of

if TYPE_CHECKING:
    from sentry_sdk.client import BaseClient
    from sentry_sdk.scope import Scope
    from sentry_sdk.tracing import Span

ORIGIN = "auto.queue.taskbridge"


class Publishing:
    """One call that sends, while it does; counts what it has sent."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.count = self.size = 0
        self.id = ""

    def sent(self, event: Sent) -> None:
        self.count, self.size, self.id = self.count + 1, self.size + event.size, event.id


_publishing: ContextVar[Publishing | None] = ContextVar("taskbridge_publishing", default=None)


class Traces:
    """The traces of one bridge."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._on: tuple[object, bool] = (None, False)
        self._made: tuple[object, str | None, dict[str, str]] = (None, None, {})

    def on(self, client: BaseClient) -> bool:
        """Whether transactions are made by this client."""
        if self._on[0] is not client:
            options = client.options
            streams = options.get("trace_lifecycle") or (options.get("_experiments") or {}).get("trace_lifecycle")
            self._on = client, has_tracing_enabled(options) and streams != "stream"
        return self._on[1]

    def headers(self) -> Mapping[str, str]:
        """Return the headers of what goes on here; made once for each span."""
        client = sentry_sdk.get_client()
        if not client.is_active():
            return {}
        scope = sentry_sdk.get_current_scope()
        of_client, of_span, made = self._made
        span = scope.get_traceparent()
        if of_client is not client or of_span != span:
            made = dict(scope.iter_trace_propagation_headers())
            self._made = (client, span, made)
        return made

    def publishing(self, task: str, queue: str) -> Callable[[BaseException | None], None] | None:
        """Open the span of a call that sends, where a transaction goes on."""
        if not self.on(sentry_sdk.get_client()) or sentry_sdk.get_current_span() is None:
            return None
        span = sentry_sdk.start_span(op="queue.publish", name=task, origin=ORIGIN)
        span.set_data("messaging.destination.name", queue)
        span.__enter__()
        publishing = Publishing(span)
        token = _publishing.set(publishing)

        def over(error: BaseException | None) -> None:
            _publishing.reset(token)
            if publishing.count == 1:
                span.set_data("messaging.message.id", publishing.id)
            elif publishing.count:
                span.set_data("messaging.batch.message_count", publishing.count)
            if publishing.count:
                span.set_data("messaging.message.body.size", publishing.size)
            span.__exit__(type(error) if error else None, error, None)

        return over

    def sent(self, event: Sent) -> None:
        """Count what a call has sent."""
        publishing = _publishing.get()
        if publishing is not None:
            publishing.sent(event)

    def process(self, entered: Entered) -> Callable[[Outcome | None], None]:
        """Continue the trace of who has sent this in a transaction; returns what closes it."""
        message = entered.message
        about = {"name": message.task, "origin": ORIGIN}
        begun = sentry_sdk.continue_trace(headers_of(message), op="queue.task", source="task", **about)
        transaction = sentry_sdk.start_transaction(begun)
        transaction.__enter__()
        span = sentry_sdk.start_span(op="queue.process", **about)
        span.__enter__()
        for name, value in self._data(entered).items():
            span.set_data(name, value)

        def over(outcome: Outcome | None) -> None:
            for one in (span, transaction):
                one.set_status(_status(outcome))
                one.__exit__(None, None, None)

        return over

    def _data(self, entered: Entered) -> dict[str, Any]:
        message = entered.message
        now_ms = self._bridge.clock.now_ms()
        return {
            "messaging.message.id": message.id,
            "messaging.destination.name": message.queue,
            "messaging.message.receive.latency": max(0, now_ms - (message.ready_at_ms or now_ms)),
            "messaging.message.retry.count": entered.attempt - 1,
            "messaging.message.body.size": size_of(message),
            "messaging.system": system_of(self._bridge.settings, entered.backend),
        }


def headers_of(message: Message) -> dict[str, Any]:
    """Return what has travelled with a message."""
    found: dict[str, Any] = msgspec.json.decode(message.trace)
    return found


def follow(scope: Scope, message: Message) -> None:
    """Continue the trace of a message on a scope; without one, another begins there."""
    scope._propagation_context = Continued(message)


def _of_the_read(name: str) -> Any:
    def get(self: Continued) -> Any:
        return getattr(self.read(), name)

    def put(self: Continued, value: Any) -> None:
        setattr(self.read(), name, value)

    return property(get, put)


class Continued(PropagationContext):
    """A trace that is read, by the SDK's own rules, when somebody asks for it: most runs tell nothing."""

    __slots__ = ("_message", "_read")

    def __init__(self, message: Message) -> None:
        self._message = message
        self._read: PropagationContext | None = None

    def read(self) -> PropagationContext:
        """Return what it is."""
        if self._read is None:
            self._read = PropagationContext.from_incoming_data(headers_of(self._message))
        return self._read

    _trace_id = _of_the_read("_trace_id")
    _span_id = _of_the_read("_span_id")
    parent_span_id = _of_the_read("parent_span_id")
    parent_sampled = _of_the_read("parent_sampled")
    baggage = _of_the_read("baggage")
    custom_sampling_context = _of_the_read("custom_sampling_context")


def _status(outcome: Outcome | None) -> str:
    if isinstance(outcome, Done):
        return "ok"
    return "internal_error" if isinstance(outcome, Ended) and outcome.how == "dead" else "aborted"
