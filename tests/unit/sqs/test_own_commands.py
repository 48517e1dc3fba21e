"""What the engines' own commands read and make on SQS: all parts of a queue, and none that the URL says not to make."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge.config import BackendSettings
from taskbridge.errors import ConfigError
from taskbridge_celery.own_queues import read_all
from taskbridge_celery.worker import new_app
from taskbridge_dramatiq.native import own_broker, read_for
from tests.sqs import KEY, REGION, SECRET, SqsServer, names

from .conftest import Stage

PARTS = ("", "-front", "-high", "-low")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dramatiq's own broker asks boto for more than SQS."""
    for name, value in {"ACCESS_KEY_ID": KEY, "SECRET_ACCESS_KEY": SECRET, "DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(f"AWS_{name}", value)


def read(backend: Any) -> set[str]:
    """What the command of this backend's engine reads that is told to read one queue."""
    if backend.name == "celery":
        app = new_app(backend.place, backend.conf)
        app.amqp.queues.select(["mail"])
        read_all(app, backend.broker)
        return set(app.amqp.queues.consume_from)
    return read_for(backend, {"mail-dramatiq"}, set())


def called(engine: str, *parts: str) -> set[str]:
    suffix = "-dramatiq" if engine == "dramatiq" else ""
    return {f"mail{suffix}{part}" for part in parts}


def test_naming_a_queue_is_enough(stage: Stage, sqs: SqsServer, engine: str):
    """What a lock lets on, and other bands, lie beside it: they are read, too."""
    assert called(engine, *PARTS) == read(stage.backend(engine)) == set(names(sqs.client()))


def test_parts_that_are_not_there_and_not_made_are_not_read(stage: Stage, sqs: SqsServer, engine: str):
    """What belongs there goes into the queue itself; the command reads what is there, and makes nothing."""
    there = called(engine, "", "-high")
    for name in there:
        sqs.client().create_queue(QueueName=name)

    assert there == read(stage.backend(engine, url=f"{stage.meddler.url}&create=false")) == set(names(sqs.client()))


def test_a_queue_that_is_not_there_and_not_made_is_missed_clearly(stage: Stage, sqs: SqsServer, engine: str):
    """By its name, and the command ends: it is not made behind the operator's back."""
    (name,) = called(engine, "")

    with pytest.raises(ConfigError, match=f"has no queue '{name}' and create=false"):
        read(stage.backend(engine, url=f"{stage.meddler.url}&create=false"))

    assert [] == names(sqs.client())


def test_dramatiqs_own_broker_makes_none_either(stage: Stage, sqs: SqsServer):
    """Also of those that a task sends to."""
    backend: Any = stage.backend("dramatiq", url=f"{stage.meddler.url}&create=false")
    broker: Any = own_broker(backend)
    broker.declare_queue("elsewhere")

    with pytest.raises(ConfigError, match="has no queue 'elsewhere' and create=false"):
        broker._ensure_queue("elsewhere")

    assert [] == names(sqs.client())


def test_told_nothing_dramatiq_reads_what_is_declared_and_there(stage: Stage, sqs: SqsServer):
    """Its own actors' queues as ever, ours with the parts that are there."""
    there = called("dramatiq", "", "-low")
    for name in there:
        sqs.client().create_queue(QueueName=name)
    backend: Any = stage.backend("dramatiq", url=f"{stage.meddler.url}&create=false")

    found = read_for(backend, None, called("dramatiq", *PARTS) | {"legacy"})

    assert there | {"legacy"} == found


def test_celery_is_told_where_all_parts_are_that_are_given(stage: Stage, sqs: SqsServer):
    """kombu takes no queue but those it is told of, once it is told of any: those that we have found are among them."""
    client = sqs.client()
    urls = {name: client.create_queue(QueueName=name)["QueueUrl"] for name in called("celery", "", "-low")}
    one = BackendSettings(
        engine="celery", broker_url=f"{stage.meddler.url}&create=false", queues={"mail": urls["mail"]}
    )
    backend: Any = stage.bridge(backends={"celery": one}).backend("celery")
    app = new_app(backend.place, backend.conf)
    app.amqp.queues.select(["mail"])

    read_all(app, backend.broker)

    given = app.conf.broker_transport_options["predefined_queues"]
    assert set(urls) == set(given) == set(app.amqp.queues.consume_from)
    assert all(one["url"].endswith(f"/{name}") for name, one in given.items())
