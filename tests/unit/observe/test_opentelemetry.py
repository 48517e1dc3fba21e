"""OpenTelemetry: a span where it is sent, one below it for each attempt, and the words of the conventions."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id

from taskbridge import Backoff, Bridge, Drop, Settings, chain
from taskbridge.config import BackendSettings
from taskbridge.events import Sent
from taskbridge.observe.messaging import system_of
from taskbridge.observe.opentelemetry import Spans, headers
from taskbridge.testing.worker import Worker

from ..conftest import BridgeClock

KEY = "k-12345"

ONCE = Backoff(max_retries=1, base=0, cap=0)


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """The SDK is set up once in a process; this is the only module that does."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)
    return kept


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Iterator[InMemorySpanExporter]:
    exporter.clear()
    yield exporter
    exporter.clear()


@pytest.fixture
def bridge(clock: BridgeClock, spans: InMemorySpanExporter) -> Iterator[Bridge]:
    made = Bridge(Settings(backend="memory", observers=("opentelemetry",)))
    made.clock = clock
    yield made
    made.close()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_an_attempt_is_below_the_call_that_has_sent_it(bridge: Bridge, spans: InMemorySpanExporter):
    """Through a delay; both say what and where, and the attempt how it ended."""

    @bridge.task(name="bank.pay", queue="mail")
    def pay(n: int) -> str:
        return headers()["traceparent"]

    with trace.get_tracer("tests").start_as_current_span("the web") as web:
        receipt = pay.using(delay=60).enqueue(7)
    bridge.clock.advance(60)  # type: ignore[attr-defined]

    Worker(bridge).run_pending()

    (send,), (process,) = named(spans, "send mail"), named(spans, "process mail")
    assert send.parent is not None
    assert process.parent is not None
    assert (web.get_span_context().span_id, send.context.span_id) == (send.parent.span_id, process.parent.span_id)
    assert {web.get_span_context().trace_id} == {send.context.trace_id, process.context.trace_id}
    place = {
        "messaging.destination.name": "mail",
        "messaging.system": "memory",
        "messaging.message.id": receipt.id,
        "messaging.message.body.size": 5,
        "taskbridge.task": "bank.pay",
    }
    assert {**place, "messaging.operation.name": "send", "messaging.operation.type": "send"} == attributes(send)
    assert {
        **place,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "taskbridge.backend": "memory",
        "taskbridge.attempt": 1,
    } == attributes(process)
    assert (SpanKind.PRODUCER, SpanKind.CONSUMER, StatusCode.OK) == (
        send.kind,
        process.kind,
        process.status.status_code,
    )


def test_only_a_final_failure_is_an_error(bridge: Bridge, spans: InMemorySpanExporter):
    """A retry is an event of its span, and no error; the last attempt has the exception."""

    @bridge.task(name="fails", retry=ONCE)
    def fails() -> None:
        raise ValueError("no such account")

    @bridge.task(name="drops", queue="other")
    def drops() -> None:
        raise Drop("not wanted")

    fails.enqueue()
    drops.enqueue()

    Worker(bridge).run_pending()

    first, last = named(spans, "process default")
    (dropped,) = named(spans, "process other")
    assert [StatusCode.UNSET, StatusCode.UNSET] == [span.status.status_code for span in (first, dropped)]
    assert (["retry"], ["exception"]) == ([event.name for event in first.events], [event.name for event in last.events])
    assert (StatusCode.ERROR, "failed 2 times: ValueError: no such account") == (
        last.status.status_code,
        last.status.description,
    )
    assert "ValueError" == attributes(last)["error.type"]


def test_what_is_secret_is_in_no_span(bridge: Bridge, spans: InMemorySpanExporter):
    """Neither by its name nor where it stands without one: spans go to whoever keeps traces."""

    @bridge.task(name="bank.charge", queue="mail", retry=ONCE)
    def charge(user_id: int, pan: str) -> None:
        raise LookupError(f"card {pan} was refused, api_key={KEY}")

    charge.enqueue(7, "4111111111111111")
    Worker(bridge).run_pending()
    bridge.clock.advance(1)  # type: ignore[attr-defined]
    Worker(bridge).run_pending()

    tries = named(spans, "process mail")
    ids_and_instants = r"0x[0-9a-f]+|[0-9a-f]{32}|[\d:.-]+T[\d:.]+Z"
    told = re.sub(ids_and_instants, "", " ".join(span.to_json() for span in tries))
    assert [] == [secret for secret in ("4111", KEY) if secret in told], told
    assert ["retry", "exception"] == [event.name for span in tries for event in span.events]
    assert "LookupError: card [Filtered] was refused, api_key=[Filtered]" in (tries[1].status.description or "")


def test_a_later_link_is_in_the_trace_of_who_has_sent_the_chain(bridge: Bridge, spans: InMemorySpanExporter):
    """Though a worker has made it ready."""
    link = bridge.task(name="link")(number)

    with trace.get_tracer("tests").start_as_current_span("the web") as web:
        chain(link.s(1), link.s(), link.s()).enqueue()

    Worker(bridge).run_pending()

    assert [web.get_span_context().trace_id] * 3 == [span.context.trace_id for span in named(spans, "process default")]


def number(n: int) -> int:
    return n


def test_what_a_task_sends_is_below_its_attempt(bridge: Bridge, spans: InMemorySpanExporter):
    """And a span of the task's own, too."""
    inner = bridge.task(name="inner", queue="inner")(lambda: None)

    @bridge.task(name="outer", queue="outer")
    def outer() -> None:
        with trace.get_tracer("tests").start_as_current_span("inside"):
            inner.enqueue()

    outer.enqueue()

    Worker(bridge).run_pending()

    assert not trace.get_current_span().get_span_context().is_valid
    (attempt,), (inside,), (send,) = (named(spans, name) for name in ("process outer", "inside", "send inner"))
    assert inside.parent is not None
    assert send.parent is not None
    assert [attempt.context.span_id, inside.context.span_id] == [inside.parent.span_id, send.parent.span_id]


def test_a_call_that_sends_many_or_nothing(bridge: Bridge, spans: InMemorySpanExporter):
    """Many are one span that says how many; a call that is refused is an error."""
    task = bridge.task(name="note")(number)

    task.enqueue_many([(n,) for n in range(3)])
    with pytest.raises(TypeError):
        task.enqueue(1, 2, 3)

    many, refused = named(spans, "send default")
    assert 3 == attributes(many)["messaging.batch.message_count"]
    assert StatusCode.ERROR == refused.status.status_code


class Unspeakable(Exception):
    """One that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_that_cannot_say_what_it_is_ends_its_span(bridge: Bridge, spans: InMemorySpanExporter):
    """It is a failed one, and goes where spans go."""
    task = bridge.task(name="note")(number)

    def stream() -> Iterator[tuple[int]]:
        yield (1,)
        raise Unspeakable

    with pytest.raises(Unspeakable):
        task.enqueue_many(stream())

    (failed,) = named(spans, "send default")
    assert (StatusCode.ERROR, "Unspeakable") == (failed.status.status_code, attributes(failed)["error.type"])


def test_a_stream_of_many_is_not_kept(bridge: Bridge, spans: InMemorySpanExporter):
    """What was sent is counted and forgotten, so a stream takes no memory while it goes on."""
    observer = Spans(bridge)
    over = observer.sending("note", "default")
    tracemalloc.start()
    for n in range(5_000):
        observer.sent(Sent(id=f"{n}", task="note", queue="default", backend="memory", size=3))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    over(None)

    assert 50_000 > kept
    (many,) = named(spans, "send default")
    assert (5_000, 15_000) == (
        attributes(many)["messaging.batch.message_count"],
        attributes(many)["messaging.message.body.size"],
    )


def test_both_tracers_headers_travel_together(clock: BridgeClock, spans: InMemorySpanExporter):
    """Sentry's and W3C's, in one message."""
    import sentry_sdk

    from tests.envelopes import Nowhere

    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Nowhere, default_integrations=False)
    bridge = Bridge(Settings(backend="memory", observers=("sentry", "opentelemetry")))
    bridge.observe()

    with trace.get_tracer("tests").start_as_current_span("the web") as web:
        found = json.loads(bytes(bridge.trace.headers()))
    sentry_sdk.get_global_scope().set_client(None)

    assert {"sentry-trace", "baggage", "traceparent"} <= found.keys()
    assert format_trace_id(web.get_span_context().trace_id) in found["traceparent"]


@pytest.mark.parametrize(
    ("url", "system"),
    [
        ("redis://h/0", "redis"),
        ("rediss://h/0", "redis"),
        ("sentinel://h/s/0", "redis"),
        ("amqps://h", "rabbitmq"),
        ("sqs://", "aws_sqs"),
    ],
)
def test_a_broker_is_called_what_it_is(url: str, system: str):
    """In the conventions' words, whatever the engine."""
    backends = {"b": BackendSettings(engine="celery", broker_url=url)}

    assert system == system_of(Settings(backend="b", backends=backends), "b")
