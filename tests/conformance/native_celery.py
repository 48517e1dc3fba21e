"""A plain Celery application that knows nothing of taskbridge."""

from __future__ import annotations

import json
import os

from celery import Celery

app = Celery("native", broker=os.environ.get("NATIVE_BROKER") or os.environ["TASKBRIDGE_BROKER_URL"])
app.conf.broker_transport_options = json.loads(os.environ.get("NATIVE_TRANSPORT", "{}"))


@app.task(name="legacy.add", queue="legacy")
def add(a: int, b: int = 0) -> None:
    """Write the sum down."""
    with open(os.environ["BACKEND_SUITE_NOTES"], "a") as file:
        file.write(f"celery {a + b}\n")
