"""What stands in store and broker, as gauges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families as parsed

from taskbridge import Bridge, Settings
from taskbridge.observe.exposition import text_of
from taskbridge.observe.gauges import StoreGauges
from taskbridge.testing import a_message
from tests.servers import RedisServer

ENGINES = ("celery", "dramatiq")


@pytest.fixture
def bridge(redis_server: RedisServer) -> Iterator[Bridge]:
    redis_server.cli().flushall()
    made = Bridge(Settings(broker_url=redis_server.url()))
    yield made
    made.close()


def shown(bridge: Bridge, name: str, *queues: str) -> dict[tuple[str, ...], float]:
    """The values of a gauge by those of its labels, in the order of their names."""
    registry = CollectorRegistry()
    registry.register(StoreGauges(bridge, queues))
    families = parsed(text_of(registry).decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in samples}


@pytest.mark.parametrize("engine", ENGINES)
def test_length_is_what_waits_in_all_bands(bridge: Bridge, engine: str):
    """By backend, broker and queue."""
    bridge.backend(engine).publish([a_message(queue="emails", priority=priority) for priority in (0, 5, 9)])

    assert 3 == shown(bridge, "taskbridge_queue_length", "emails")[engine, "redis", "emails"]
