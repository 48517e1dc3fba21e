"""Spans of real workers: one trace from who sends to the last attempt, through a fork, a delay and a retry."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, format_trace_id

from taskbridge import Bridge, Settings
from tests.servers import RedisServer, until

from .running import bands_of, commands_of, running

pytestmark = pytest.mark.service("redis")

#: The caller's, who has no SDK: its trace goes on all the same.
TRACE = 0x0AF7651916CD43DD8448EB211C80319C
CALLER = NonRecordingSpan(SpanContext(TRACE, 0xB7AD6B7169203331, is_remote=False, trace_flags=TraceFlags(1)))


@pytest.mark.parametrize("kind", ["ours", "native"])
@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_all_that_comes_of_a_call_is_in_its_trace(engine: str, kind: str, redis_server: RedisServer, tmp_path: Path):
    """Each below what has sent it; what the children hold when they end is sent, though its time had not come."""
    redis_server.cli().flushall()
    spans, url = tmp_path / "spans", redis_server.url()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TASKBRIDGE_", "OTEL_"))}
    environment |= {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": url, "TRACED_FILE": str(spans)}
    environment |= {"TASKBRIDGE_OBSERVERS": "opentelemetry", "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    commands = commands_of(engine, kind, "tests.conformance.traced", bands_of("traced"))
    bridge = Bridge(Settings(backend=engine, broker_url=url, observers=("opentelemetry",)))

    with running(commands, environment, tmp_path / "log"):
        token = context.attach(trace.set_span_in_context(CALLER))
        bridge.external("traced.first", queue="traced").enqueue()
        context.detach(token)
        until(lambda: bridge.store.dead.list(1), 60, f"the last has failed\n{(tmp_path / 'log').read_text()}")
    bridge.close()

    told: list[dict[str, Any]] = [json.loads(line) for line in spans.read_text().splitlines()]
    (first,) = [one for one in told if one["task"] == "traced.first"]
    (sent,) = [one for one in told if one["name"] == "send traced"]
    attempts = [one for one in told if one["name"] == "process traced" and one["task"] == "traced.later"]
    assert {format_trace_id(TRACE)} == {one["trace"] for one in told}
    assert (first["span"], {sent["span"]}) == (sent["below"], {one["below"] for one in attempts})
    assert ("OK", ["ERROR", "UNSET"]) == (first["status"], sorted(one["status"] for one in attempts))
