"""What the engines' own commands read on Redis: all bands of a queue."""

from __future__ import annotations

from typing import Any

from taskbridge.backend import Place, load
from taskbridge_celery.own_queues import read_all
from taskbridge_celery.worker import new_app
from taskbridge_dramatiq.native import read_for


def a_backend(engine: str) -> Any:
    return load(engine, Place(name=engine, broker_url="redis://127.0.0.1:1/0", namespace="unit", queue_prefix="app_"))


def test_naming_a_queue_is_enough():
    """Priorities lie beside it: they are read, too; a queue of others stays as it is."""
    backend = a_backend("celery")
    app = new_app(backend.place, backend.conf)
    app.amqp.queues.select(["app_mail", "legacy"])

    read_all(app, backend.broker)

    assert {"app_mail", "app_mail-high", "app_mail-low", "legacy"} <= set(app.amqp.queues.consume_from)
    assert {"app_mail", "app_mail-high", "app_mail-low"} == read_for(a_backend("dramatiq"), {"app_mail-high"}, set())
