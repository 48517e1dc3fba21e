"""OpenTelemetry: a span where a call sends, and one where it runs, by the conventions for messaging.

The only importer of ``opentelemetry``, and of its API alone: which SDK there is, and where spans go, is the
application's to say. Without an SDK nothing is recorded. Headers are those of the global propagator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from traceback import format_exception
from typing import Any

import msgspec
from opentelemetry import context, propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from ..bridge import Bridge
from ..events import Sent
from ..message import Message
from ..operations.disclosure import Disclosed
from ..outcome import Again, Done, Ended, Outcome
from ..shown.scrubbing import Scrubber
from ..trace import Entered
from .messaging import size_of, system_of

#: How long what is held may take to be sent when a process ends, milliseconds.
FLUSH_MS = 2_000


def observe(bridge: Bridge) -> None:
    """Trace what this bridge sends and runs."""
    spans = Spans(bridge)
    bridge.trace.inject(headers)
    bridge.trace.around_sending(spans.sending)
    bridge.trace.around_attempt(spans.attempt)
    bridge.events.subscribe(spans.sent, Sent)
    bridge.observing.on_flush(flush)


def headers() -> Mapping[str, str]:
    """Return the headers of the span that goes on here."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def flush() -> None:
    """Send what is held; the API has no word for it, an SDK's provider has."""
    force = getattr(trace.get_tracer_provider(), "force_flush", None)
    if force is not None:
        force(FLUSH_MS)


class Sending:
    """What one call has sent, counted: a stream of many is not kept."""

    def __init__(self) -> None:
        self.count = self.size = 0
        self.id = self.backend = ""

    def add(self, event: Sent) -> None:
        self.count, self.size = self.count + 1, self.size + event.size
        self.id, self.backend = event.id, event.backend


class Spans:
    """The spans of one bridge."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._tracer = trace.get_tracer("taskbridge")
        self._sending: ContextVar[Sending | None] = ContextVar("taskbridge_sending", default=None)

    def sending(self, task: str, queue: str) -> Callable[[BaseException | None], None]:
        """Open the span of a call that sends."""
        about = {"messaging.operation.name": "send", "messaging.operation.type": "send"}
        span = self._tracer.start_span(f"send {queue}", kind=SpanKind.PRODUCER, attributes=about | _place(task, queue))
        entered = context.attach(trace.set_span_in_context(span))
        sent = Sending()
        counting = self._sending.set(sent)

        def over(error: BaseException | None) -> None:
            self._sending.reset(counting)
            context.detach(entered)
            if span.is_recording():
                span.set_attributes(self._of(sent))
            if error is not None:
                _fail(span, error, _said(error), _CALL)
            span.end()

        return over

    def sent(self, event: Sent) -> None:
        """Note what a call has sent."""
        sent = self._sending.get()
        if sent is not None:
            sent.add(event)

    def attempt(self, entered: Entered) -> Callable[[Outcome | None], None]:
        """Open the span of an attempt, below the one that has sent it."""
        message = entered.message
        theirs = propagate.extract(msgspec.json.decode(message.trace))
        span = self._tracer.start_span(
            f"process {message.queue}",
            context=theirs,
            kind=SpanKind.CONSUMER,
            attributes={
                **_place(message.task, message.queue),
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.system": system_of(self._bridge.settings, entered.backend),
                "messaging.message.id": message.id,
                "messaging.message.body.size": size_of(message),
                "taskbridge.backend": entered.backend,
                "taskbridge.attempt": entered.attempt,
            },
        )
        inside = context.attach(trace.set_span_in_context(span, theirs))

        def over(outcome: Outcome | None) -> None:
            context.detach(inside)
            if span.is_recording() and isinstance(outcome, Again | Ended):
                _tell(span, outcome, self._shown(message))
            elif isinstance(outcome, Done):
                span.set_status(Status(StatusCode.OK))
            span.end()

        return over

    def _shown(self, message: Message) -> Disclosed:
        """What may be told of a message: spans go to whoever keeps traces."""
        definition = self._bridge.definitions.get(message.task)
        return Disclosed(message, definition.arguments.positional if definition else (), _scrubber)

    def _of(self, sent: Sending) -> dict[str, Any]:
        """What was sent: of one its id, of many how many."""
        if not sent.count:
            return {}
        of_all = {
            "messaging.system": system_of(self._bridge.settings, sent.backend),
            "messaging.message.body.size": sent.size,
        }
        if sent.count == 1:
            return of_all | {"messaging.message.id": sent.id}
        return of_all | {"messaging.batch.message_count": sent.count}


def _place(task: str, queue: str) -> dict[str, str]:
    return {"messaging.destination.name": queue, "taskbridge.task": task}


def _tell(span: Span, outcome: Again | Ended, shown: Disclosed) -> None:
    """Tell in the span of an attempt how it ended; only a final failure is an error, a retry is an event."""
    if isinstance(outcome, Again):
        why = shown.text(outcome.why)
        span.add_event("retry", {"after_ms": outcome.after_ms, "counted": outcome.counted, "why": why})
    elif outcome.how == "dead":
        _fail(span, outcome.error, outcome.why, shown)


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "it cannot say what it is"


def _fail(span: Span, error: BaseException | None, why: str, shown: Disclosed) -> None:
    if error is not None:
        with suppress(Exception):  # one that cannot say what it is
            stack = shown.text("".join(format_exception(error)))
            told = {"exception.message": shown.text(str(error)), "exception.stacktrace": stack}
            span.record_exception(error, attributes=told)
        span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR, shown.text(why)))


_scrubber = Scrubber()

#: What may be told of a call that is no message yet.
_CALL = Disclosed(None, (), _scrubber)
