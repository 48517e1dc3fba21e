"""A plain Celery application that knows nothing of taskbridge."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("native", broker=os.environ["TASKBRIDGE_BROKER_URL"])


@app.task(name="legacy.add", queue="legacy")
def add(a: int, b: int = 0) -> None:
    """Write the sum down."""
    with open(os.environ["BACKEND_SUITE_NOTES"], "a") as file:
        file.write(f"celery {a + b}\n")
