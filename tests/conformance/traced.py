"""Tasks whose spans are written down, in an application that has set up OpenTelemetry's SDK as it is commonly done."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import format_span_id, format_trace_id

from taskbridge import Backoff, task

#: Longer than any test: only who asks for what is held gets it.
NEVER_MS = 600_000


class Lines(SpanExporter):
    """Appends one JSON object a span."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with open(os.environ["TRACED_FILE"], "a") as file:
            file.writelines(json.dumps(_told(span)) + "\n" for span in spans)
        return SpanExportResult.SUCCESS


def _told(span: ReadableSpan) -> dict[str, object]:
    assert span.context is not None
    return {
        "name": span.name,
        "trace": format_trace_id(span.context.trace_id),
        "span": format_span_id(span.context.span_id),
        "below": format_span_id(span.parent.span_id) if span.parent else "",
        "status": span.status.status_code.name,
        "task": dict(span.attributes or {}).get("taskbridge.task", ""),
    }


if "TRACED_FILE" in os.environ:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Lines(), schedule_delay_millis=NEVER_MS))
    trace.set_tracer_provider(provider)


@task(name="traced.first", queue="traced")
async def first() -> None:
    later.using(delay=0.2).enqueue()


@task(name="traced.later", queue="traced", retry=Backoff(max_retries=1, base=0, cap=0))
def later() -> None:
    raise ValueError("no such account")
